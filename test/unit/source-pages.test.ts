/** Every page about a kind of source has definitions that plan, and every kind has a page. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { sourceSchema } from '../../src/definition/definition.js';
import { parseDefinitions, planDefinitions } from '../../src/definition/plan.js';
import { buildControlSchema, reservedNames } from '../../src/schema/control/control-schema.js';
import { computation } from '../../src/transformation/computation.js';
import { allPages, isSourcePage } from '../harness/pages.js';
import { repositoryRoot } from '../harness/server-cache.js';
import { sourcePages } from '../harness/source-pages.js';

const reserved = reservedNames(buildControlSchema());
const pages = sourcePages();

describe.each(pages.map((page) => [page.name, page] as const))('the page %s', (_, { definitions }) => {
  test('has definitions that plan, each of which is new', () => {
    const { changes } = planDefinitions([], parseDefinitions(definitions), {
      prune: false,
      retire: [],
      reserved,
      computation,
    });
    expect(changes.map(({ action }) => action)).toEqual(definitions.map(() => 'CREATE'));
    expect(definitions.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['entity', 'source', 'featureView']));
  });
});

test('every way in which data comes in has a page, which the overview links', () => {
  const overview = readFileSync(join(repositoryRoot, 'docs', 'sources', 'README.md'), 'utf8');
  for (const { name } of pages) expect(overview).toContain(`(${name}.md)`);
  const batch = (sourceSchema.shape.batch.unwrap() as unknown as { shape: Record<string, unknown> }).shape;
  const words = ['engine', 'partitionBy', 'partitions', 'schedule'];
  const kinds = Object.keys(batch).filter((kind) => !words.includes(kind));
  const declared = pages.flatMap(({ definitions }) =>
    definitions.flatMap((one) => Object.keys((one.batch as object) ?? {})),
  );
  expect(declared).toEqual(expect.arrayContaining(kinds));
});

test('the pages have only blocks that their system test runs, one of each kind', () => {
  const kinds = [
    'csv',
    'graphql',
    'ini',
    'json answer',
    'json events',
    'json rows',
    'ndjson',
    'sh',
    'sql',
    'sql warehouse',
    'yaml',
  ];
  for (const { path, blocks } of allPages().filter((page) => isSourcePage(page.path))) {
    const heads = blocks.filter(({ mark }) => mark === null).map(({ head }) => head);
    expect({
      path,
      heads: heads.filter((head, index) => !kinds.includes(head) || heads.indexOf(head) !== index),
    }).toEqual({
      path,
      heads: [],
    });
  }
});
