/** Time limits that guard against hanging grow with FSTORE_TEST_TIME_FACTOR. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../harness/eventually.js';
import { scaled } from '../harness/time-factor.js';

const run = promisify(execFile);
const DEFAULT_LIMIT = 100;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fstore-time-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function withFactor<T>(factor: string | undefined, action: () => T | Promise<T>): Promise<T> {
  const before = process.env.FSTORE_TEST_TIME_FACTOR;
  if (factor === undefined) delete process.env.FSTORE_TEST_TIME_FACTOR;
  else process.env.FSTORE_TEST_TIME_FACTOR = factor;
  try {
    return await action();
  } finally {
    if (before === undefined) delete process.env.FSTORE_TEST_TIME_FACTOR;
    else process.env.FSTORE_TEST_TIME_FACTOR = before;
  }
}

test('a limit is multiplied by the factor, and never falls below what was given', async () => {
  for (const [factor, limit] of [
    [undefined, 100],
    ['1', 100],
    ['2.5', 250],
    ['0.1', 100],
  ] as const) {
    expect(await withFactor(factor, () => scaled(100))).toBe(limit);
  }
});

test('eventually waits for as long as the factor says', async () => {
  const began = performance.now();
  const check = () => expect(performance.now() - began).toBeGreaterThan(300);
  await withFactor('20', () => eventually(check, { timeoutMs: 100 }));
});

test('the measured factor is a number from 1 to 6', async () => {
  const { stdout } = await run(process.execPath, ['scripts/time-factor.mjs']);
  expect(stdout).toMatch(/^[1-6]\.\d\n$/);
  expect(Number(stdout)).toBeLessThanOrEqual(6);
});

test('the declared limits of tests and hooks grow with the factor', async () => {
  const file = `
    const wait = () => new Promise((resolve) => setTimeout(resolve, 200));
    beforeEach(wait, 100);
    test('declares a limit', wait, 100);
    test('has the default limit', wait);
  `;
  await writeFile(join(folder, 'slow.test.js'), file);
  const testEnvironment = resolve('test/harness/scaled-environment.mjs');
  const config = JSON.stringify({ rootDir: folder, testEnvironment, testTimeout: DEFAULT_LIMIT, transform: {} });
  const jest = (factor: string) =>
    run(process.execPath, ['node_modules/jest/bin/jest.js', '--ci', '--config', config], {
      env: { ...process.env, FSTORE_TEST_TIME_FACTOR: factor },
    });
  await expect(jest('1')).rejects.toMatchObject({ stderr: expect.stringContaining('Tests:       2 failed') });
  expect((await jest('20')).stderr).toContain('Tests:       2 passed');
});

test('every other limit in the tests is scaled where it is written', async () => {
  const unscaled: string[] = [];
  for (const name of await readdir('test', { recursive: true })) {
    if (!name.endsWith('.ts')) continue;
    const lines = (await readFile(join('test', name), 'utf8')).split('\n');
    for (const line of lines) {
      const isLimit = /\b(?:timeout|\w+Timeout|deadline): \d|Date\.now\(\) \+ \d|elapsed\)\.toBeLess/.test(line);
      const isElapsed = /(?:performance|Date)\.now\(\) - \w+\)\.toBeLess/.test(line) && !line.includes('scaled(');
      // A limit of the product itself, which the test is about.
      if (line.includes('createPostgresQueryReader(')) continue;
      if (isLimit || isElapsed) unscaled.push(`${name}: ${line.trim()}`);
    }
  }
  expect(unscaled).toEqual([]);
});
