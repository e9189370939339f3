/** The time factor of this machine: time limits against hanging grow with its load. */

/**
 * Multiplies a time limit by FSTORE_TEST_TIME_FACTOR, which `scripts/test` measures when it starts (1 on a quiet
 * machine).
 *
 * @param milliseconds a limit that suits a quiet machine
 * @returns the limit for this run in milliseconds, never less than the given one
 */
export function scaled(milliseconds: number): number {
  const factor = Number(process.env.FSTORE_TEST_TIME_FACTOR ?? 1);
  return Math.ceil(milliseconds * Math.max(factor, 1));
}
