import { describe, expect, test } from '@jest/globals';
import { leavesAt, readWindow, tailStart, type Window } from '../../../src/definition/window.js';
import { seededRandom } from '../fakes/seeded-random.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const HOUR = 3_600_000;

describe(`a window (seed ${seed})`, () => {
  const random = seededRandom(seed);
  const windows = Array.from({ length: 2_000 }, (): { window: Window; t: number } => {
    const hop = 1 + random.below(10_000);
    return { window: { hop, length: hop * (1 + random.below(50)) }, t: random.below(10 ** 9) - 5 * 10 ** 8 };
  });

  test('is never shorter than it says, and less than one hop longer', () => {
    for (const { window, t } of windows) {
      const covered = t - tailStart(t, window);
      expect(covered).toBeGreaterThanOrEqual(window.length);
      expect(covered).toBeLessThan(window.length + window.hop);
    }
  });

  test('covers an event exactly from when it happens until it leaves', () => {
    for (const { window, t: event } of windows) {
      const gone = leavesAt(event, window);
      const covers = (t: number): boolean => event >= tailStart(t, window) && event <= t;
      expect([covers(event - 1), covers(event), covers(gone - 1), covers(gone)]).toEqual([false, true, true, false]);
    }
  });

  test('has a hop of 5 minutes below 12 hours, an hour below 12 days, then a day', () => {
    const hops = ['5m', '11h', '12h', '11d', '12d', '30d'].map((text) => readWindow(text));
    expect(hops.map((read) => read.ok && read.value.hop)).toEqual([300_000, 300_000, HOUR, HOUR, 24 * HOUR, 24 * HOUR]);
  });

  test.each([
    ['7m', undefined, 'choose 5m or 10m'],
    ['1m', undefined, 'choose 5m'],
    ['36h', '24h', 'choose 1d or 2d'],
    ['1h', '1ms', 'at most 10000 hops'],
    ['soon', undefined, 'no duration'],
  ])('of %s with a hop of %s is refused: %s', (length, hop, reason) => {
    const read = readWindow(length, hop);
    expect(read.ok ? '' : read.reason).toContain(reason);
  });
});
