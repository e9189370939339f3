/** Values that pass in one turn of the event loop: with 500 fields each, graphql-js shows them in some 20 ms. */
const PER_TURN = 64;

/** Lets values pass in stretches, one in each turn of the event loop, in their order. */
export class Turns {
  #room = PER_TURN;
  #waiting: (() => void)[] = [];
  #isPlanned = false;

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
