/** Works on many rows without holding up other requests: after each turn, the event loop serves what waits. */
import { setImmediate as turn } from 'node:timers/promises';

/** Milliseconds of one turn: a request that arrives meanwhile waits for about this long. */
const TURN = 10;
/** Rows between two looks at the clock, which costs about as much as one row. */
const ROWS_PER_LOOK = 32;

/** Calls `work` for each row in order, and lets the event loop run every 10 ms. Throws what `work` throws. */
export async function eachInTurns<T>(
  rows: readonly T[],
  work: (row: T, index: number) => void,
  rowsPerLook: number = ROWS_PER_LOOK,
): Promise<void> {
  let end = performance.now() + TURN;
  for (const [index, row] of rows.entries()) {
    work(row, index);
    if (index % rowsPerLook !== rowsPerLook - 1 || performance.now() < end) continue;
    await turn();
    end = performance.now() + TURN;
  }
}

/**
 * Returns the result of `convert` for each row in order, as `eachInTurns`. `rowsPerLook` is 1 where one row may take
 * milliseconds.
 */
export async function mapInTurns<T, R>(
  rows: readonly T[],
  convert: (row: T, index: number) => R,
  rowsPerLook: number = ROWS_PER_LOOK,
): Promise<R[]> {
  const results: R[] = [];
  await eachInTurns(
    rows,
    (row, index) => {
      results.push(convert(row, index));
    },
    rowsPerLook,
  );
  return results;
}
