/**
 * Gathers the misses of requests for each view and answers them in batches.
 *
 * Invariants
 * 1. A batch starts at the end of the turn of the event loop in which it was created. If `UNDER_WAY` batches of its
 *    view are in flight, it waits until one of them ends, so batches grow under load. It never waits longer than
 *    `PATIENCE`, because statements may be slow.
 * 2. All misses of one request in one view are in one batch. Requests share a batch of up to `KEYS_PER_BATCH` keys.
 * 3. Views do not wait for each other.
 */
import type { ViewVersion } from '../definition/view-version.js';

/** How many batches of a view may be in flight before the next one waits. */
const UNDER_WAY = 2;
/** How long a batch waits for another one at most, in milliseconds. */
const PATIENCE = 5;
/** A statement for 1,000 keys takes PostgreSQL about 5 ms. A request with few misses should not wait for more. */
const KEYS_PER_BATCH = 1_000;

interface Batch<Miss> {
  readonly misses: Miss[];
  readonly answered: Promise<void>;
  readonly end: () => void;
}

interface Queue<Miss> {
  readonly waiting: Batch<Miss>[];
  underWay: number;
}

/** Batches misses by view. `answer` is called once for each batch. */
export class MissQueue<Miss> {
  readonly #answer: (view: ViewVersion, misses: readonly Miss[]) => Promise<void>;
  readonly #queues = new Map<ViewVersion, Queue<Miss>>();

  /** `answer` is called for each batch and must never reject. */
  constructor(answer: (view: ViewVersion, misses: readonly Miss[]) => Promise<void>) {
    this.#answer = answer;
  }

  /** Adds one request's misses of `view`. Resolves when they are answered. */
  add(view: ViewVersion, misses: readonly Miss[]): Promise<void> {
    let queue = this.#queues.get(view);
    if (!queue) {
      queue = { waiting: [], underWay: 0 };
      this.#queues.set(view, queue);
    }
    const last = queue.waiting.at(-1);
    const hasRoom = last && last.misses.length + misses.length <= KEYS_PER_BATCH;
    const batch = hasRoom ? last : this.#begin(view, queue);
    for (const miss of misses) batch.misses.push(miss);
    return batch.answered;
  }

  #begin(view: ViewVersion, queue: Queue<Miss>): Batch<Miss> {
    let end = (): void => {};
    const answered = new Promise<void>((resolve) => {
      end = resolve;
    });
    const batch: Batch<Miss> = { misses: [], answered, end };
    queue.waiting.push(batch);
    const setOut = (): void => this.#setOut(view, queue, batch);
    setImmediate(() => (queue.underWay < UNDER_WAY ? setOut() : setTimeout(setOut, PATIENCE)));
    return batch;
  }

  /** Starts a batch unless it has been started already. */
  #setOut(view: ViewVersion, queue: Queue<Miss>, batch: Batch<Miss>): void {
    const place = queue.waiting.indexOf(batch);
    if (place < 0) return;
    queue.waiting.splice(place, 1);
    queue.underWay += 1;
    void this.#answer(view, batch.misses).then(() => {
      queue.underWay -= 1;
      batch.end();
      const [next] = queue.waiting;
      if (next) this.#setOut(view, queue, next);
      else if (queue.underWay === 0) this.#queues.delete(view);
    });
  }
}
