/**
 * The PostgreSQL of the embedded default: a real server of FStore's own, started and ended with it.
 *
 * Invariants
 * 1. The data survives kill -9 of everything: nothing about durability is switched off.
 * 2. The server never outlives FStore, not even one that was killed: a watcher ends it when FStore's end of a pipe closes.
 * 3. One data folder has one owner: a second FStore is refused with the pid of the first.
 * 4. It listens on loopback only, behind a password that only the owner of the data folder can read.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { openSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { FStoreError } from '../errors.js';
import { installBinaries } from './embedded-binaries-postgres.js';

export interface EmbeddedPostgresOptions {
  readonly dataFolder: string;
  readonly log?: (level: 'info' | 'warn', message: string, fields?: Record<string, unknown>) => void;
}

export interface EmbeddedPostgres {
  readonly url: string;
  readonly version: string;
  /** Fast shutdown: transactions that run are rolled back, everything committed is on disk. */
  stop(): Promise<void>;
}

interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

const START_TIMEOUT = 60_000;
const LEFTOVER_TIMEOUT = 20_000;
const SETTINGS = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'max_connections=100',
  'shared_buffers=64MB',
  'wal_level=minimal',
  'max_wal_senders=0',
  'jit=off',
  'timezone=UTC',
  'log_timezone=UTC',
];
/**
 * Becomes the server (`exec`), so that its pid is the one we know, beside a watcher that reads a pipe of which only FStore
 * holds the other end: the end of the pipe is the end of FStore, and then the server is asked to stop.
 */
const SUPERVISOR = `
( ( read -r line <&3 && exit 0; kill -s INT $$ 2>/dev/null ) </dev/null >/dev/null 2>&1 & )
exec "$@" 3<&-
`;

/** Starts the server on a data folder, creating both at first. Throws EMBEDDED_POSTGRES_FAILED. */
export async function startEmbeddedPostgres({
  dataFolder,
  log = () => {},
}: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const user = await serverUser();
  const root = await reachableRoot(resolve(dataFolder), user);
  if (root !== resolve(dataFolder))
    log('info', 'the data folder is elsewhere, where the server can reach it', { folder: root });
  await mkdir(root, { recursive: true });
  if (user) await chmod(root, 0o755);
  const data = join(root, 'data');
  await awaitLeftover(root, data);
  await writeFile(join(root, 'owner'), `${process.pid}`);
  const { folder, version } = await installBinaries(root);
  const logFile = join(root, 'postgres.log');
  const password = await createCluster(folder, root, data, logFile, user);

  const port = await freePort();
  const output = openSync(logFile, 'a');
  const settings = SETTINGS.flatMap((setting) => ['-c', setting]);
  const child = spawn(
    'sh',
    ['-c', SUPERVISOR, 'sh', join(folder, 'bin', 'postgres'), '-D', data, '-p', `${port}`, ...settings],
    {
      ...user,
      cwd: data,
      // A session of its own: Ctrl-C reaches FStore alone, which ends the server last.
      detached: true,
      stdio: ['ignore', output, output, 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
    },
  );
  const lifeline = child.stdio[3] as Writable;
  lifeline.on('error', () => {});
  let ended = false;
  const exited = new Promise<void>((settle) => {
    child.once('exit', () => {
      ended = true;
      lifeline.end('gone\n');
      settle();
    });
  });
  // The server must not keep FStore alive by itself: whoever started it stops it.
  child.unref();
  (lifeline as unknown as { unref(): void }).unref();
  const stop = async (): Promise<void> => {
    child.ref();
    child.kill('SIGINT');
    await exited;
  };
  const url = `postgres://fstore:${password}@127.0.0.1:${port}/postgres`;
  const deadline = Date.now() + START_TIMEOUT;
  while (!(await answers(url))) {
    if (ended || Date.now() > deadline) {
      await stop();
      throw new FStoreError(
        'EMBEDDED_POSTGRES_FAILED',
        `it did not start; ${logFile} ends with: ${await tail(logFile)}`,
      );
    }
    await delay(30);
  }
  return { url, version, stop };
}

/** PostgreSQL refuses root; then it runs as `postgres`, or as `nobody`. */
async function serverUser(): Promise<SystemUser | null> {
  if (process.getuid?.() !== 0) return null;
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const user = users.find(([candidate]) => candidate === name);
    if (user) return { uid: Number(user[2]), gid: Number(user[3]) };
  }
  throw new FStoreError(
    'EMBEDDED_POSTGRES_FAILED',
    'PostgreSQL does not run as root, and there is no user postgres or nobody',
  );
}

/** The folder itself, or one under /var/tmp if the server's user may not enter all folders above it. */
async function reachableRoot(folder: string, user: SystemUser | null): Promise<string> {
  if (!user) return folder;
  for (let place = dirname(folder); ; place = dirname(place)) {
    const found = await stat(place).catch(() => null);
    if (found && (found.mode & 0o001) === 0) {
      return join('/var/tmp', `fstore-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}`);
    }
    if (place === dirname(place)) return folder;
  }
}

async function readPid(file: string): Promise<number | null> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const pid = Number(text.split('\n')[0]);
  return Number.isInteger(pid) && pid > 0 ? pid : null;
}

/** A zombie counts as dead: it holds nothing any more, and where nobody reaps it, it stays for ever. */
async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return !/^\d+ \(.*\) Z/s.test(state);
}

/** Waits for the server of an FStore that was killed; refuses if its FStore is alive. */
async function awaitLeftover(root: string, data: string): Promise<void> {
  const lock = join(data, 'postmaster.pid');
  const deadline = Date.now() + LEFTOVER_TIMEOUT;
  for (;;) {
    const server = await readPid(lock);
    if (server === null) return;
    if (!(await isAlive(server))) return rm(lock, { force: true });
    const owner = await readPid(join(root, 'owner'));
    if (owner !== null && owner !== process.pid && (await isAlive(owner))) {
      throw new FStoreError('EMBEDDED_POSTGRES_FAILED', `process ${owner} uses the data folder ${root}`);
    }
    if (Date.now() > deadline) {
      throw new FStoreError('EMBEDDED_POSTGRES_FAILED', `server process ${server} still holds the data folder ${root}`);
    }
    await delay(50);
  }
}

/** Creates the database files at the first start; returns the password. */
async function createCluster(
  folder: string,
  root: string,
  data: string,
  logFile: string,
  user: SystemUser | null,
): Promise<string> {
  const passwordFile = join(root, 'password');
  if (await stat(join(data, 'PG_VERSION')).catch(() => null)) return (await readFile(passwordFile, 'utf8')).trim();
  const password = randomBytes(18).toString('hex');
  await writeFile(passwordFile, password, { mode: 0o600 });
  await mkdir(data, { recursive: true, mode: 0o700 });
  if (user) {
    await chown(data, user.uid, user.gid);
    await chown(passwordFile, user.uid, user.gid);
  }
  const output = openSync(logFile, 'a');
  const create = [
    '-D',
    data,
    '-U',
    'fstore',
    '-E',
    'UTF8',
    '--locale=C',
    '-A',
    'scram-sha-256',
    '--pwfile',
    passwordFile,
    '--no-instructions',
  ];
  const child = spawn(join(folder, 'bin', 'initdb'), create, {
    ...user,
    cwd: data,
    stdio: ['ignore', output, output],
    env: { LC_ALL: 'C', PATH: process.env.PATH },
  });
  const code = await new Promise<number | null>((settle) => {
    child.once('exit', settle);
    child.once('error', () => settle(127));
  });
  if (code !== 0)
    throw new FStoreError(
      'EMBEDDED_POSTGRES_FAILED',
      `initdb ended with ${code}; ${logFile} ends with: ${await tail(logFile)}`,
    );
  return password;
}

async function tail(file: string): Promise<string> {
  return (await readFile(file, 'utf8').catch(() => '')).trimEnd().split('\n').slice(-5).join(' / ');
}

function freePort(): Promise<number> {
  return new Promise((settle, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => settle(port));
    });
  });
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}
