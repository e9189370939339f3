/** Definitions of queries in Spark SQL, and of Avro: what a plan makes of them. */
import { describe, expect, test } from '@jest/globals';
import type { DefinitionRecord } from '../../src/definition/definition-record.js';
import { type DefinitionPlan, parseDefinitions, planDefinitions } from '../../src/definition/plan.js';
import { FStoreError } from '../../src/errors.js';
import { computation } from '../../src/transformation/computation.js';
import { transactions, user } from './fakes/example-definitions.js';

const reserved = { types: new Set<string>(), queries: new Set<string>(), subscriptions: new Set<string>() };

function plan(records: readonly DefinitionRecord[], inputs: readonly unknown[], prune = false): DefinitionPlan {
  return planDefinitions(records, parseDefinitions(inputs), { prune, retire: [], reserved, computation });
}

function refusal(run: () => unknown): (string | undefined)[] {
  try {
    run();
  } catch (error) {
    if (error instanceof FStoreError) return [error.code, error.issues[0]?.field];
    throw error;
  }
  throw new Error('nothing was refused');
}

const shown = (one: DefinitionPlan): string[] =>
  one.changes.map(({ action, name, version }) => `${action} ${name}@${version}`);

const merchants = {
  kind: 'source',
  name: 'merchants',
  schema: { merchant_id: 'STRING', risk: 'FLOAT64', since: 'TIMESTAMP' },
  timestamp: 'since',
  batch: { parquet: 'merchants.parquet' },
};
const risk = {
  kind: 'featureView',
  name: 'user_risk',
  entity: 'user',
  source: 'transactions',
  engine: 'spark',
  sql: {
    query:
      '-- of each event\nWITH m AS (SELECT * FROM merchants) SELECT user_id, event_time, 1 AS risk FROM transactions',
    with: ['merchants'],
    features: { risk: 'FLOAT64' },
  },
};
const asking = (change: Partial<(typeof risk)['sql']>) => ({ ...risk, sql: { ...risk.sql, ...change } });
const tables = [user, transactions, merchants];

const avro = (avroSchema: unknown, format = 'avro') => ({ ...transactions, stream: { format, avroSchema } });
const avroFields = (...names: string[]) => ({
  type: 'record',
  name: 'Event',
  fields: names.map((name) => ({ name, type: ['null', 'string'] })),
});

describe('a plan of a view that a query computes', () => {
  const base = plan([], [...tables, risk]);

  test('makes a new version for another query, table or feature, and for nothing around it', () => {
    const other = { ...merchants, name: 'shops' };
    expect(shown(plan(base.records, [asking({ query: `${risk.sql.query}\n` })]))).toEqual([]);
    for (const changed of [
      asking({ query: risk.sql.query.replace('1 AS', '2 AS') }),
      asking({ with: ['merchants', 'shops'] }),
      asking({ features: { risk: 'INT32' } as never }),
    ]) {
      expect(shown(plan(base.records, [other, changed]))).toEqual(['CREATE shops@1', 'NEW_VERSION user_risk@2']);
    }
    const moved = { ...merchants, batch: { table: 'merchants' } };
    expect(shown(plan(base.records, [moved]))).toEqual(['NEW_VERSION merchants@2', 'RETIRE merchants@1']);
  });

  test('does not let the table go that it reads', () => {
    const gone = refusal(() => plan(base.records, [user, transactions, risk], true));
    expect(gone).toEqual(['REFERENCE_UNKNOWN', 'sql.with.0']);
    const unread = plan(base.records, [user, transactions, merchants], true);
    expect(shown(unread)).toEqual(['RETIRE user_risk@1']);
  });
});

describe('a plan refuses', () => {
  const cases: [string, unknown[], string, string][] = [
    ['a query on the built-in engine', [...tables, { ...risk, engine: undefined }], 'DEFINITION_INVALID', 'engine'],
    ['a query that is no SELECT', [...tables, asking({ query: 'DROP TABLE x' })], 'DEFINITION_INVALID', 'sql.query'],
    ['two statements', [...tables, asking({ query: "SELECT ';' ; SELECT 1" })], 'DEFINITION_INVALID', 'sql.query'],
    ['a query without features', [...tables, asking({ features: {} as never })], 'DEFINITION_INVALID', 'sql.features'],
    [
      'a query on a source without events',
      [user, merchants, { ...transactions, stream: undefined }, risk],
      'DEFINITION_INVALID',
      'source',
    ],
    ['a query on an unknown table', [user, transactions, risk], 'REFERENCE_UNKNOWN', 'sql.with.0'],
    [
      'a table that has no batch',
      [user, transactions, { ...merchants, batch: undefined, stream: {} }, risk],
      'DEFINITION_INVALID',
      'sql.with.0',
    ],
    [
      'a table that is the source of events',
      [...tables, { ...transactions, batch: { table: 'x' } }, asking({ with: ['transactions'] })].filter(
        (one) => one !== transactions,
      ),
      'NAME_COLLISION',
      'sql.with.0',
    ],
    ['a path of an Avro schema', [avro('a.avsc')], 'DEFINITION_INVALID', 'stream.avroSchema'],
    ['an Avro schema that is none', [avro({ type: 'record' })], 'DEFINITION_INVALID', 'stream.avroSchema'],
    ['an Avro schema without the event time', [avro(avroFields('user_id'))], 'DEFINITION_INVALID', 'stream.avroSchema'],
    [
      'an Avro schema with a field that is no column',
      [avro(avroFields('user_id', 'event_time', 'device'))],
      'DEFINITION_INVALID',
      'stream.avroSchema',
    ],
    [
      'an Avro schema with a field of another type',
      [avro(avroFields('event_time', 'amount'))],
      'DEFINITION_INVALID',
      'stream.avroSchema',
    ],
    ['an Avro schema of JSON', [avro(avroFields('event_time'), 'json')], 'DEFINITION_INVALID', 'stream.format'],
  ];
  test.each(cases)('%s', (_, inputs, code, field) => {
    expect(refusal(() => plan([], inputs))).toEqual([code, field]);
  });
});
