/**
 * The embedded PostgreSQL: a real server that FStore starts and stops.
 *
 * Invariants
 * 1. The data survives kill -9 of all processes: durability is fully on.
 * 2. The server never outlives FStore, even if FStore was killed: a watcher stops it when FStore's end of a pipe
 *    closes.
 * 3. A data folder has one owner: a second FStore is refused with the pid of the first.
 * 4. The server listens on loopback only, and its password is readable only by the owner of the data folder.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { FStoreError } from '../errors.js';
import { installBinaries } from './embedded-binaries-postgres.js';
import { claimFolder, isAlive, openFolder, readPid, type SystemUser, serverUser } from './embedded-folder-postgres.js';
import { prepareRoles } from './embedded-role-postgres.js';

export interface EmbeddedPostgresOptions {
  readonly dataFolder: string;
  readonly log?: (level: 'info' | 'warn', message: string, fields?: Record<string, unknown>) => void;
}

export interface EmbeddedPostgres {
  /** Address with the login of FStore itself. */
  readonly url: string;
  /** Address with the login for SQL that users write. */
  readonly readUrl: string;
  readonly version: string;
  /** Stops the server fast: active transactions are rolled back, committed data is on disk. */
  stop(): Promise<void>;
}

const START_TIMEOUT = 60_000;
const LEFTOVER_TIMEOUT = 60_000;
const STOP_TIMEOUT = 30_000;
const LOG = 'postgres.log';
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
 * Becomes the program (`exec`), so that its pid is the one we know, beside a watcher that reads a pipe of which only FStore
 * holds the other end: the end of the pipe is the end of FStore, and then the program is asked to stop, and later told to.
 */
const SUPERVISOR = `
( (
  read -r line <&3 && exit 0
  kill -s INT $$ 2>/dev/null
  i=0
  while [ $i -lt 30 ] && kill -s 0 $$ 2>/dev/null; do sleep 1; i=$((i+1)); done
  kill -s QUIT $$ 2>/dev/null
) </dev/null >/dev/null 2>&1 & )
exec "$@" 3<&-
`;

/** Starts the server on a data folder, creating both at first. Throws EMBEDDED_POSTGRES_FAILED. */
export async function startEmbeddedPostgres({
  dataFolder,
  log = () => {},
}: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const user = await serverUser();
  const root = await openFolder(resolve(dataFolder), user);
  if (root !== resolve(dataFolder))
    log('info', 'the data folder is elsewhere, where the server can reach it', { folder: root });
  const release = await claimFolder(root);
  try {
    await awaitLeftover(root);
    const { folder, version } = await installBinaries(root);
    const password = await createCluster(folder, root, user);
    const { url, stop } = await startServer(folder, root, password, user);
    const logins = await prepareRoles(url).catch(async (error: Error) => {
      await stop();
      throw await failure(root, `its roles were not created (${error.message})`);
    });
    return { ...logins, version, stop: () => stop().finally(release) };
  } catch (error) {
    await release();
    throw error;
  }
}

/** Waits for the server of an FStore that was killed, and ends it should nobody else do so. */
async function awaitLeftover(root: string): Promise<void> {
  const data = join(root, 'data');
  const lock = join(data, 'postmaster.pid');
  const deadline = Date.now() + LEFTOVER_TIMEOUT;
  for (let asked = false; ; ) {
    const server = await readPid(lock);
    if (server === null) return;
    const command = await readFile(`/proc/${server}/cmdline`, 'utf8').catch(() => null);
    // PostgreSQL takes any process of this id for the one that had it, though it may be quite another one by now.
    if (!(await isAlive(server)) || (command !== null && !command.includes(data))) return rm(lock, { force: true });
    if (!asked && command !== null) process.kill(server, 'SIGINT');
    asked = true;
    if (Date.now() > deadline) {
      throw new FStoreError('EMBEDDED_POSTGRES_FAILED', `server process ${server} still holds the data folder ${root}`);
    }
    await delay(50);
  }
}

/** Creates the database files at the first start; returns the password. */
async function createCluster(folder: string, root: string, user: SystemUser | null): Promise<string> {
  const data = join(root, 'data');
  const passwordFile = join(root, 'password');
  if (await stat(data).catch(() => null)) return (await readFile(passwordFile, 'utf8')).trim();
  const password = randomBytes(18).toString('hex');
  for (const name of await readdir(root)) {
    if (name.endsWith('.draft')) await rm(join(root, name), { recursive: true, force: true }).catch(() => {});
  }
  // A unique name, because the initdb of a killed FStore may still be writing to another draft.
  const draft = `${data}.${randomBytes(6).toString('hex')}.draft`;
  await rm(passwordFile, { force: true });
  await writeFile(passwordFile, password, { mode: 0o600 });
  await mkdir(draft, { mode: 0o700 });
  if (user) {
    await chown(draft, user.uid, user.gid);
    await chown(passwordFile, user.uid, user.gid);
  }
  const options = ['-D', draft, '-U', 'fstore', '-E', 'UTF8', '--locale=C', '-A', 'scram-sha-256', '--no-instructions'];
  const initdb = supervise([join(folder, 'bin', 'initdb'), ...options, '--pwfile', passwordFile], root, draft, user);
  const code = await initdb.exited;
  if (code !== 0) throw await failure(root, `initdb ended with ${code}`);
  // Renamed when it is whole: files whose creation was cut short are never taken for a database.
  await rename(draft, data);
  return password;
}

async function startServer(
  folder: string,
  root: string,
  password: string,
  user: SystemUser | null,
): Promise<{ url: string; stop(): Promise<void> }> {
  const data = join(root, 'data');
  const settings = SETTINGS.flatMap((setting) => ['-c', setting]);
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const command = [join(folder, 'bin', 'postgres'), '-D', data, '-p', `${port}`, ...settings];
    const server = supervise(command, root, data, user);
    const url = `postgres://fstore:${password}@127.0.0.1:${port}/postgres`;
    let deadline = Date.now() + START_TIMEOUT;
    while (!server.ended && Date.now() < deadline) {
      const answer = await probe(url);
      if (answer === 'ready') {
        server.unref();
        return { url, stop: () => server.stop() };
      }
      // It is there, and still replays what a crash left: that may take its time.
      if (answer === 'starting') deadline = Date.now() + START_TIMEOUT;
      await delay(30);
    }
    await server.stop();
    const error = await failure(root, 'it did not start');
    // Somebody took the port between our look and the server's, or a process of a server that was killed lingers.
    if (attempt >= 5 || !/in use/.test(error.message)) throw error;
    await delay(attempt * 200);
  }
}

interface Supervised {
  readonly ended: boolean;
  /** Resolves with its exit code; never rejects. */
  readonly exited: Promise<number | null>;
  stop(): Promise<void>;
  /** Lets this process end without it: whoever started it stops it. */
  unref(): void;
}

/** Starts a program that ends with this process, whatever ends this process. */
function supervise(command: readonly string[], root: string, cwd: string, user: SystemUser | null): Supervised {
  const output = openSync(join(root, LOG), 'a', 0o600);
  const child = spawn('sh', ['-c', SUPERVISOR, 'sh', ...command], {
    ...user,
    cwd,
    // A session of its own: Ctrl-C reaches FStore alone, which ends the server last.
    detached: true,
    stdio: ['ignore', output, output, 'pipe'],
    // No more than it needs: whoever runs as the server's user can read its environment.
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
  });
  closeSync(output);
  const lifeline = child.stdio[3] as Writable & { unref(): void };
  lifeline.on('error', () => {});
  let ended = false;
  const exited = new Promise<number | null>((settle) => {
    const end = (code: number | null): void => {
      ended = true;
      lifeline.end('gone\n');
      settle(code);
    };
    child.once('exit', end);
    child.once('error', () => end(127));
  });
  return {
    get ended() {
      return ended;
    },
    exited,
    async stop() {
      child.ref();
      child.kill('SIGINT');
      // What is committed is in the write-ahead log: an immediate end loses nothing, it only costs the next start.
      const timer = setTimeout(() => child.kill('SIGQUIT'), STOP_TIMEOUT);
      await exited;
      clearTimeout(timer);
    },
    unref() {
      child.unref();
      lifeline.unref();
    },
  };
}

async function failure(root: string, what: string): Promise<FStoreError> {
  const file = join(root, LOG);
  return new FStoreError('EMBEDDED_POSTGRES_FAILED', `${what}; ${file} ends with: ${await tail(file)}`);
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

async function probe(url: string): Promise<'ready' | 'starting' | 'absent'> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.end();
    return 'ready';
  } catch (error) {
    return (error as { code?: string }).code === '57P03' ? 'starting' : 'absent';
  }
}
