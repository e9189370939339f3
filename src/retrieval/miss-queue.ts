/**
 * Gathers what requests miss of each view, and has it answered in batches.
 *
 * Invariants
 * 1. A batch sets out at the end of the turn of the event loop in which it began. If `UNDER_WAY` of its view are on their way, it waits for
 *    one of them, so that batches grow when there is much to do; but no longer than `PATIENCE`, for statements may be slow.
 * 2. What one request misses of a view is in one batch; it shares one with others up to `KEYS_PER_BATCH`.
 * 3. Views do not wait for each other.
 */
import type { ViewVersion } from '../definition/view-version.js';

const UNDER_WAY = 2;
/** Milliseconds. */
const PATIENCE = 5;
/** A statement for so many takes PostgreSQL some 5 ms; who misses few is not to wait for more. */
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

export class MissQueue<Miss> {
  readonly #answer: (view: ViewVersion, misses: readonly Miss[]) => Promise<void>;
  readonly #queues = new Map<ViewVersion, Queue<Miss>>();

  /** `answer` is called for each batch, and never rejects. */
  constructor(answer: (view: ViewVersion, misses: readonly Miss[]) => Promise<void>) {
    this.#answer = answer;
  }

  /** Takes what one request misses of `view`; resolves when it is answered. */
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

  /** Sends a batch on its way, if it is not yet. */
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
