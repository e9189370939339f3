/** The pages of docs/sources as tests read them: each block of code by its language and what it is for. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseDefinitionFile } from '../../src/definition/definition-file.js';
import { repositoryRoot } from './server-cache.js';

export interface SourcePage {
  readonly name: string;
  readonly definitions: readonly { readonly kind: string; readonly [field: string]: unknown }[];
  /** The text of the block with this head, such as `csv` or `json events`; null: there is none. */
  block(head: string): string | null;
}

/** All pages that describe a kind of source. */
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
