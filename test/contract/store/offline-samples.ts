/** Views, rows and batches for the tests of offline stores; names never repeat within a run. */
import { entityKey } from '../../../src/definition/entity-key.js';
import type { FeatureValue, ValueType } from '../../../src/definition/value-type.js';
import type { ViewVersion } from '../../../src/definition/view-version.js';
import type { CommitBatch, NewRow } from '../../../src/store/offline-store.js';
import { exampleView } from '../../unit/fakes/example-view.js';

export const NOW = Date.UTC(2026, 0, 31, 12);
let count = 0;

/** A view with a table of its own. */
export function freshView(
  features: readonly [name: string, type: ValueType][] = [['amount', 'FLOAT64']],
  keys = exampleView.keys,
): ViewVersion {
  count += 1;
  const fingerprint = count.toString(16).padStart(16, '0');
  return {
    ...exampleView,
    fingerprint,
    table: `view_user_stats_${fingerprint}`,
    keys,
    features: features.map(([name, type]) => ({
      name,
      type,
      column: name,
      graphqlName: name,
      description: undefined,
      tags: {},
    })),
  };
}

/** A batch of one partition with an event for each offset of its rows. */
export function batchOf(
  topic: string,
  rows: readonly { view: ViewVersion; rows: readonly NewRow[] }[],
  extra: Partial<CommitBatch> = {},
): CommitBatch {
  const all = rows.flatMap((one) => one.rows);
  const events = [...new Map(all.map((row) => [row.offset, row])).values()];
  return {
    revision: 1,
    consumer: 'c',
    source: 'transactions',
    topic,
    partition: 0,
    nextOffset: all.reduce((most, row) => (row.offset >= most ? row.offset + 1n : most), 0n),
    events: events.map(({ offset, eventTime }) => ({ offset, eventTime, payload: '{"a":1}' })),
    rows,
    deadLetters: [],
    now: NOW,
    ...extra,
  };
}

export const key = (...parts: string[]) => entityKey(parts);
export const newRow = (offset: number, user: string, eventTime: number, ...values: FeatureValue[]): NewRow => ({
  offset: BigInt(offset),
  key: key(user),
  eventTime,
  values,
});
export const freshTopic = (): string => {
  count += 1;
  return `topic${count}`;
};
