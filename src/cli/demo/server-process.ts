/** `fstore serve` as a process of its own, with embedded stores in a folder that goes away with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { poll } from './walkthrough.js';

const START_DEADLINE = 30_000;
const STOP_DEADLINE = 15_000;

/** A port that is free now. */
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

/** A new folder in the system's temporary one that another user (PostgreSQL's, when this is root) may pass through. */
export async function createDataFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fstore-demo-'));
  await chmod(folder, 0o755);
  return folder;
}

/** Environment of a server that has nothing of the one around it but what is not FStore's. */
function environmentOf(folder: string, port: number): NodeJS.ProcessEnv {
  const foreign = Object.entries(process.env).filter(([name]) => !name.startsWith('FSTORE_'));
  return {
    ...Object.fromEntries(foreign),
    FSTORE_DATA_DIR: join(folder, 'data'),
    FSTORE_PORT: `${port}`,
    FSTORE_LOG_LEVEL: 'warn',
  };
}

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

  /** Starts the process; resolves once it is ready. Throws with the end of its log. */
  async start(): Promise<void> {
    const log = await open(join(this.#folder, 'server.log'), 'a');
    // The same program by the same means, be it dist/main.js or the sources under a loader.
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

  /** kill -9: no chance to finish anything. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Asks the process to stop; returns its exit code, or null if it had to be killed. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  /** Ends what is left, PostgreSQL too, and removes the folder. */
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

/** Process ids of PostgreSQL servers whose data lies in a folder of ours. */
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
      // It ended by itself in between.
    }
    await poll(async () => (isAlive(pid) ? null : true), STOP_DEADLINE);
  }
}
