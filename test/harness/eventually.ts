import { scaled } from './time-factor.js';

/**
 * Repeats a check until it passes. Throws its last failure when `timeoutMs` have passed.
 *
 * @param timeoutMs the limit on a quiet machine; it is scaled here
 * @param check throws or rejects while its condition does not hold
 * @returns the result of the check
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { timeoutMs = 20_000, everyMs = 25 } = {},
): Promise<T> {
  const deadline = Date.now() + scaled(timeoutMs);
  for (;;) {
    try {
      return await check();
    } catch (failure) {
      if (Date.now() > deadline) throw failure;
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  }
}
