/** The pages of documentation as tests read them: every block of code with its language. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './server-cache.js';

export interface Page {
  /** Relative to the repository. */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly { readonly language: string; readonly body: string }[];
}

/** One page. */
export function readPage(path: string): Page {
  const text = readFileSync(join(repositoryRoot, path), 'utf8');
  const blocks = [...text.matchAll(/^```([a-z]+)[^\n]*\n([\s\S]*?)^```$/gm)].map(([, language, body]) => ({
    language: language!,
    body: body!,
  }));
  return { path, text, blocks };
}

/** README, QUICKSTART, and every page under docs and examples. */
export function allPages(): Page[] {
  const under = ['docs', 'examples'].flatMap((folder) =>
    readdirSync(join(repositoryRoot, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name)),
  );
  return ['README.md', 'QUICKSTART.md', ...under].map(readPage);
}
