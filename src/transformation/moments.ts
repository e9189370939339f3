/**
 * The mean and variance of a stream of numbers in constant memory, by Welford's method ("Note on a Method for
 * Calculating Corrected Sums of Squares and Products", Technometrics 4(3), 1962): no sum of squares, so no cancellation.
 */
export class Moments {
  #count = 0;
  #mean = 0;
  #squares = 0;

  /** Takes one more finite number. */
  add(value: number): void {
    this.#count++;
    const delta = value - this.#mean;
    this.#mean += delta / this.#count;
    this.#squares += delta * (value - this.#mean);
  }

  /** The mean; null for no numbers and where it leaves the range of a double. */
  mean(): number | null {
    return this.#count > 0 && Number.isFinite(this.#mean) ? this.#mean : null;
  }

  /** The standard deviation of the population (ddof 0, as scikit-learn's StandardScaler); null as `mean` is. */
  deviation(): number | null {
    const deviation = Math.sqrt(this.#squares / this.#count);
    return Number.isFinite(deviation) ? deviation : null;
  }
}
