import type { ExpressionWork } from '../transformation/expression-budget.js';

/** Values that pass in one turn of the event loop: with 500 fields each, graphql-js shows them in some 20 ms. */
const PER_TURN = 64;

/** Steps of expressions that a request takes in one turn of the event loop, about 20 ms. */
export const STEPS_PER_TURN = 2_000_000;

/** Requests of this process that wait for a turn. Each turn continues one of them, so that their number delays nobody. */
const resting: (() => void)[] = [];

function rest(): Promise<void> {
  return new Promise((resolve) => {
    resting.push(resolve);
    if (resting.length === 1) setImmediate(continueOne);
  });
}

function continueOne(): void {
  resting.shift()?.();
  if (resting.length > 0) setImmediate(continueOne);
}

/** Lets values pass in stretches, one in each turn of the event loop, in their order. */
export class Turns {
  #room = PER_TURN;
  #waiting: (() => void)[] = [];
  #isPlanned = false;
  #work: ExpressionWork | null = null;
  /** Steps of the work before this turn. */
  #begun = 0;
  #last: Promise<unknown> | null = null;

  /** Computes a value that reads expressions, or returns a promise of it if this turn has had enough of them. */
  compute<T>(work: ExpressionWork, compute: () => T): T | Promise<T> {
    if (this.#work !== work) {
      this.#work = work;
      this.#begun = 0;
      this.#last = null;
    }
    if (!this.#last && work.spent - this.#begun < STEPS_PER_TURN) return compute();
    const next: Promise<T> = (this.#last ?? Promise.resolve()).then(async () => {
      if (work.spent - this.#begun >= STEPS_PER_TURN) {
        await rest();
        this.#begun = work.spent;
      }
      return compute();
    });
    this.#last = next.catch(() => {});
    return next;
  }

  /** Returns `value`, or a promise of it if this turn has had enough. */
  pass<T>(value: T): T | Promise<T> {
    if (!this.#isPlanned) {
      this.#isPlanned = true;
      setImmediate(() => this.#begin());
    }
    if (this.#room > 0) {
      this.#room -= 1;
      return value;
    }
    return new Promise((resolve) => {
      this.#waiting.push(() => resolve(value));
    });
  }

  #begin(): void {
    const next = this.#waiting.splice(0, PER_TURN);
    this.#room = PER_TURN - next.length;
    this.#isPlanned = next.length > 0;
    for (const resolve of next) resolve();
    if (this.#isPlanned) setImmediate(() => this.#begin());
  }
}
