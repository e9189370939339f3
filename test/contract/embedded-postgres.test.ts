/** The PostgreSQL of the embedded default, as FStore starts it. */
import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/store/embedded-postgres.js';
import { type RunningProcess, startProcess, whenReady } from '../harness/child-process.js';
import { eventually } from '../harness/eventually.js';

const HOST = `
  import { startEmbeddedPostgres } from './src/store/embedded-postgres.ts';
  const { url } = await startEmbeddedPostgres({ dataFolder: process.argv[1] });
  console.log('READY ' + url);
  setInterval(() => {}, 1000);
`;

let folder: string;
let hosts: RunningProcess[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fstore-embedded-'));
  await chmod(folder, 0o755);
  hosts = [];
});
afterEach(async () => {
  for (const host of hosts) host.kill('SIGKILL');
  // The server of a host that was killed may still be writing its last.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

/** A process of its own that hosts the server, so that it can be killed. */
async function startHost(dataFolder: string): Promise<{ url: string; host: RunningProcess }> {
  const logFile = join(folder, `host-${hosts.length}.log`);
  const host = startProcess(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', HOST, dataFolder], {
    logFile,
    env: { NODE_OPTIONS: '' },
  });
  hosts.push(host);
  const url = await whenReady(host, async () => {
    const found = /^READY (\S+)$/m.exec(host.logTail(100))?.[1];
    if (!found) throw new Error('it is not ready yet');
    return found;
  });
  return { url, host };
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows as unknown[];
  } finally {
    await client.end();
  }
}

describe('the embedded PostgreSQL', () => {
  test('keeps what was committed when FStore is killed, and does not outlive it', async () => {
    const data = join(folder, 'data');
    const first = await startHost(data);
    await query(first.url, 'CREATE TABLE kept (n integer)');
    await query(first.url, 'INSERT INTO kept SELECT generate_series(1, 1000)');
    const pid = Number((await readFile(join(data, 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);
    first.host.kill('SIGKILL');
    const second = await startHost(data);
    expect(await query(second.url, 'SELECT count(*)::int AS n FROM kept')).toEqual([{ n: 1000 }]);
    // Where nobody reaps it, a dead process leaves a zombie, which has no command line.
    expect(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).toBe('');
    second.host.kill('SIGKILL');
    await eventually(
      async () => await expect(readFile(join(data, 'data', 'postmaster.pid'), 'utf8')).rejects.toThrow(),
    );
  });

  test('refuses a second owner of the same data, naming the first', async () => {
    const data = join(folder, 'data');
    const { host } = await startHost(data);
    await expect(startEmbeddedPostgres({ dataFolder: data })).rejects.toMatchObject({
      code: 'EMBEDDED_POSTGRES_FAILED',
      message: expect.stringContaining(`${host.pid}`),
    });
  });

  test('lets nobody in without the password', async () => {
    const { url } = await startHost(join(folder, 'data'));
    const wrong = new URL(url);
    wrong.password = 'guess';
    await expect(query(wrong.href, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
  });

  test('starts in a folder that others may not enter', async () => {
    const closed = join(folder, 'closed');
    await mkdir(closed, { mode: 0o700 });
    const { url } = await startHost(join(closed, 'data'));
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});
