/** Runs `fstore serve` in its own process, with embedded stores in a temporary folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { poll } from './walkthrough.js';

const START_DEADLINE = 30_000;
const STOP_DEADLINE = 15_000;

/** Returns a port that is free at the moment: `preferred`, if possible. */
export async function findFreePort(preferred = 0): Promise<number> {
  const server = createServer();
  try {
    server.listen(preferred, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    return port;
  } catch (error) {
    if (preferred === 0) throw error;
    return findFreePort();
  } finally {
    server.close();
  }
}

/** Creates a temporary folder that other users may enter, because as root PostgreSQL runs as another user. */
export async function createDataFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fstore-demo-'));
  await chmod(folder, 0o755);
  return folder;
}

/** Returns the environment of the server. It keeps only those variables of this process that are not FStore's. */
function environmentOf(folder: string, port: number): NodeJS.ProcessEnv {
  const foreign = Object.entries(process.env).filter(([name]) => !name.startsWith('FSTORE_'));
  return {
    ...Object.fromEntries(foreign),
    FSTORE_DATA_DIR: join(folder, 'data'),
    FSTORE_PORT: `${port}`,
    FSTORE_LOG_LEVEL: 'warn',
  };
}

/** A server process in a data folder. */
export class ServerProcess {
  readonly url: string;
  readonly #folder: string;
  readonly #port: number;
  #child: ChildProcess | null = null;

  constructor(folder: string, port: number) {
    this.#folder = folder;
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Starts the process. Resolves when it is ready; throws with the last lines of its log otherwise. */
  async start(): Promise<void> {
    const log = await open(join(this.#folder, 'server.log'), 'a');
    // Start the program like this process: dist/main.js, or the sources with a loader.
    const program = [...process.execArgv, process.argv[1] ?? ''];
    const child = spawn(process.execPath, [...program, 'serve'], {
      env: environmentOf(this.#folder, this.#port),
      stdio: ['ignore', log.fd, log.fd],
    });
    await log.close();
    this.#child = child;
    const ready = await poll(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return 'ended' as const;
      const response = await fetch(`${this.url}/ready`).catch(() => null);
      return response?.ok ? ('ready' as const) : null;
    }, START_DEADLINE);
    if (ready === 'ready') return;
    const text = await readFile(join(this.#folder, 'server.log'), 'utf8');
    throw new Error(`the server ${ready ?? 'did not get ready'}:\n${text.split('\n').slice(-20).join('\n')}`);
  }

  /** Sends SIGKILL (`kill -9`), after which the process can finish nothing. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Asks the process to stop. Returns its exit code, or null if it had to be killed. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  /** Kills the server and its PostgreSQL, and removes the folder. */
  async cleanUp(): Promise<void> {
    await this.#end('SIGKILL');
    await endPostgres(join(this.#folder, 'data'));
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE);
    await ended;
    clearTimeout(timer);
    return child.exitCode;
  }
}

/** Returns the process ids of running PostgreSQL servers with data in a folder. */
export async function findPostgres(folder: string): Promise<number[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const files = names.filter((name) => name.endsWith('postmaster.pid'));
  const pids = await Promise.all(
    files.map(async (name) => Number((await readFile(join(folder, name), 'utf8').catch(() => '')).split('\n')[0])),
  );
  return pids.filter((pid) => pid > 1 && isAlive(pid));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function endPostgres(folder: string): Promise<void> {
  for (const pid of await findPostgres(folder)) {
    try {
      process.kill(pid, 'SIGQUIT');
    } catch {
      // The process has ended meanwhile.
    }
    await poll(async () => (isAlive(pid) ? null : true), STOP_DEADLINE);
  }
}
