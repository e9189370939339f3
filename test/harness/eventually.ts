import { scaled } from './time-factor.js';

/**
 * Runs a check until it passes; throws its last failure when `timeoutMs` have passed.
 *
 * @param timeoutMs the limit on a quiet machine; it is scaled here
 * @param check throws, or rejects, while what it looks for is not there yet
 * @returns what the check returned
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
