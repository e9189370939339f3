/** The fraud-detection example: its definitions, its events, and what its views must show after them. */
import { fileURLToPath } from 'node:url';
import { generateTransactions, separateLabel, type Transaction } from './transactions.js';

const HOUR = 3_600_000;

/** The definitions, in the package that this file belongs to. */
export const DEFINITIONS_FILE = fileURLToPath(
  new URL('../../../examples/fraud-detection/definitions.yaml', import.meta.url),
);

/** The views of the example, each with the column that holds its entity's key. */
export const VIEWS = [
  { view: 'user_last_transaction', key: 'user_id' },
  { view: 'merchant_last_transaction', key: 'merchant_id' },
  { view: 'card_last_transaction', key: 'card_id' },
] as const;

export const SOURCE = 'transactions';
export const SERVICE = 'fraud_detection';

/** Events of the two days before `end`, in the order of their times. */
export function createEvents(count: number, end: number): Transaction[] {
  const options = { seed: 42, count, users: 1_000, merchants: 200, start: end - 48 * HOUR, end };
  return Array.from(generateTransactions(options), (transaction) => separateLabel(transaction).event);
}

/** Join keys of the vector of one event, as `name=value` pairs. */
export function vectorPairs(event: Transaction): string[] {
  return VIEWS.map(({ key }) => `${key}=${event[key]}`);
}

/** The newest event of each value of a column: what the view on it must show. The most naive way there is. */
export function newestByKey(events: readonly Transaction[], key: keyof Transaction): ReadonlyMap<string, Transaction> {
  const newest = new Map<string, Transaction>();
  for (const event of events) {
    const before = newest.get(String(event[key]));
    if (!before || before.event_time <= event.event_time) newest.set(String(event[key]), event);
  }
  return newest;
}
