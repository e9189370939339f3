/** How the adapters of the event bus wait, and how long at most. */
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

/** What `work` resolves to, or a rejection when that takes longer; `work` itself goes on. */
export async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = delay(milliseconds, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`no answer within ${milliseconds} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}
