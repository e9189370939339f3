/** The pages of documentation as tests read them: blocks of code, links and headings. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './server-cache.js';

/** One fenced block of code. */
export interface Block {
  /** The page and the line of the fence, such as `README.md:12`. */
  readonly at: string;
  /** The whole text behind the fence, such as `json events`. */
  readonly head: string;
  /** The first word of the head; empty if there is none. */
  readonly language: string;
  readonly body: string;
  /** The reason of the mark `<!-- not run: reason -->` on the line above the fence; null without a mark. */
  readonly mark: string | null;
  /** The file that the paragraph above names in its last code span, such as `features.yaml`; null without one. */
  readonly file: string | null;
}

/** One Markdown file. */
export interface Page {
  /** Relative to the repository. */
  readonly path: string;
  readonly blocks: readonly Block[];
  /** Targets of links that are not addresses, such as `docs/spark.md#batches`. */
  readonly links: readonly string[];
  /** Anchors of the headings, as GitHub makes them. */
  readonly anchors: readonly string[];
}

const FENCE = /^( *)```([^\n`]*)\n([\s\S]*?)^\1```[ \t]*$/gm;
const MARK = /^ *<!-- not run: (\S.*) -->$/;
const FILE = /`([\w-]+\.\w+)`:$/;

function anchorsOf(prose: string): string[] {
  const seen = new Map<string, number>();
  return [...prose.matchAll(/^#{1,6} +(.+)$/gm)].map(([, heading]) => {
    const words = heading!
      .trim()
      .toLowerCase()
      .replaceAll(/\]\([^)]*\)/g, ']');
    const anchor = words.replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '').replaceAll(' ', '-');
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}

/** Returns the page with this text. */
export function parsePage(path: string, text: string): Page {
  const blocks = [...text.matchAll(FENCE)].map(({ index, 2: head, 3: body }): Block => {
    const before = text.slice(0, index).split('\n');
    const above = before.at(-2) ?? '';
    const paragraph = before.findLast((line) => line.trim() !== '' && !MARK.test(line)) ?? '';
    return {
      at: `${path}:${before.length}`,
      head: head!.trim(),
      language: head!.trim().split(' ')[0]!,
      body: body!,
      mark: MARK.exec(above)?.[1] ?? null,
      file: FILE.exec(paragraph)?.[1] ?? null,
    };
  });
  const prose = text.replaceAll(FENCE, '').replaceAll(/`[^`\n]*`/g, (code) => code.replaceAll(/[[\]()]/g, ''));
  const targets = [...prose.matchAll(/\]\((?!https?:|mailto:)([^)\s]+)[^)]*\)/g)];
  return { path, blocks, links: targets.map(([, target]) => target!), anchors: anchorsOf(prose) };
}

/** Returns the page at a path relative to the repository. */
export function readPage(path: string): Page {
  return parsePage(path, readFileSync(join(repositoryRoot, path), 'utf8'));
}

/** Returns every Markdown file of the repository, those of dependencies and hidden folders left out. */
export function allPages(): Page[] {
  const below = (folder: string): string[] =>
    readdirSync(join(repositoryRoot, folder), { withFileTypes: true }).flatMap((entry) => {
      if (entry.name.startsWith('.') || entry.name === 'node_modules' || entry.name === 'dist') return [];
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return below(path);
      return entry.isFile() && entry.name.endsWith('.md') ? [path] : [];
    });
  return below('').map(readPage);
}

/** Tells whether the blocks of a page are run by the test of docs/sources. */
export function isSourcePage(path: string): boolean {
  return /^docs\/sources\/(?!README)/.test(path);
}

/** How the tests treat a block. */
export type Treatment = 'run' | 'parsed' | 'marked' | 'output';

/** Returns how the tests treat a block: commands, requests and definitions are run unless a mark says why not. */
export function treatmentOf(path: string, { language, head, body, mark }: Block): Treatment {
  if (mark !== null) return 'marked';
  if (language === 'text') return 'output';
  if (isSourcePage(path)) return language === 'ini' ? 'parsed' : 'run';
  if (['sh', 'console', 'graphql', 'http', 'sql'].includes(head)) return 'run';
  return language === 'yaml' && /^kind: /m.test(body) ? 'run' : 'parsed';
}
