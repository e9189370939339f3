/** What is made of data that nobody has declared: types, event time, join keys, and a definition file that can be applied. */
import { describe, expect, test } from '@jest/globals';
import { type ColumnProfile, profileColumns } from '../../src/definition/column-profile.js';
import { parseDefinitionFile } from '../../src/definition/definition-file.js';
import { parseDefinitions, planDefinitions } from '../../src/definition/plan.js';
import { definitionsYaml, draftSource, type KnownNames, nameOf } from '../../src/definition/source-draft.js';
import { buildControlSchema, reservedNames } from '../../src/schema/control/control-schema.js';
import { computation } from '../../src/transformation/computation.js';

const NOTHING: KnownNames = { entities: [], sources: [], views: [] };
const reserved = reservedNames(buildControlSchema());

const typesOf = (...records: Record<string, unknown>[]) =>
  Object.fromEntries(profileColumns(records).map(({ name, type, trouble }) => [name, trouble ?? type]));
const draftOf = (records: Record<string, unknown>[], known = NOTHING, title = 'Payments 2026') =>
  draftSource({
    title,
    input: { stream: { topic: 'payments' } },
    columns: profileColumns(records),
    records: records.length,
    known,
  });
const planOf = (yaml: string) => {
  const definitions = parseDefinitions(parseDefinitionFile(yaml, 'draft.yaml').map(({ definition }) => definition));
  return planDefinitions([], definitions, { prune: false, retire: [], reserved, computation }).changes;
};
const codes = (findings: readonly { code: string; column: string | null }[]) =>
  findings.map(({ code, column }) => `${code} ${column}`);

describe('the type of a column', () => {
  test('is the narrowest that takes all of its values, and text stays text', () => {
    expect(
      typesOf(
        { a: 1, b: 1, c: true, d: 'x', e: '2026-01-31T12:00:00Z', f: '007', g: [1, 2], h: null, i: 2n ** 60n },
        { a: 2, b: 1.5, c: null, d: '7', e: '2026-01-31', f: '12', g: [], h: null, i: 3 },
      ),
    ).toEqual({
      a: 'INT64',
      b: 'FLOAT64',
      c: 'BOOL',
      d: 'STRING',
      e: 'TIMESTAMP',
      f: 'STRING',
      g: 'INT64[]',
      h: 'STRING',
      i: 'INT64',
    });
  });

  test('is none for objects, lists of lists, and values of several types', () => {
    expect(typesOf({ a: { b: 1 }, c: [[1]], d: 1 }, { a: null, c: null, d: 'x' })).toEqual({
      a: 'mixed',
      c: 'mixed',
      d: 'mixed',
    });
  });

  test('is that of a time only where its name says so too, and milliseconds count as one in text formats only', () => {
    const millis = Date.UTC(2026, 0, 31);
    const record = { event_time: millis, user_id: millis, created_at: millis / 1_000, at: '2026-01-31 12:00:00' };
    expect(typesOf(record)).toEqual({ event_time: 'TIMESTAMP', user_id: 'INT64', created_at: 'epoch', at: 'zoneless' });
    const carried = profileColumns(
      [{ at: `${millis}` }, { at: BigInt(millis) }].slice(1),
      [{ name: 'at', type: 'INT64' }],
      true,
    );
    expect(carried).toMatchObject([{ type: 'INT64', trouble: 'epoch' }]);
  });

  test('counts what is null or missing, and what is different', () => {
    const [profile] = profileColumns([{ a: 1 }, { a: null }, {}, { a: 1 }, { a: 2 }]);
    expect(profile).toEqual({ name: 'a', type: 'INT64', nulls: 2, distinct: 2, trouble: null } satisfies ColumnProfile);
  });
});

describe('a draft', () => {
  const at = '2026-01-31T12:00:00Z';
  const payments = [1, 2, 3, 4].map((n) => {
    return {
      payment_id: `p${n}`,
      user_id: `u${n % 2}`,
      merchant_id: `m${n}`,
      amount: n / 2,
      status: 'ok',
      created_at: at,
      event_time: at,
    };
  });

  test('finds event time and join key by name and by what repeats, and says which others there are', () => {
    const { name, timestamp, key, findings, definitions } = draftOf(payments);
    expect({ name, timestamp, key }).toEqual({ name: 'payments_2026', timestamp: 'event_time', key: 'user_id' });
    expect(findings).toMatchObject([{ severity: 'warning', code: 'KEY_COLUMN_UNKNOWN' }]);
    expect(findings[0]!.message).toMatch(/^merchant_id, payment_id look like a join key too/);
    expect(definitions.map(({ kind, name: own }) => `${kind} ${own}`)).toEqual([
      'entity user',
      'source payments_2026',
      'featureView user_payments_2026',
    ]);
  });

  test('is a definition file that plans, with names that FStore or YAML would take for something else', () => {
    const yaml = definitionsYaml(
      draftOf(payments.map((one) => ({ ...one, null: 1, version: 2, no: 'x' }))).definitions,
    );
    expect(planOf(yaml).map(({ action, kind }) => `${action} ${kind}`)).toEqual([
      'CREATE entity',
      'CREATE source',
      'CREATE featureView',
    ]);
    expect(yaml).toContain('{ name: status, graphql: statusValue }');
    expect(yaml).toContain('"null": INT64');
  });

  test('takes an entity that is declared, and gives new things names that are free', () => {
    const known: KnownNames = {
      entities: [
        { name: 'shop', joinKeys: [{ name: 'merchant_id', type: 'STRING' }] },
        {
          name: 'user',
          joinKeys: [
            { name: 'user_id', type: 'INT64' },
            { name: 'tenant', type: 'STRING' },
          ],
        },
      ],
      sources: ['payments_2026'],
      views: ['shop_payments_2026_2'],
    };
    expect(draftOf(payments, known).definitions).toMatchObject([
      { kind: 'source', name: 'payments_2026_2' },
      { kind: 'featureView', name: 'shop_payments_2026_2_2', entity: 'shop' },
    ]);
  });

  test('leaves out what cannot be a column, and says so as an error where every event would be lost', () => {
    const records = [{ userId: 'u1', user_id: 'u1', address: { city: 'x' }, at }];
    const stream = draftOf(records);
    expect(stream.definitions[1]).toMatchObject({ schema: { user_id: 'STRING', at: 'TIMESTAMP' } });
    expect(codes(stream.findings)).toEqual(['COLUMN_NAME_INVALID userId', 'COLUMN_TYPE_UNKNOWN address']);
    expect(stream.findings.every(({ severity, cure }) => severity === 'error' && cure !== '')).toBe(true);
    const columns = profileColumns(records);
    const batch = draftSource({
      title: 'x',
      input: { batch: { ndjson: 'x.ndjson' } },
      columns,
      records: 1,
      known: NOTHING,
    });
    expect(batch.findings.every(({ severity }) => severity === 'warning')).toBe(true);
    // Without features of its own a view counts events.
    expect(batch.definitions[2]).toMatchObject({ aggregations: [{ function: 'count' }] });
  });

  test('without a key is a source alone; without a time it is nothing', () => {
    const keyless = draftOf([{ temperature: 1.5, at }]);
    expect(keyless.definitions.map(({ kind }) => kind)).toEqual(['source']);
    expect(codes(keyless.findings)).toEqual(['KEY_COLUMN_UNKNOWN null']);
    const timeless = draftOf([{ user_id: 'u1', at: '2026-01-31 12:00:00' }]);
    expect(timeless.definitions).toEqual([]);
    expect(codes(timeless.findings)).toEqual(['TIME_FORMAT_UNKNOWN at', 'TIME_COLUMN_UNKNOWN null']);
  });

  test('says what would be lost because key or time are missing now and then', () => {
    const { findings } = draftOf([
      { user_id: null, at },
      { user_id: 'u1', at: null },
      { user_id: 'u1', at },
    ]);
    expect(codes(findings)).toEqual(['EVENT_TIME_MISSING at', 'EVENT_KEY_MISSING user_id']);
  });

  test('has a name whatever the data is called', () => {
    const names = ['orders', 'Orders-2026.v2', 'userClicks', '__x', '2026', 'ä', 'a'.repeat(80)].map(nameOf);
    expect(names).toEqual(['orders', 'orders_2026_v2', 'user_clicks', 'x', 'events', 'events', 'a'.repeat(58)]);
  });
});
