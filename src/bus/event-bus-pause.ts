/** Waiting before something is tried again. */
import { setTimeout as delay } from 'node:timers/promises';

const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 10_000;

/** Milliseconds to wait after so many failures in a row (at least one): doubling, with up to a quarter taken off at random. */
export function pauseAfter(failures: number): number {
  const full = Math.min(FIRST_PAUSE * 2 ** Math.min(failures - 1, 30), LONGEST_PAUSE);
  return full * (1 - Math.random() / 4);
}

/** Resolves after so many milliseconds, or at once when `signal` is aborted. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => {});
}
