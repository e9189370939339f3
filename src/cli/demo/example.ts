/** The fraud-detection example: its definitions, its events, and the values that its views must have. */
import { fileURLToPath } from 'node:url';
import { generateTransactions, separateLabel, type Transaction } from './transactions.js';

const HOUR = 3_600_000;

/** The path of the definition file in this package. */
export const DEFINITIONS_FILE = fileURLToPath(
  new URL('../../../examples/fraud-detection/definitions.yaml', import.meta.url),
);

/** The views of the example, each with the column of its join key. */
export const VIEWS = [
  { view: 'user_last_transaction', key: 'user_id' },
  { view: 'merchant_last_transaction', key: 'merchant_id' },
  { view: 'card_last_transaction', key: 'card_id' },
] as const;

/** The source of the example. */
export const SOURCE = 'transactions';
/** The feature service of the example. */
export const SERVICE = 'fraud_detection';

/** Returns `count` events of the two days before `end` (milliseconds since 1970), in order of time. */
export function createEvents(count: number, end: number): Transaction[] {
  const options = { seed: 42, count, users: 1_000, merchants: 200, start: end - 48 * HOUR, end };
  return Array.from(generateTransactions(options), (transaction) => separateLabel(transaction).event);
}

/** Returns the join keys of an event's vector, as `name=value` pairs. */
export function vectorPairs(event: Transaction): string[] {
  return VIEWS.map(({ key }) => `${key}=${event[key]}`);
}

/** Returns the newest event for each value of a column, which the view on that column must show. */
export function newestByKey(events: readonly Transaction[], key: keyof Transaction): ReadonlyMap<string, Transaction> {
  const newest = new Map<string, Transaction>();
  for (const event of events) {
    const before = newest.get(String(event[key]));
    if (!before || before.event_time <= event.event_time) newest.set(String(event[key]), event);
  }
  return newest;
}
