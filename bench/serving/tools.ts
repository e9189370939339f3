/**
 * Installs on first use what the contenders need besides FStore's packages: npm packages, a Python with Feast, and
 * built programs.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { runProcess } from '../../test/harness/child-process.js';

export const HERE = dirname(fileURLToPath(import.meta.url));
const CACHE = join(HERE, '.cache');
const LOG = join(CACHE, 'tools.log');

/** Returns whether everything in `marker` was made from the current `source`. */
async function isCurrent(marker: string, source: string): Promise<boolean> {
  return existsSync(marker) && (await readFile(marker, 'utf8')) === source;
}

/** Installs the packages of this folder's lockfile unless that was already done. */
export async function installPackages(): Promise<void> {
  const marker = join(CACHE, 'packages-ready');
  const lock = await readFile(join(HERE, 'package-lock.json'), 'utf8');
  if (existsSync(join(HERE, 'node_modules')) && (await isCurrent(marker, lock))) return;
  await mkdir(CACHE, { recursive: true });
  process.stderr.write('installing the packages of the contenders\n');
  await runProcess('npm', ['ci', '--no-audit', '--no-fund'], { cwd: HERE, logFile: LOG });
  await writeFile(marker, lock);
}

/** The Node options of FStore's own command (first line of src/main.ts); the other contenders on Node get them too. */
export const NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --max-semi-space-size=64`.trim();

/** Returns the folder of programs of a Python that has Feast. Installs it on first use. */
export async function feastPrograms(): Promise<string> {
  const folder = join(CACHE, 'feast');
  const programs = join(folder, 'bin');
  const marker = join(folder, 'ready');
  const requirements = await readFile(join(HERE, 'requirements.txt'), 'utf8');
  if (await isCurrent(marker, requirements)) return programs;
  process.stderr.write('installing Feast; this takes a minute or two\n');
  await rm(folder, { recursive: true, force: true });
  await mkdir(CACHE, { recursive: true });
  await runProcess('python3', ['-m', 'venv', folder], { logFile: LOG });
  const install = ['-m', 'pip', 'install', '--quiet', '-r', join(HERE, 'requirements.txt')];
  await runProcess(join(programs, 'python'), install, { logFile: LOG });
  await writeFile(marker, requirements);
  return programs;
}

/**
 * Compiles the contenders to plain JavaScript, as they would run in production. A loader in the process would count as
 * their memory.
 *
 * @returns the folder of `contenders/*.js`
 */
export async function buildContenders(): Promise<string> {
  const target = join(CACHE, 'build');
  await rm(target, { recursive: true, force: true });
  for (const folder of ['.', 'contenders']) {
    await mkdir(join(target, folder), { recursive: true });
    const files = (await readdir(join(HERE, folder))).filter((name) => name.endsWith('.ts'));
    for (const file of files) {
      const { outputText } = ts.transpileModule(await readFile(join(HERE, folder, file), 'utf8'), {
        compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true },
      });
      await writeFile(join(target, folder, file.replace(/\.ts$/, '.js')), outputText);
    }
  }
  return join(target, 'contenders');
}
