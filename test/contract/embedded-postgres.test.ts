/** The PostgreSQL of the embedded default, as FStore starts it. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/store/embedded-postgres.js';
import { type RunningProcess, startProcess, whenReady } from '../harness/child-process.js';
import { eventually } from '../harness/eventually.js';

const HOST = `
  import { startEmbeddedPostgres } from './src/store/embedded-postgres.ts';
  process.umask(Number.parseInt(process.argv[2], 8));
  const postgres = await startEmbeddedPostgres({ dataFolder: process.argv[1] });
  process.once('SIGTERM', () => postgres.stop().then(() => process.exit()));
  console.log('READY ' + postgres.url);
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
function spawnHost(dataFolder: string, umask = '022'): RunningProcess {
  const logFile = join(folder, `host-${hosts.length}.log`);
  const args = ['--import', 'tsx', '--input-type=module', '-e', HOST, dataFolder, umask];
  const host = startProcess(process.execPath, args, { logFile, env: { NODE_OPTIONS: '' } });
  hosts.push(host);
  return host;
}

async function startHost(dataFolder: string, { umask = '022' } = {}): Promise<{ url: string; host: RunningProcess }> {
  const host = spawnHost(dataFolder, umask);
  const url = await whenReady(host, async () => {
    const found = /^READY (\S+)$/m.exec(host.logTail(100))?.[1];
    if (!found) throw new Error('it is not ready yet');
    return found;
  });
  return { url, host };
}

/** Mounts a file system of 260 MB; false where that is not allowed. */
async function mountSmallDisk(path: string): Promise<boolean> {
  return promisify(execFile)('mount', ['-t', 'tmpfs', '-o', 'size=260m', 'tmpfs', path]).then(
    () => chmod(path, 0o755).then(() => true),
    () => false,
  );
}

/** The id of the server process. */
async function serverOf(dataFolder: string): Promise<number> {
  return Number((await readFile(join(dataFolder, 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);
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
    const pid = await serverOf(data);
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

  test('starts in a folder that others may not enter, also by way of a link, and whatever the umask is', async () => {
    const closed = join(folder, 'closed');
    await mkdir(closed, { mode: 0o700 });
    await symlink(closed, join(folder, 'link'));
    for (const data of [join(closed, 'data'), join(folder, 'link', 'data'), join(folder, 'a', 'b', 'data')]) {
      const { url, host } = await startHost(data, { umask: '077' });
      expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      host.kill('SIGTERM');
      await host.exited;
      const elsewhere = `/var/tmp/fstore-${createHash('sha256').update(data).digest('hex').slice(0, 16)}`;
      const isElsewhere = await stat(elsewhere).then(
        () => true,
        () => false,
      );
      // Only root's server is another user.
      expect(isElsewhere).toBe(process.getuid?.() === 0 && !data.startsWith(join(folder, 'a')));
      await rm(elsewhere, { recursive: true, force: true });
    }
  });

  test('starts after FStore was killed at any moment of its first start', async () => {
    const data = join(folder, 'data');
    const holds = (name: RegExp) => async () => {
      const names = await readdir(data).catch(() => []);
      expect(names.filter((one) => name.test(one))).not.toEqual([]);
    };
    const moments = [holds(/^owner$/), holds(/^postgresql-.*draft$/), holds(/^data\..*draft$/), holds(/^data$/)];
    for (const moment of moments) {
      const host = spawnHost(data);
      await eventually(moment, { everyMs: 2 });
      host.kill('SIGKILL');
      await host.exited;
    }
    const { url } = await startHost(data);
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('ends a server that was left behind without its watcher', async () => {
    const data = join(folder, 'data');
    const { host, url } = await startHost(data);
    await query(url, 'CREATE TABLE kept (n integer)');
    const server = await serverOf(data);
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      if (command.startsWith('sh\0-c\0') && command.includes(data)) process.kill(Number(pid), 'SIGKILL');
    }
    host.kill('SIGKILL');
    await host.exited;
    expect(await readFile(`/proc/${server}/cmdline`, 'utf8')).toContain(data);
    const second = await startHost(data);
    expect(await query(second.url, 'SELECT * FROM kept')).toEqual([]);
  });

  test('takes no other process for the owner because it has the same id', async () => {
    const data = join(folder, 'data');
    await mkdir(data);
    await writeFile(join(data, 'owner'), `${process.pid}\n1\nanother boot`);
    const { host } = await startHost(data);
    host.kill('SIGTERM');
    await host.exited;
    // As it is in a container, where ids are few: the server's id belongs to another program now.
    await writeFile(join(data, 'data', 'postmaster.pid'), `${process.pid}\n`);
    await startHost(data);
  });

  test('has one owner at a time within one process, too', async () => {
    const data = join(folder, 'data');
    const starts = await Promise.allSettled([1, 2, 3].map(() => startEmbeddedPostgres({ dataFolder: data })));
    const running = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
    const refused = starts.flatMap((start) => (start.status === 'rejected' ? [start.reason as unknown] : []));
    expect(running).toHaveLength(1);
    for (const reason of refused) {
      expect(reason).toMatchObject({
        code: 'EMBEDDED_POSTGRES_FAILED',
        message: expect.stringContaining(`${process.pid}`),
      });
    }
    await running[0]!.stop();
    const again = await startEmbeddedPostgres({ dataFolder: data });
    await running[0]!.stop();
    await expect(startEmbeddedPostgres({ dataFolder: data })).rejects.toMatchObject({
      code: 'EMBEDDED_POSTGRES_FAILED',
    });
    await again.stop();
  });

  test('is started again on the same port when its server is killed, and the log says why it ended', async () => {
    const data = join(folder, 'data');
    const messages: { level: string; message: string; fields: Record<string, unknown> | undefined }[] = [];
    const postgres = await startEmbeddedPostgres({
      dataFolder: data,
      log: (level, message, fields) => messages.push({ level, message, fields }),
    });
    try {
      await query(postgres.url, 'CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n');
      for (let kill = 1; kill <= 2; kill += 1) {
        const server = await serverOf(data);
        process.kill(server, 'SIGKILL');
        await eventually(async () => expect(await serverOf(data)).not.toBe(server));
        await eventually(async () =>
          expect(await query(postgres.url, 'SELECT count(*)::int AS n FROM kept')).toEqual([{ n: 1000 }]),
        );
      }
      await eventually(() => expect(messages.filter(({ level }) => level === 'info')).toHaveLength(2));
      expect(messages.length).toBeLessThan(8);
      expect(messages[0]).toMatchObject({
        message: expect.stringContaining('the embedded PostgreSQL ended'),
        fields: { code: 'EMBEDDED_POSTGRES_FAILED', reason: expect.stringContaining('SIGKILL') },
      });
    } finally {
      await postgres.stop();
    }
    await expect(serverOf(data)).rejects.toThrow();
  });

  test('starts again when its disk has room again, and the log says that the disk was full', async () => {
    const disk = join(folder, 'disk');
    await mkdir(disk, { mode: 0o755 });
    // Only root may mount; elsewhere the case before this one is the test of starting again.
    if (!(await mountSmallDisk(disk))) return;
    try {
      const data = join(disk, 'data');
      const codes: unknown[] = [];
      const postgres = await startEmbeddedPostgres({
        dataFolder: data,
        log: (_level, _message, fields) => void (fields?.code && codes.push(fields.code)),
      });
      try {
        await query(postgres.url, 'CREATE TABLE kept AS SELECT 1 AS n');
        const server = await serverOf(data);
        await writeFile(join(disk, 'ballast'), Buffer.alloc(400_000_000)).catch(() => {});
        // PostgreSQL ends when there is no room for the next segment of its write-ahead log, which is 16 MB.
        const write = `SELECT pg_logical_emit_message(true, 'filler', repeat('x', 1000000)) FROM generate_series(1, 20)`;
        await eventually(async () => {
          await query(postgres.url, write).catch(() => {});
          expect(codes).toContain('DISK_FULL');
        });
        await rm(join(disk, 'ballast'));
        await eventually(async () => expect(await query(postgres.url, 'SELECT n FROM kept')).toEqual([{ n: 1 }]));
        expect(await serverOf(data)).not.toBe(server);
        expect(codes.length).toBeLessThan(8);
      } finally {
        await postgres.stop();
      }
    } finally {
      await promisify(execFile)('umount', ['-l', disk]);
    }
  });

  test('says where its log is, and how it ends, when it does not start', async () => {
    const data = join(folder, 'data');
    await (await startEmbeddedPostgres({ dataFolder: data })).stop();
    await writeFile(join(data, 'data', 'PG_VERSION'), '9.4\n');
    await expect(startEmbeddedPostgres({ dataFolder: data })).rejects.toMatchObject({
      code: 'EMBEDDED_POSTGRES_FAILED',
      message: expect.stringMatching(/postgres\.log ends with: .*9\.4/s),
    });
  });

  test('keeps data, log and password from other users', async () => {
    const data = join(folder, 'data');
    await startHost(data);
    for (const name of ['data', 'postgres.log', 'password']) {
      expect((await stat(join(data, name))).mode & 0o077).toBe(0);
    }
  });

  test('works without a superuser, also in a data folder whose schemas belong to one, and queries only read tables of users', async () => {
    const data = join(folder, 'data');
    const first = await startEmbeddedPostgres({ dataFolder: data });
    const owner = new URL(first.url);
    owner.username = 'fstore';
    owner.password = (await readFile(join(data, 'password'), 'utf8')).trim();
    await query(
      owner.href,
      `CREATE SCHEMA fstore_old;
      CREATE TABLE fstore_old.log (id bigint GENERATED ALWAYS AS IDENTITY, n serial, word text);
      CREATE VIEW fstore_old.words AS SELECT word FROM fstore_old.log;
      CREATE FUNCTION fstore_old.one() RETURNS integer LANGUAGE sql AS 'SELECT 1';
      CREATE TYPE fstore_old.color AS ENUM ('red');
      CREATE TABLE visits (word text);
      INSERT INTO visits VALUES ('seen')`,
    );
    await first.stop();
    const again = await startEmbeddedPostgres({ dataFolder: data });
    try {
      const superusers = 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user';
      for (const url of [again.url, again.readUrl]) expect(await query(url, superusers)).toEqual([{ rolsuper: false }]);
      expect(new URL(again.url).password).not.toBe(new URL(first.url).password);
      await query(
        again.url,
        "ALTER TABLE fstore_old.log ADD COLUMN more text; INSERT INTO fstore_old.log (word) VALUES ('a')",
      );
      await query(
        again.url,
        'DROP SCHEMA fstore_old CASCADE; CREATE SCHEMA fstore_new; CREATE TABLE fstore_new.log (n integer)',
      );
      expect(await query(again.readUrl, 'SELECT word FROM visits')).toEqual([{ word: 'seen' }]);
      for (const refused of [
        'SELECT * FROM fstore_new.log',
        "SET transaction_read_only = off; INSERT INTO visits VALUES ('x')",
        'SET transaction_read_only = off; CREATE TABLE mine (n integer)',
        'SET transaction_read_only = off; CREATE TEMP TABLE mine (n integer)',
        'SELECT pg_advisory_lock(1)',
        "SELECT pg_notify('a', 'b')",
        'SELECT pg_terminate_backend(pg_backend_pid())',
        "COPY (SELECT 1) TO PROGRAM 'true'",
      ]) {
        await expect(query(again.readUrl, refused)).rejects.toMatchObject({ code: '42501' });
      }
    } finally {
      await again.stop();
    }
  });
});
