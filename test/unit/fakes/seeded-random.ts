/** Pseudo-random numbers that a seed reproduces (mulberry32). */
export interface SeededRandom {
  /** Returns an integer from 0 to below `limit`. */
  below(limit: number): number;
  shuffle<T>(items: T[]): void;
}

/** Returns the sequence of pseudo-random numbers of a seed. */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    shuffle: (items) => {
      for (let index = items.length - 1; index > 0; index -= 1) {
        const other = below(index + 1);
        [items[index], items[other]] = [items[other]!, items[index]!];
      }
    },
  };
}
