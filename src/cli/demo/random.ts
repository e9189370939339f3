/** Pseudo-random numbers and the distributions of the transaction generator. */

/** A generator of numbers in [0, 1). */
export type Random = () => number;

/** Returns a Mulberry32 generator: small, fast, and equal on every machine. It is not for secrets. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Returns a seed for one part of the generator, so that the parts draw independent numbers. */
export function deriveSeed(seed: number, part: number): number {
  return Math.imul((seed ^ 0x9e3779b9) >>> 0, 0x85ebca6b) ^ Math.imul(part + 1, 0xc2b2ae35);
}

/** Returns a whole number from `low` to `high`, both included. */
export function integerBetween(random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}

/** Returns a random item of a list. Throws RangeError if the list is empty. */
export function pick<T>(random: Random, list: readonly T[]): T {
  const item = list[Math.floor(random() * list.length)];
  if (item === undefined) throw new RangeError('pick needs a list that is not empty');
  return item;
}

/** Returns a lognormal number: `median` times e to the power of a normal number with standard deviation `sigma`. */
export function lognormal(random: Random, median: number, sigma: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return median * Math.exp(sigma * normal);
}

/** Returns a generator of indexes below `size` by Zipf's law: i has a weight of 1 / (i + 1)^exponent. */
export function createZipf(size: number, exponent: number): (random: Random) => number {
  const sums: number[] = [];
  let sum = 0;
  for (let index = 0; index < size; index += 1) {
    sum += 1 / (index + 1) ** exponent;
    sums.push(sum);
  }
  return (random) => {
    const target = random() * sum;
    let low = 0;
    let high = size - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) > target) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}
