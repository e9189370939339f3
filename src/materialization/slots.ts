/** How many of some work run at the same time, and how many wait. */
import { FStoreError } from '../errors.js';

export class Slots {
  readonly #size: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** `size` run at the same time, `maxWaiting` wait for them in the order in which they came. */
  constructor(size: number, maxWaiting: number) {
    this.#size = size;
    this.#maxWaiting = maxWaiting;
  }

  /** Runs `work` as soon as a slot is free. Throws OVERLOADED when too many wait. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#size) this.#running += 1;
    else {
      if (this.#waiting.length >= this.#maxWaiting) {
        throw new FStoreError('OVERLOADED', `${this.#running} run, and ${this.#waiting.length} wait for them`);
      }
      // A task that ends hands its slot over, so the number of running tasks stays the same.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}
