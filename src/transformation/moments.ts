/**
 * The mean and variance of a stream of numbers in constant memory, by Welford's method. It avoids cancellation, because
 * it needs no sum of squares. Source: B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares and
 * Products", Technometrics 4(3), 1962.
 */
export class Moments {
  #count = 0;
  #mean = 0;
  #squares = 0;

  /** Adds a finite number. */
  add(value: number): void {
    this.#count++;
    const delta = value - this.#mean;
    this.#mean += delta / this.#count;
    this.#squares += delta * (value - this.#mean);
  }

  /** Returns the mean; null without numbers, or if it overflows a double. */
  mean(): number | null {
    return this.#count > 0 && Number.isFinite(this.#mean) ? this.#mean : null;
  }

  /** Returns the population standard deviation (ddof 0, like scikit-learn's StandardScaler); null like `mean`. */
  deviation(): number | null {
    const deviation = Math.sqrt(this.#squares / this.#count);
    return Number.isFinite(deviation) ? deviation : null;
  }
}
