/** Every block of code of the documentation is well-formed, and every relative link leads to a file and a heading. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { faultOf } from '../harness/block-parsers.js';
import { allPages, type Page, parsePage, readPage, treatmentOf } from '../harness/pages.js';
import { repositoryRoot } from '../harness/server-cache.js';

const pages = allPages();

function deadLinks({ path, links, anchors }: Page): string[] {
  return links.filter((link) => {
    const [file, anchor] = link.split('#');
    const target = file ? join(dirname(path), file) : path;
    if (!existsSync(join(repositoryRoot, target))) return true;
    if (anchor === undefined || !target.endsWith('.md')) return false;
    return !(target === path ? anchors : readPage(target).anchors).includes(anchor);
  });
}

test.each(pages.map((page) => [page.path, page] as const))('the blocks of %s are well-formed', (_, { blocks }) => {
  expect(blocks.map(faultOf).filter((fault) => fault !== null)).toEqual([]);
});

test.each(pages.map((page) => [page.path, page] as const))('the links of %s lead to files and headings', (_, page) => {
  expect(deadLinks(page)).toEqual([]);
});

const pageOf = (text: string): Page => parsePage('docs/example.md', text);
const fault = (head: string, body: string): string | null =>
  faultOf(pageOf(`\`\`\`${head}\n${body}\n\`\`\`\n`).blocks[0]!);

describe('a block that is not well-formed is refused', () => {
  test.each([
    ['', 'no language'],
    ['rust', 'fn main() {}'],
    ['json', '{ "a": 1, }'],
    ['json events', '{ "a": 1 }\n{ "a": }'],
    ['ndjson', '{ "a": 1 } { "a": 2 }'],
    ['http', 'POST graphql\n{}'],
    ['http', 'POST /graphql\ncontent-type: application/json\n\n{ documentId: 1 }'],
    ['yaml', 'kind: entity\nname: user\njoinKeys: [{'],
    ['graphql', '{ user(id: "u1" { id } }'],
    ['sh', 'fstore push "transactions'],
    ['console', 'output without a command'],
    ['csv', 'a,b\n1,2,3'],
    ['ini', 'export A=1'],
    ['mermaid', 'A --> B'],
    ['mermaid', 'flowchart LR\n  A[one --> B'],
    ['python', 'def f(:\n  pass'],
    ['ts', "import { defineEntity } from 'fstore';\ndefineEntity({ name: 1 });"],
  ])('%s: %s', (head, body) => {
    expect(fault(head, body)).toContain('docs/example.md:1: ');
  });
});

test.each([
  [
    'ts',
    "import { defineEntity } from 'fstore';\ndefineEntity({ name: 'u', joinKeys: [{ name: 'id', type: 'STRING' }] });",
  ],
  ['python', 'print("one")'],
  ['http', 'GET /health HTTP/1.1\nhost: localhost'],
  ['console', '$ fstore get\none\n$ fstore get two\n'],
])('a well-formed block of %s is accepted', (head, body) => {
  expect(fault(head, body)).toBeNull();
});

test('a mark counts only on the line directly above its block', () => {
  const { blocks } = pageOf('<!-- not run: needs Spark -->\n```sh\na\n```\n<!-- not run: x -->\n\n```sh\nb\n```\n');
  expect(blocks.map((one) => treatmentOf('docs/example.md', one))).toEqual(['marked', 'run']);
});

test('a link to a heading that does not exist is found, and one to a heading with a code span is not', () => {
  const page = parsePage(
    'README.md',
    '# The `read` login, twice\n# A\n# A\n[a](#the-read-login-twice) [b](#b) [c](#a-1) [d](docs/spark.md#no)',
  );
  expect(deadLinks(page)).toEqual(['#b', 'docs/spark.md#no']);
});
