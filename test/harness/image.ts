/**
 * A model of the image that needs no container engine: the Dockerfile's instructions by stage, and the files that
 * `.dockerignore` admits. It supports what this repository's files use; anything else is an error.
 */
import { cp, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { repositoryRoot } from './server-cache.js';

/** An instruction of a Dockerfile. */
export interface Instruction {
  /** In capital letters. */
  readonly name: string;
  /** The text after the name and its flags, on one line. */
  readonly text: string;
  /** The flags; `--from=build` is `{ from: 'build' }`. */
  readonly flags: Readonly<Record<string, string>>;
}

/** A stage of a Dockerfile. */
export interface Stage {
  readonly name: string;
  /** An image, or the name of an earlier stage. */
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

const KNOWN = new Set(['WORKDIR', 'COPY', 'RUN', 'ENV', 'USER', 'EXPOSE', 'HEALTHCHECK', 'CMD']);

/** Returns the stages of a Dockerfile. Throws at an instruction that this module does not support. */
export async function readStages(path: string): Promise<Stage[]> {
  const text = (await readFile(join(repositoryRoot, path), 'utf8')).replace(/^\s*#.*\n/gm, '').replace(/\\\n\s*/g, '');
  const stages: { name: string; base: string; instructions: Instruction[] }[] = [];
  for (const line of text.split('\n').filter((one) => one.trim() !== '')) {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    const flags = Object.fromEntries(
      [...(/^(?:--[a-z-]+=\S+\s+)*/.exec(rest!)?.[0] ?? '').matchAll(/--([a-z-]+)=(\S+)/g)].map(([, key, value]) => [
        key,
        value,
      ]),
    );
    const body = rest!.replace(/^(?:--[a-z-]+=\S+\s+)*/, '');
    if (name === 'FROM') {
      const [, base, as] = /^(\S+)(?:\s+AS\s+(\S+))?$/.exec(body)!;
      stages.push({ name: as ?? `${stages.length}`, base: base!, instructions: [] });
    } else if (name && KNOWN.has(name)) stages.at(-1)!.instructions.push({ name, text: body, flags });
    else throw new Error(`${path}: unknown instruction: ${line}`);
  }
  return stages;
}

/**
 * Returns whether the rules of a `.dockerignore` exclude a path from the build context. The last matching rule decides.
 */
export function isIgnored(rules: readonly string[], path: string): boolean {
  let ignored = false;
  for (const rule of rules) {
    const pattern = rule.replace(/^!/, '').replace(/\/$/, '');
    if (/[?[\]\\]/.test(pattern)) throw new Error(`.dockerignore: the tests do not know the rule ${rule}`);
    const source = pattern
      .split('/')
      .map((segment) => (segment === '**' ? '.*' : segment.replace(/[.+^$(){}|]/g, '\\$&').replaceAll('*', '[^/]*')))
      .join('/');
    // A rule for a folder covers everything in it.
    if (new RegExp(`^${source}(?:/.*)?$`).test(path)) ignored = !rule.startsWith('!');
  }
  return ignored;
}

/** Returns the rules of `.dockerignore` in order. */
export async function ignoreRules(): Promise<string[]> {
  const lines = (await readFile(join(repositoryRoot, '.dockerignore'), 'utf8')).split('\n');
  return lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
}

async function filesUnder(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}

/**
 * Executes one COPY instruction.
 *
 * @param from the folder that sources are relative to: the repository for the build context, else the root of another
 * stage
 * @param rules the rules of `.dockerignore`; none for another stage
 * @param root the folder that represents `/` of this stage
 * @throws if a source has no file that the rules admit
 */
export async function copy(
  { text }: Instruction,
  { from, rules, root, folder }: { from: string; rules: readonly string[]; root: string; folder: string },
): Promise<void> {
  const words = text.split(/\s+/);
  const target = words.pop()!;
  const into = target.startsWith('/') ? join(root, target) : join(root, folder, target);
  for (const source of words) {
    const path = join(from, source);
    const isFolder = (await stat(path)).isDirectory();
    const place = !isFolder && (target.endsWith('/') || words.length > 1) ? join(into, basename(source)) : into;
    if (rules.length === 0) {
      await mkdir(dirname(place), { recursive: true });
      await cp(path, place, { recursive: true, verbatimSymlinks: true });
      continue;
    }
    const files = (await filesUnder(path)).filter((file) => !isIgnored(rules, relative(from, file)));
    if (files.length === 0) throw new Error(`.dockerignore keeps ${source} out of the build context`);
    for (const file of files) {
      const copied = isFolder ? join(place, relative(path, file)) : place;
      await mkdir(dirname(copied), { recursive: true });
      await cp(file, copied);
    }
  }
}

/** Returns the variables of ENV instructions, which must not be quoted. */
export function variablesOf(stage: Stage): Record<string, string> {
  const words = stage.instructions.filter(({ name }) => name === 'ENV').flatMap(({ text }) => text.split(/\s+/));
  return Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]));
}

/** Returns the words of a CMD in its JSON form, including the CMD of a HEALTHCHECK. */
export function commandOf(instruction: Instruction): string[] {
  return JSON.parse(instruction.text.replace(/^CMD\s+/, '')) as string[];
}
