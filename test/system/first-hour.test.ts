/** README and QUICKSTART, done as they stand there: the first read answers the value that was pushed. */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../harness/eventually.js';
import { readPage } from '../harness/pages.js';
import { ask } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const run = promisify(execFile);

describe.each(['README.md', 'QUICKSTART.md'])('%s', (path) => {
  const { blocks } = readPage(path);
  const of = (language: string) => blocks.filter((one) => one.language === language).map(({ body }) => body);
  let platform: Platform;
  let fstore: FStoreProcess;
  /** Runs a block as a shell does; `fstore` and `node dist/main.js` are the build, the address is that of this test. */
  const shell = async (script: string) => {
    const main = `"${process.execPath}" "${resolve('dist/main.js')}"`;
    const text = script
      .replaceAll('node dist/main.js', 'fstore')
      .replace(/^alias .*$/gm, '')
      .replace(/^fstore watch .*$/gm, '')
      .replaceAll('localhost:4000', fstore.url);
    const env = { ...process.env, FSTORE_URL: fstore.url };
    const program = `set -eo pipefail; fstore() { ${main} "$@"; }; ${text}`;
    return (await run('bash', ['-c', program], { cwd: platform.folder, env })).stdout;
  };
  beforeAll(async () => {
    platform = await createPlatform('embedded');
    fstore = await platform.start();
    await mkdir(join(platform.folder, 'schema'), { recursive: true });
    await writeFile(join(platform.folder, 'features.yaml'), of('yaml')[0]!);
  }, 120_000);
  afterAll(() => platform?.drop());

  test('shows a push whose first read answers the value', async () => {
    expect(await shell('fstore plan features.yaml && fstore apply features.yaml')).toContain('Applied');
    const pushes = of('sh').filter((script) => script.includes('push transactions -'));
    expect(pushes).toHaveLength(1);
    await shell(pushes[0]!.split('\n').find((line) => line.includes('push transactions -'))!);
    const read = '{ user(id: "u1") { lastTransaction { amount country eventTime status } } }';
    await eventually(async () =>
      expect(await ask(fstore.url, read)).toMatchObject({
        user: { lastTransaction: { amount: 12.5, country: 'NL', status: 'PRESENT' } },
      }),
    );
    // The whole block, too: what it reads after the push is there.
    expect(await shell(pushes[0]!)).toContain('Accepted 1 event');
    for (const script of of('sh').filter((one) => one.includes('curl '))) expect(await shell(script)).toContain('12.5');
  }, 60_000);

  test('shows queries that the server answers', async () => {
    for (const query of of('graphql').filter((one) => !/^\s*subscription/.test(one))) {
      expect(Object.values(await ask<object>(fstore.url, query))[0]).not.toBeNull();
    }
  }, 60_000);
});
