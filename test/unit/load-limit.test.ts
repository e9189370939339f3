import { afterEach, describe, expect, test } from '@jest/globals';
import { LoadLimit } from '../../src/server/load-limit.js';

const opened: LoadLimit[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

function createLimit(max: number) {
  const times = { idle: 0, active: 0 };
  const limit = new LoadLimit(max, () => ({ ...times }));
  opened.push(limit);
  return {
    limit,
    /** An interval in which so many requests were answered, and the loop waited and worked for so many ms. */
    pass: (answered: number, idle: number, active: number): void => {
      for (let one = 0; one < answered; one += 1) limit.enter();
      for (let one = 0; one < answered; one += 1) limit.leave();
      times.idle += idle;
      times.active += active;
      limit.adjust();
    },
  };
}

/** How many requests come in until one is refused, of at most 2,000. They are gone afterwards. */
function room(limit: LoadLimit): number {
  let taken = 0;
  for (; !limit.isFull && taken < 2_000; taken += 1) limit.enter();
  for (let one = 0; one < taken; one += 1) limit.withdraw();
  return taken;
}

describe('the limit of requests under way', () => {
  test('is what it is set to while the loop has pauses, however little is answered', () => {
    const { limit, pass } = createLimit(1_000);
    expect(room(limit)).toBe(1_000);
    pass(3, 60, 40);
    expect(room(limit)).toBe(1_000);
    pass(0, 2, 98);
    expect(room(limit)).toBe(1_000);
  });

  test('is what 25 ms answer once the loop has none, within what it is set to', () => {
    const { limit, pass } = createLimit(1_000);
    pass(1_000, 0.5, 99.5);
    expect(room(limit)).toBe(250);
    // A turn that took longer.
    pass(1_200, 0, 200);
    expect(room(limit)).toBe(150);
    pass(20_000, 0, 100);
    expect(room(limit)).toBe(1_000);
    pass(2, 0, 100);
    expect(room(limit)).toBe(64);
    pass(10, 50, 50);
    expect(room(limit)).toBe(1_000);
  });

  test('never exceeds what it is set to, also if that is little', () => {
    const { limit, pass } = createLimit(3);
    expect(room(limit)).toBe(3);
    pass(100, 0, 100);
    expect(room(limit)).toBe(3);
  });

  test('does not take one long piece of work for overload', () => {
    const { limit, pass } = createLimit(1_000);
    pass(1, 0, 800);
    expect(room(limit)).toBe(1_000);
  });
});
