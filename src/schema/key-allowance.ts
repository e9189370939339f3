import { FStoreError } from '../errors.js';

/** Counts the entities that one operation asks for, over all of its fields; an id that is given twice counts twice. */
export class KeyAllowance {
  #used = 0;

  constructor(readonly max: number) {}

  /** Counts `count` entities of the argument `field`. Throws LIST_TOO_LONG when the operation asks for more than `max`. */
  take(count: number, field: string): void {
    this.#used += count;
    if (this.#used <= this.max) return;
    const message =
      count > this.max
        ? `${field} has ${count} keys, at most ${this.max} are allowed`
        : `the operation asks for more than ${this.max} entities, counted over all of its fields`;
    throw new FStoreError('LIST_TOO_LONG', message, { field });
  }
}
