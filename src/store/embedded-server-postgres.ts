/**
 * Runs the server process of the embedded PostgreSQL, and starts it again when it ends.
 *
 * Invariants
 * 1. The server never outlives FStore, not even when FStore is killed: a watcher ends it when FStore's end of a pipe closes.
 * 2. A server that ended is started again on the same port, for as long as FStore runs, so that pools connect again.
 * 3. The log says once why the server ended. It repeats a reason only after the server has run well for a while.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { FStoreError } from '../errors.js';
import { awaitLeftover, type SystemUser } from './embedded-folder-postgres.js';
import { logFile, logSize, passwordInvalid, serverFailure } from './embedded-log-postgres.js';

export type EmbeddedLog = (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;

export interface EmbeddedServerOptions {
  /** Folder of the binaries, which has `bin` in it. */
  readonly binaries: string;
  /** The data folder of FStore; the files of PostgreSQL lie in `data` below it. */
  readonly root: string;
  readonly password: string;
  readonly user: SystemUser | null;
  readonly log: EmbeddedLog;
}

const START_TIMEOUT = 60_000;
const STOP_TIMEOUT = 30_000;
const START_ATTEMPTS = 5;
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 5_000;
/** A server that ran for so long begins again with the shortest pause. */
const GOOD_RUN = 60_000;
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

/** Starts the server. Throws EMBEDDED_POSTGRES_FAILED, EMBEDDED_PASSWORD_INVALID or DISK_FULL. */
export async function runServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  for (let attempt = 1; ; attempt += 1) {
    const server = new EmbeddedServer(options, await freePort());
    try {
      await server.start();
      return server;
    } catch (error) {
      // Another process took the port meanwhile, or processes of a server that was killed linger.
      if (attempt >= START_ATTEMPTS || !/in use/.test((error as Error).message)) throw error;
      await delay(attempt * 200);
    }
  }
}

export class EmbeddedServer {
  readonly url: string;
  readonly #options: EmbeddedServerOptions;
  readonly #port: number;
  readonly #stopping = new AbortController();
  #process: Supervised | null = null;
  /** Bytes that the log had when the process was started. */
  #logStart = 0;
  #guarding: Promise<void> = Promise.resolve();

  constructor(options: EmbeddedServerOptions, port: number) {
    this.#options = options;
    this.#port = port;
    this.url = `postgres://fstore:${encodeURIComponent(options.password)}@127.0.0.1:${port}/postgres`;
  }

  /** Starts the server and guards it from there. Call it once. */
  async start(): Promise<void> {
    this.#guarding = this.#guard(await this.#launch());
  }

  /** Fast shutdown: running transactions are rolled back, everything committed is on disk. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#process?.stop();
    await this.#guarding;
  }

  /** Starts the process; resolves when it answers. */
  async #launch(): Promise<Supervised> {
    const { binaries, root, user } = this.#options;
    const data = join(root, 'data');
    const settings = SETTINGS.flatMap((setting) => ['-c', setting]);
    const command = [join(binaries, 'bin', 'postgres'), '-D', data, '-p', `${this.#port}`, ...settings];
    this.#logStart = await logSize(root);
    const server = supervise(command, root, data, user);
    this.#process = server;
    let deadline = Date.now() + START_TIMEOUT;
    while (!server.ended && !this.#stopping.signal.aborted && Date.now() < deadline) {
      const answer = await probe(this.url);
      if (answer === 'ready') {
        server.unref();
        return server;
      }
      if (answer === 'refused') {
        await server.stop();
        throw passwordInvalid(root, 'it is not the password of the database');
      }
      // A server that replays what a crash left may take its time.
      if (answer === 'starting') deadline = Date.now() + START_TIMEOUT;
      await delay(30);
    }
    await server.stop();
    throw await serverFailure(root, 'it did not start', this.#logStart);
  }

  /** Starts the server again whenever it ends, until `stop`. */
  async #guard(first: Supervised): Promise<void> {
    const { log, root } = this.#options;
    const { signal } = this.#stopping;
    let said = '';
    const say = (message: string, error: Error): void => {
      if (error.message === said) return;
      said = error.message;
      log('error', message, { code: error instanceof FStoreError ? error.code : 'INTERNAL', reason: error.message });
    };
    let pause = FIRST_PAUSE;
    for (let server: Supervised | null = first; ; ) {
      if (server) {
        const begun = performance.now();
        const end = await server.exited;
        if (signal.aborted) return;
        if (performance.now() - begun > GOOD_RUN) {
          pause = FIRST_PAUSE;
          said = '';
        }
        say('the embedded PostgreSQL ended; FStore starts it again', await serverFailure(root, end, this.#logStart));
      }
      await delay(pause, undefined, { signal, ref: false }).catch(() => {});
      pause = Math.min(pause * 2, LONGEST_PAUSE);
      if (signal.aborted) return;
      try {
        await awaitLeftover(root);
        server = await this.#launch();
        log('info', 'the embedded PostgreSQL runs again');
      } catch (error) {
        server = null;
        if (!signal.aborted) say('the embedded PostgreSQL does not start; FStore tries again', error as Error);
      }
    }
  }
}

export interface Supervised {
  readonly ended: boolean;
  /** Resolves with how the process ended, in words; never rejects. */
  readonly exited: Promise<string>;
  stop(): Promise<void>;
  /** Lets this process end without waiting for the server. The process that started the server stops it. */
  unref(): void;
}

/** What `exited` says of a program that succeeded. */
export const ENDED_WELL = 'it ended with code 0';

/** Starts a program that ends with this process, whatever ends this process. */
export function supervise(command: readonly string[], root: string, cwd: string, user: SystemUser | null): Supervised {
  const output = openSync(logFile(root), 'a', 0o600);
  const child = spawn('sh', ['-c', SUPERVISOR, 'sh', ...command], {
    ...user,
    cwd,
    // A session of its own: Ctrl-C reaches FStore alone, which ends the server last.
    detached: true,
    stdio: ['ignore', output, output, 'pipe'],
    // Only what it needs: other processes of the server's user can read its environment.
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
  });
  closeSync(output);
  const lifeline = child.stdio[3] as Writable & { unref(): void };
  lifeline.on('error', () => {});
  let ended = false;
  const exited = new Promise<string>((settle) => {
    const end = (how: string): void => {
      ended = true;
      lifeline.end('gone\n');
      settle(how);
    };
    child.once('exit', (code, signal) => end(signal ? `it was ended by ${signal}` : `it ended with code ${code}`));
    child.once('error', (error) => end(`it could not be run: ${error.message}`));
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

async function probe(url: string): Promise<'ready' | 'starting' | 'refused' | 'absent'> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.end();
    return 'ready';
  } catch (error) {
    const { code = '' } = error as { code?: string };
    if (code === '57P03') return 'starting';
    return /^28/.test(code) ? 'refused' : 'absent';
  }
}
