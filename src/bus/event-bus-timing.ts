/** Pauses and time limits of the event bus adapters. */
import { setTimeout as delay } from 'node:timers/promises';

const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 10_000;

/** Returns the milliseconds to wait after `failures` (≥ 1) in a row: doubling, less up to a quarter at random. */
export function pauseAfter(failures: number): number {
  const full = Math.min(FIRST_PAUSE * 2 ** Math.min(failures - 1, 30), LONGEST_PAUSE);
  return full * (1 - Math.random() / 4);
}

/** Resolves after so many milliseconds, or at once when `signal` is aborted. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => {});
}

/** Returns the result of `work`. Rejects if that takes longer than `milliseconds`; `work` itself continues. */
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
