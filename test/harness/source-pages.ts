/** The pages of docs/sources for tests: their definitions and code blocks. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseDefinitionFile } from '../../src/definition/definition-file.js';
import { repositoryRoot } from './server-cache.js';

/** A page that describes a kind of source. */
export interface SourcePage {
  readonly name: string;
  readonly definitions: readonly { readonly kind: string; readonly [field: string]: unknown }[];
  /** Returns the text of the block with this heading, such as `csv` or `json events`; null if there is none. */
  block(head: string): string | null;
}

/** Returns all pages that describe a kind of source. */
export function sourcePages(): SourcePage[] {
  const folder = join(repositoryRoot, 'docs', 'sources');
  const files = readdirSync(folder).filter((file) => file.endsWith('.md') && file !== 'README.md');
  return files.map((file) => {
    const text = readFileSync(join(folder, file), 'utf8');
    const blocks = [...text.matchAll(/^```([a-z]+(?: [a-z]+)?)\n([\s\S]*?)^```$/gm)].map(([, head, body]) => [
      head,
      body,
    ]);
    const block = (head: string): string | null => blocks.find(([own]) => own === head)?.[1] ?? null;
    const definitions = parseDefinitionFile(block('yaml') ?? '', file).map(({ definition }) => definition);
    return { name: basename(file, '.md'), block, definitions: definitions as SourcePage['definitions'] };
  });
}
