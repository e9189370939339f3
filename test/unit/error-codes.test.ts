/** The table of error codes holds what FStore throws, and nothing else. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ERRORS } from '../../src/errors.js';

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(ts|sql)$/.test(name) && name !== 'errors.ts')
  .map((name) => readFileSync(join('src', name), 'utf8'));
const python = readdirSync('spark/fstore_spark', { encoding: 'utf8' })
  .filter((name) => name.endsWith('.py'))
  .map((name) => readFileSync(join('spark/fstore_spark', name), 'utf8'));
const source = [...files, ...python].join('\n');

test.each(Object.keys(ERRORS))('%s is thrown somewhere, and documented', (code) => {
  expect(source).toMatch(new RegExp(`['"]${code}['"]`));
  expect(readFileSync('docs/errors.md', 'utf8')).toContain(`\`${code}\``);
});

test('an unknown service is never called an unknown view', () => {
  const wrong = /'VIEW_UNKNOWN', (?:`|')[^`']*no feature service/;
  expect(files.filter((text) => wrong.test(text))).toEqual([]);
});
