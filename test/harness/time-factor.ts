/** How much slower than a quiet machine this one is now, so that waits that guard against hanging grow with it. */

/**
 * Multiplies a time limit by FSTORE_TEST_TIME_FACTOR, which `scripts/test` measures when it starts (1 on a quiet machine).
 *
 * @param milliseconds a limit that holds on a quiet machine
 * @returns the limit for this run, in milliseconds, never below the one given
 */
export function scaled(milliseconds: number): number {
  const factor = Number(process.env.FSTORE_TEST_TIME_FACTOR ?? 1);
  return Math.ceil(milliseconds * Math.max(factor, 1));
}
