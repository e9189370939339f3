/** Packed values of the example view for the tests of online stores, and how a call fails. */
import { FStoreError } from '../../../src/errors.js';
import { ValueCodec } from '../../../src/store/value-codec.js';
import { scaled } from '../../harness/time-factor.js';
import { exampleView } from '../../unit/fakes/example-view.js';

export const codec = new ValueCodec(exampleView);

/** A packed value; without an amount it has its event time for one. */
export function packed(eventTime: number, sequence: number, amount = eventTime): Buffer {
  return codec.encode({ eventTime, sequence, values: [amount] });
}

/** The amount of a packed value; null for nothing. */
export function amountOf(bytes: Buffer | null): unknown {
  return bytes ? codec.decode(bytes)?.row?.values[0] : null;
}

/** How a call fails, and whether it took its time. */
export async function refusal(call: () => Promise<unknown>): Promise<{ code: string; slow: boolean }> {
  const start = performance.now();
  const error = await call().then(
    () => null,
    (failure: unknown) => failure,
  );
  return {
    code: error instanceof FStoreError ? error.code : `${error}`,
    slow: performance.now() - start > scaled(2_000),
  };
}
