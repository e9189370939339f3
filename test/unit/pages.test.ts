/** Every block of code of the documentation is well-formed, and every relative link leads somewhere. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { parse } from 'graphql';
import { parseAllDocuments } from 'yaml';
import { parseDefinitionFile } from '../../src/definition/definition-file.js';
import { allPages } from '../harness/pages.js';

const pages = allPages();
const blocks = pages.flatMap(({ path, blocks: all }) => all.map((block, index) => ({ path, index, ...block })));
const of = (language: string) =>
  blocks
    .filter((one) => one.language === language)
    .map((one) => [`${one.path}, block ${one.index}`, one.body] as const);

test.each(of('yaml'))('%s is valid YAML, and valid definitions where it has kinds', (name, body) => {
  for (const document of parseAllDocuments(body)) expect(document.errors).toEqual([]);
  if (/^kind: /m.test(body)) expect(parseDefinitionFile(body, name).length).toBeGreaterThan(0);
});

test.each(of('graphql'))('%s is valid GraphQL', (_, body) => {
  expect(parse(body).definitions.length).toBeGreaterThan(0);
});

test.each(of('sh'))('%s is a script that a shell can read', (_, body) => {
  execFileSync('bash', ['-n', '-c', body]);
});

test.each(pages.map((page) => [page.path, page] as const))('the links of %s lead to files', (_, { path, text }) => {
  const targets = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)].map(([, target]) => target!);
  expect(targets.filter((target) => !existsSync(join(dirname(path), target)))).toEqual([]);
});
