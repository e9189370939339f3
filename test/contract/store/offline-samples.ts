/** Views, rows and batches for the tests of offline stores; names never repeat within a run. */
import type { FeatureView } from '../../../src/definition/definition.js';
import { entityKey } from '../../../src/definition/entity-key.js';
import { resolveViewMeaning } from '../../../src/definition/meaning.js';
import type { FeatureValue, ValueType } from '../../../src/definition/value-type.js';
import { resolveView, type ViewVersion } from '../../../src/definition/view-version.js';
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
      computation: null,
      graphqlName: name,
      description: undefined,
      tags: {},
    })),
    columns: features.map(([name, type]) => ({ name, type, column: name })),
  };
}

/** A view with tables of its own that has aggregations, as they are declared. */
export function freshAggregationView(
  columns: readonly [name: string, type: ValueType][],
  aggregations: NonNullable<FeatureView['aggregations']>,
  keys = exampleView.keys,
): ViewVersion {
  const schema = Object.fromEntries([...columns, ...keys.map(({ name, type }) => [name, type]), ['at', 'TIMESTAMP']]);
  const { meaning, findings } = resolveViewMeaning(
    { kind: 'featureView', name: 'v', entity: 'e', source: 's', aggregations },
    new Map([['e', { joinKeys: keys }]]),
    new Map([['s', { schema, timestamp: 'at', topic: 's' }]]),
  );
  if (!meaning) throw new Error(findings.map(({ message }) => message).join('; '));
  count += 1;
  const fingerprint = count.toString(16).padStart(16, '0');
  const record = { kind: 'featureView' as const, name: 'v', version: 1, fingerprint, meaning, active: true };
  const definition = { kind: 'featureView' as const, name: 'v', entity: 'e', source: 's', aggregations };
  return { ...resolveView({ ...record, definition }, true), table: `view_v_${fingerprint}` };
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
