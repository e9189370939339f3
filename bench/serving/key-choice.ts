/** Chooses the entities of requests, and whether they exist. Equal seeds give equal choices. */
import { scramble } from './dataset.js';

export type Distribution = 'uniform' | 'zipf';

const ZIPF_EXPONENT = 0.99;

/** Returns a generator of numbers in [0, 1) that gives the same sequence in every run. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e37_79b9) >>> 0;
    return scramble(state) / 0x1_0000_0000;
  };
}

/**
 * Returns a function that chooses one of `count` entities. With `zipf`, the popular ones are scattered, not adjacent.
 */
export function createChoice(distribution: Distribution, count: number, random: () => number): () => number {
  if (distribution === 'uniform') return () => Math.floor(random() * count);
  const cumulative = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank += 1) {
    sum += 1 / (rank + 1) ** ZIPF_EXPONENT;
    cumulative[rank] = sum;
  }
  const places = Uint32Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index -= 1) {
    const other = Math.floor(random() * (index + 1));
    [places[index], places[other]] = [places[other]!, places[index]!];
  }
  return () => {
    const wanted = random() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulative[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return places[low]!;
  };
}
