/** Percentiles of a latency, in milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

const LINEAR_BITS = 8;
const LINEAR = 1 << LINEAR_BITS;
const MAX_MICROSECONDS = 2 ** 31 - 1;

/** Counts durations in buckets that are at most 0.8 % wide, from 1 µs to half an hour. */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(LINEAR + (32 - LINEAR_BITS) * (LINEAR >> 1));
  #total = 0;

  /** The number of recorded durations. */
  get total(): number {
    return this.#total;
  }

  /** Records one duration. */
  record(milliseconds: number): void {
    const value = Math.min(MAX_MICROSECONDS, Math.max(0, Math.round(milliseconds * 1000)));
    this.#counts[indexOf(value)]! += 1;
    this.#total += 1;
  }

  /** Returns the milliseconds that the given share of durations did not exceed; NaN if none were recorded. */
  percentile(share: number): number {
    if (this.#total === 0) return Number.NaN;
    const wanted = Math.max(1, Math.ceil(share * this.#total));
    let seen = 0;
    for (let index = 0; index < this.#counts.length; index += 1) {
      seen += this.#counts[index]!;
      if (seen >= wanted) return valueAt(index) / 1000;
    }
    return MAX_MICROSECONDS / 1000;
  }

  /** Returns the percentiles of all recorded durations. */
  percentiles(): Percentiles {
    return { p50: this.percentile(0.5), p99: this.percentile(0.99), p999: this.percentile(0.999) };
  }
}

function indexOf(value: number): number {
  if (value < LINEAR) return value;
  const shift = 32 - LINEAR_BITS - Math.clz32(value);
  return shift * (LINEAR >> 1) + (value >>> shift);
}

function valueAt(index: number): number {
  if (index < LINEAR) return index;
  const shift = Math.floor(index / (LINEAR >> 1)) - 1;
  return (index - shift * (LINEAR >> 1) + 0.5) * 2 ** shift;
}
