/**
 * Runs several API processes on one port. One process starts them, restarts those that die, and stops them together.
 *
 * Invariants
 * 1. The cluster is announced only after all processes answer. If one fails to start, all end.
 * 2. A process that dies is replaced. If it dies repeatedly, the pause before each replacement doubles.
 * 3. No process outlives the process that started it.
 */
import cluster, { type Worker } from 'node:cluster';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningFStore } from '../compose.js';
import type { Config } from '../config.js';
import { type ErrorCode, FStoreError } from '../errors.js';
import { systemError } from '../system-error.js';

const STOP = 'stop';
const RESTART_PAUSE = 500;
const LONGEST_PAUSE = 30_000;
/** Milliseconds of running after which a crash counts as the first one again. */
const GOOD_RUN = 60_000;
/** Milliseconds that a process has to end by itself, beside the grace. */
const END_PATIENCE = 30_000;

type Announcement = Pick<RunningFStore, 'url' | 'stores'>;

/** Why a process could not start, as it is sent to the process that started it. */
interface StartFailure {
  readonly failure: { readonly code: ErrorCode; readonly message: string; readonly field?: string };
}

/** Returns true if this process was started by `startCluster`. */
export function isClusterMember(): boolean {
  return cluster.isWorker;
}

/** Tells the parent process that this one answers. Resolves when this process must stop. */
export function joinCluster({ url, stores }: Announcement): Promise<void> {
  // Ctrl-C reaches every process of a terminal, but only the parent decides when to stop.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  return new Promise((resolve) => {
    process.on('message', (message) => {
      if (message === STOP) resolve();
    });
    // Node ends this process at once when the starting process is gone: killed, or ended by a second signal.
    process.on('disconnect', resolve);
    process.send?.({ url, stores } satisfies Announcement);
  });
}

/**
 * Tells the starting process why this one could not start; resolves when it has been told. That process prints it.
 *
 * @param error what the start failed with
 */
export function reportFailedStart(error: unknown): Promise<void> {
  const known = error instanceof FStoreError ? error : systemError(error, 'path');
  const { field } = known?.location ?? {};
  const failure = {
    code: known?.code ?? 'INTERNAL',
    message: known?.message ?? `an API process did not start: ${(error as Error | null)?.stack ?? error}`,
    ...(field === undefined ? {} : { field }),
  } as const;
  return new Promise((resolve) => {
    if (process.send) process.send({ failure } satisfies StartFailure, () => resolve());
    else resolve();
  });
}

/** Disconnects from the parent process. The open channel would otherwise keep this process running. */
export function leaveCluster(): void {
  if (process.connected) process.disconnect();
}

/** Throws CONFIG_INVALID unless the stores can be shared by several processes. */
export function checkSharedStores({ redis, postgresUrl }: Config): void {
  const missing = redis ? (postgresUrl ? null : 'FSTORE_POSTGRES_URL') : 'FSTORE_REDIS_URL';
  if (missing)
    throw new FStoreError('CONFIG_INVALID', 'several processes need stores that all reach', { field: missing });
}

/** Starts `count` API processes. Resolves when all of them answer; rejects if one ends before that. */
export async function startCluster(
  count: number,
  shutdownGrace: number,
): Promise<Announcement & { close(): Promise<void> }> {
  cluster.setupPrimary({ args: ['serve', '--without-worker'] });
  let closing = false;
  const start = (failures: number): Promise<Announcement> => {
    const worker = cluster.fork();
    const started = performance.now();
    return new Promise((resolve, reject) => {
      let answers = false;
      worker.once('message', (message: Announcement | StartFailure) => {
        if ('failure' in message) {
          const { code, message: text, field } = message.failure;
          if (failures > 0) process.stderr.write(`an API process did not start: ${code}: ${text}\n`);
          reject(new FStoreError(code, text, field === undefined ? {} : { field }));
          return;
        }
        answers = true;
        resolve(message);
      });
      worker.once('exit', (code, signal) => {
        if (closing) return;
        if (!answers && failures === 0) {
          reject(new FStoreError('INTERNAL', `an API process ended with ${signal ?? code} before it answered`));
          return;
        }
        const next = performance.now() - started > GOOD_RUN ? 1 : failures + 1;
        const pause = Math.min(RESTART_PAUSE * 2 ** (next - 1), LONGEST_PAUSE);
        process.stderr.write(`an API process ended with ${signal ?? code}; another one starts in ${pause} ms\n`);
        void delay(pause).then(() => (closing ? undefined : start(next).catch(() => {})));
      });
    });
  };
  const close = async (): Promise<void> => {
    closing = true;
    const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
    await Promise.all(workers.map((worker) => endWorker(worker, END_PATIENCE + shutdownGrace)));
  };
  try {
    const [first] = await Promise.all(Array.from({ length: count }, () => start(0)));
    return { ...first!, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function endWorker(worker: Worker, patience: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => worker.process.kill('SIGKILL'), patience);
    worker.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    if (worker.isDead()) {
      clearTimeout(timer);
      resolve();
      return;
    }
    if (worker.isConnected()) worker.send(STOP, () => {});
    // A process that has joined ignores SIGTERM. One that has not joined does not listen for the message.
    worker.process.kill('SIGTERM');
  });
}
