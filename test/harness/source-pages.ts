/** The pages of docs/sources for tests: their definitions and code blocks. */
import { basename } from 'node:path';
import { parseDefinitionFile } from '../../src/definition/definition-file.js';
import { allPages, isSourcePage } from './pages.js';

/** A page that describes a kind of source. */
export interface SourcePage {
  readonly name: string;
  readonly definitions: readonly { readonly kind: string; readonly [field: string]: unknown }[];
  /** Returns the text of the block with this heading, such as `csv` or `json events`; null if there is none. */
  block(head: string): string | null;
}

/** Returns all pages that describe a kind of source. */
export function sourcePages(): SourcePage[] {
  return allPages()
    .filter(({ path }) => isSourcePage(path))
    .map(({ path, blocks }) => {
      const block = (head: string): string | null => blocks.find((one) => one.head === head)?.body ?? null;
      const definitions = parseDefinitionFile(block('yaml') ?? '', path).map(({ definition }) => definition);
      return { name: basename(path, '.md'), block, definitions: definitions as SourcePage['definitions'] };
    });
}
