/**
 * Several API processes on one port, and what is done elsewhere for them: one process that starts them, starts again what dies, and ends
 * them together.
 *
 * Invariants
 * 1. Nothing is announced before all of them answer; what fails to start ends all.
 * 2. A process that dies is replaced; one that dies again and again is replaced ever more slowly.
 * 3. None of them outlives the process that started it.
 */
import cluster, { type Worker } from 'node:cluster';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningFStore } from '../compose.js';
import type { Config } from '../config.js';
import { FStoreError } from '../errors.js';

const STOP = 'stop';
const RESTART_PAUSE = 500;
const LONGEST_PAUSE = 30_000;
/** A process that ran for so long has not died of its start. */
const GOOD_RUN = 60_000;
/** What a process is given to end by itself. */
const END_PATIENCE = 30_000;

type Announcement = Pick<RunningFStore, 'url' | 'stores'>;

/** Whether this process is one of those that `startCluster` started. */
export function isClusterMember(): boolean {
  return cluster.isWorker;
}

/** Tells the starting process that this one answers; resolves when it is to end. */
export function joinCluster({ url, stores }: Announcement): Promise<void> {
  // Ctrl-C reaches every process of a terminal; the one that started us tells when to end.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  return new Promise((resolve) => {
    process.on('message', (message) => {
      if (message === STOP) resolve();
    });
    process.on('disconnect', resolve);
    process.send?.({ url, stores } satisfies Announcement);
  });
}

/** Lets go of the starting process, after which nothing keeps this one. */
export function leaveCluster(): void {
  if (process.connected) process.disconnect();
}

/** Throws CONFIG_INVALID where processes could not share what they serve. */
export function checkSharedStores({ redis, postgresUrl }: Config): void {
  const missing = redis ? (postgresUrl ? null : 'FSTORE_POSTGRES_URL') : 'FSTORE_REDIS_URL';
  if (missing)
    throw new FStoreError('CONFIG_INVALID', 'several processes need stores that all reach', { field: missing });
}

/** Starts as many API processes as `count`; resolves when all answer. Rejects if one of them ends before. */
export async function startCluster(count: number): Promise<Announcement & { close(): Promise<void> }> {
  cluster.setupPrimary({ args: ['serve', '--without-worker'] });
  let closing = false;
  const start = (failures: number): Promise<Announcement> => {
    const worker = cluster.fork();
    const started = performance.now();
    return new Promise((resolve, reject) => {
      let answers = false;
      worker.once('message', (message: Announcement) => {
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
    await Promise.all(workers.map(endWorker));
  };
  try {
    const [first] = await Promise.all(Array.from({ length: count }, () => start(0)));
    return { ...first!, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function endWorker(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => worker.process.kill('SIGKILL'), END_PATIENCE);
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
    // One that has joined ignores it; one that has not would not hear the message.
    worker.process.kill('SIGTERM');
  });
}
