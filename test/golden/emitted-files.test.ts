import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { emittedFiles } from '../../scripts/emitted-files.js';

const files = await emittedFiles();

test('examples are emitted beside the control schema and the JSON Schema', () => {
  expect([...files.keys()]).toContain('schema/examples/fraud-detection/subgraph.graphql');
});

test.each([...files])('%s is what `npm run generate` writes', async (path, text) => {
  expect(await readFile(new URL(`../../${path}`, import.meta.url), 'utf8')).toBe(text);
});
