/**
 * Threads that read and write tables, so that the process goes on serving.
 *
 * Invariants
 * 1. A thread does one task at a time. At most MAX_READINGS files are read at once; more wait for their turn. Each writer has a thread
 *    at once, because a job that reads while it writes must never wait for itself.
 * 2. A thread that has no memory left, or gives no answer in time, ends alone: its task fails with TABLE_TOO_LARGE.
 * 3. An idle thread keeps no process from ending.
 */
import { Worker } from 'node:worker_threads';
import { TABLE_LIMITS, tooLarge } from './table-limit.js';
import { type TableAnswer, type TableRequest, unpackError } from './table-message.js';

/** Files that are read at once: more than the jobs that a process runs at once, so that a look at a file need not wait for one. */
const MAX_READINGS = 8;
/** After how many milliseconds without a task a thread ends. Starting one takes about 100 ms. */
const IDLE = 5_000;
/** How many milliseconds a thread may take to give up its task. */
const CLOSE_PATIENCE = 2_000;

/** Loads TypeScript in a thread, where the sources run and not a build; hooks of the main thread do not hold there. */
const LOAD_SOURCE = `
const { workerData } = require('node:worker_threads');
import('tsx/esm/api').then(({ register }) => {
  register();
  return import(workerData.entry);
});`;

function startWorker(): Worker {
  const options = { resourceLimits: { maxOldGenerationSizeMb: TABLE_LIMITS.heapMegabytes } };
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./table-thread.js', import.meta.url), options);
  const entry = new URL('./table-thread.ts', import.meta.url).href;
  return new Worker(LOAD_SOURCE, { ...options, eval: true, workerData: { entry } });
}

/** What a thread reads or writes, for errors. */
interface Subject {
  readonly name: string;
  readonly field: string;
}

interface Waiting {
  resolve(answer: TableAnswer): void;
  reject(error: Error): void;
  readonly timer: NodeJS.Timeout;
}

/** One thread, which has a task. */
export class TableThread {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #subject: Subject = { name: '', field: '' };
  #failure: Error | null = null;

  constructor() {
    this.#worker = startWorker();
    this.#worker.on('message', (answer: TableAnswer) => {
      const one = this.#waiting.shift();
      if (!one) return;
      clearTimeout(one.timer);
      if ('error' in answer && !('ended' in answer)) one.reject(unpackError(answer.error!));
      else one.resolve(answer);
    });
    this.#worker.on('error', (error: NodeJS.ErrnoException) => this.#fail(this.#explain(error)));
    this.#worker.on('exit', () => this.#fail(new Error('the thread has ended')));
  }

  /** True until the thread has ended. */
  get isUsable(): boolean {
    return this.#failure === null;
  }

  /** Takes it for a task about `subject`. */
  begin(subject: Subject): void {
    this.#subject = subject;
    this.#worker.ref();
  }

  /** Lets the process end although the thread is there. */
  rest(): void {
    this.#worker.unref();
  }

  /** Sends a request; the answers of several come in their order. Throws the error of the thread. */
  ask(request: TableRequest): Promise<TableAnswer> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#giveUp(), TABLE_LIMITS.silence);
      this.#waiting.push({ resolve, reject, timer });
      this.#worker.postMessage(request);
    });
  }

  /** Ends the thread, whatever it does. */
  async end(): Promise<void> {
    this.#fail(new Error('the thread was ended'));
    await this.#worker.terminate();
  }

  #giveUp(): void {
    const { name, field } = this.#subject;
    this.#fail(tooLarge(`${name} gave no rows for ${TABLE_LIMITS.silence / 1_000} seconds`, field));
    void this.#worker.terminate();
  }

  #explain(error: NodeJS.ErrnoException): Error {
    if (error.code !== 'ERR_WORKER_OUT_OF_MEMORY') return error;
    const { name, field } = this.#subject;
    return tooLarge(`${name} needs more than ${TABLE_LIMITS.heapMegabytes} MiB of memory`, field);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject, timer } of this.#waiting.splice(0)) {
      clearTimeout(timer);
      reject(this.#failure);
    }
  }
}

const idle: { readonly thread: TableThread; readonly timer: NodeJS.Timeout }[] = [];
const queue: (() => void)[] = [];
let readings = 0;

function takeThread(subject: Subject): TableThread {
  for (let one = idle.pop(); one; one = idle.pop()) {
    clearTimeout(one.timer);
    if (!one.thread.isUsable) continue;
    one.thread.begin(subject);
    return one.thread;
  }
  const thread = new TableThread();
  thread.begin(subject);
  return thread;
}

/** Keeps a thread for the next task, or ends it. */
async function giveBack(thread: TableThread, isFree: boolean): Promise<void> {
  if (!isFree || !thread.isUsable) return thread.end();
  thread.rest();
  const timer = setTimeout(() => {
    idle.splice(
      idle.findIndex((one) => one.thread === thread),
      1,
    );
    void thread.end();
  }, IDLE).unref();
  idle.push({ thread, timer });
}

/** A thread for a task, and how it is given back. */
export interface ThreadLease {
  readonly thread: TableThread;
  /** Gives up the task, if it has one, and then the thread; may be called again. */
  release(hasTask: boolean): Promise<void>;
}

/** Takes a thread that reads; waits while MAX_READINGS files are read. */
export async function takeReader(subject: Subject): Promise<ThreadLease> {
  if (readings >= MAX_READINGS) await new Promise<void>((resolve) => queue.push(resolve));
  else readings += 1;
  return lease(subject, () => {
    const next = queue.shift();
    if (next) next();
    else readings -= 1;
  });
}

/** Takes a thread that writes. */
export function takeWriter(subject: Subject): ThreadLease {
  return lease(subject, () => {});
}

function lease(subject: Subject, released: () => void): ThreadLease {
  const thread = takeThread(subject);
  let isReleased = false;
  return {
    thread,
    release: async (hasTask) => {
      if (isReleased) return;
      isReleased = true;
      try {
        await giveBack(thread, !hasTask || (await closeTask(thread)));
      } finally {
        released();
      }
    },
  };
}

/** True if the thread has given up its task in time. */
async function closeTask(thread: TableThread): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), CLOSE_PATIENCE);
  });
  const closed = thread.ask({ close: true }).then(
    () => true,
    () => false,
  );
  const inTime = await Promise.race([closed, patience]);
  clearTimeout(timer);
  return inTime;
}
