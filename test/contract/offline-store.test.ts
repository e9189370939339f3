/** The port of the offline store, held by PostgreSQL. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { entityKey } from '../../src/definition/entity-key.js';
import type { FeatureValue, ValueType } from '../../src/definition/value-type.js';
import type { ViewVersion } from '../../src/definition/view-version.js';
import type { CommitBatch, NewRow, OfflineStore } from '../../src/store/offline-store.js';
import { connectPostgresOfflineStore } from '../../src/store/offline-store-postgres.js';
import { eventually } from '../harness/eventually.js';
import { createFaultProxy } from '../harness/fault-proxy.js';
import { createTestDatabase, type TestDatabase } from '../harness/test-servers.js';
import { exampleView } from '../unit/fakes/example-view.js';
import { NaiveOfflineStore } from '../unit/fakes/naive-offline-store.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const NOW = Date.UTC(2026, 0, 31, 12);
const PROJECT = 'contract';

let database: TestDatabase;
let store: OfflineStore;
let other: OfflineStore;
let count = 0;

/** A view with a table of its own. */
function freshView(
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

function batchOf(
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

const key = (...parts: string[]) => entityKey(parts);
const newRow = (offset: number, user: string, eventTime: number, ...values: FeatureValue[]): NewRow => ({
  offset: BigInt(offset),
  key: key(user),
  eventTime,
  values,
});
const freshTopic = (): string => {
  count += 1;
  return `topic${count}`;
};

beforeAll(async () => {
  database = await createTestDatabase();
  [store, other] = await Promise.all([
    connectPostgresOfflineStore({ url: database.url, project: PROJECT }),
    connectPostgresOfflineStore({ url: database.url, project: PROJECT }),
  ]);
});
afterAll(async () => {
  await store?.close();
  await other?.close();
  await database?.drop();
});

describe('a commit', () => {
  test('writes each event once, whichever way batches come again or overlap, and still names the entities', async () => {
    const view = freshView();
    await store.prepare([view]);
    const topic = freshTopic();
    const first = batchOf(topic, [{ view, rows: [newRow(0, 'a', 1, 1), newRow(1, 'b', 2, 2)] }]);
    const second = batchOf(topic, [{ view, rows: [newRow(1, 'b', 2, 2), newRow(2, 'a', 3, 3)] }]);
    expect((await store.commit(first)).written).toBe(2);
    const again = await other.commit(first);
    expect(again.written).toBe(0);
    expect(again.touched.map(({ key: one, row }) => [one.text, row?.values])).toEqual([
      ['a', [1]],
      ['b', [2]],
    ]);
    expect((await store.commit(second)).written).toBe(1);
    const rows = await store.valuesAt(view, [key('a'), key('b')], NOW);
    expect(rows.map((row) => row?.values)).toEqual([[3], [2]]);
  });

  test('from two processes for one partition runs one after the other, and the event is written by one of them', async () => {
    const view = freshView();
    await store.prepare([view]);
    const topic = freshTopic();
    const rows = Array.from({ length: 500 }, (_, index) => newRow(index, `u${index % 50}`, index, index));
    const batch = batchOf(topic, [{ view, rows }]);
    const results = await Promise.all([store, other, store, other].map((one) => one.commit(batch)));
    expect(results.reduce((sum, result) => sum + result.written, 0)).toBe(500);
    for (const result of results) expect(result.touched).toHaveLength(50);
  });

  test('of one topic for two sources keeps both', async () => {
    const [left, right] = [freshView(), freshView()];
    await store.prepare([left, right]);
    const topic = freshTopic();
    const letter = { offset: 1n, code: 'EVENT_MALFORMED', message: 'no', field: null, payload: Buffer.from('{') };
    const commit = (source: string, view: ViewVersion) =>
      store.commit(
        batchOf(topic, [{ view, rows: [newRow(0, 'a', 1, 1)] }], {
          source,
          consumer: source,
          nextOffset: 2n,
          deadLetters: [letter],
        }),
      );
    expect([(await commit('left', left)).written, (await commit('right', right)).written]).toEqual([1, 1]);
    expect((await store.deadLetters('right', 10)).map((one) => one.offset)).toEqual([1n]);
  });

  test('that fails leaves nothing behind', async () => {
    const view = freshView();
    await store.prepare([view]);
    const topic = freshTopic();
    const unprepared = freshView();
    const batch = batchOf(topic, [
      { view, rows: [newRow(0, 'a', 1, 1)] },
      { view: unprepared, rows: [newRow(0, 'a', 1, 1)] },
    ]);
    await expect(store.commit(batch)).rejects.toThrow();
    expect(await store.valuesAt(view, [key('a')], NOW)).toEqual([null]);
    expect((await store.commit(batchOf(topic, [{ view, rows: [newRow(0, 'a', 1, 1)] }]))).written).toBe(1);
  });

  test('names the newest visible row of an entity, not the row at hand', async () => {
    const view = freshView();
    await store.prepare([view]);
    const topic = freshTopic();
    await store.commit(batchOf(topic, [{ view, rows: [newRow(0, 'a', 100, 1)] }]));
    const late = await store.commit(batchOf(topic, [{ view, rows: [newRow(1, 'a', 50, 2)] }]));
    expect(late.touched[0]?.row).toMatchObject({ eventTime: 100, values: [1] });
  });

  test('gives a tie on event time to the later arrival, within a batch and across batches', async () => {
    const view = freshView();
    await store.prepare([view]);
    const topic = freshTopic();
    const within = await store.commit(
      batchOf(topic, [{ view, rows: [newRow(0, 'a', 100, 1), newRow(1, 'a', 100, 2)] }]),
    );
    expect(within.touched[0]?.row?.values).toEqual([2]);
    const across = await store.commit(batchOf(topic, [{ view, rows: [newRow(2, 'a', 100, 3)] }]));
    expect(across.touched[0]?.row?.values).toEqual([3]);
    expect(across.touched[0]!.row!.sequence).toBeGreaterThan(within.touched[0]!.row!.sequence);
  });
});

describe('a view that begins later', () => {
  const read = (payload: string) => {
    const { user, at, amount } = JSON.parse(payload) as { user: string; at: number; amount: number };
    return user === 'skip' ? null : { key: key(user), eventTime: at, values: [amount] };
  };
  const logged = (offset: number, user: string, at: number, amount: number) => ({
    offset: BigInt(offset),
    eventTime: at,
    payload: JSON.stringify({ user, at, amount }),
  });

  test('takes over what the log has, once, and makes commits of older definitions impossible', async () => {
    const source = freshTopic();
    const topic = freshTopic();
    const [first, later] = [freshView(), freshView()];
    await store.prepare([first, later]);
    const events = [logged(0, 'a', 10, 1), logged(1, 'a', 10, 2), logged(2, 'skip', 11, 3), logged(3, 'b', 12, 4)];
    const rows = events.map(({ offset, payload }) => ({
      offset,
      ...(read(payload) ?? { key: key('skip'), eventTime: 11, values: [3] }),
    }));
    await store.commit(batchOf(topic, [{ view: first, rows }], { source, events, revision: 1 }));
    const counts = await Promise.all([store, other].map((one) => one.fill(source, 2, [{ view: later, read }], NOW)));
    expect(counts.toSorted()).toEqual([0, 4]);
    const values = async () =>
      (await store.valuesAt(later, [key('a'), key('b'), key('skip')], NOW)).map((row) => row?.values);
    expect(await values()).toEqual([[2], [4], undefined]);

    const next = { source, events: [logged(4, 'b', 13, 5)] };
    const row = newRow(4, 'b', 13, 5);
    await expect(
      store.commit(batchOf(topic, [{ view: first, rows: [row] }], { ...next, revision: 1 })),
    ).rejects.toMatchObject({
      code: 'DEFINITIONS_STALE',
    });
    await store.commit(
      batchOf(
        topic,
        [first, later].map((view) => ({ view, rows: [row] })),
        { ...next, revision: 2 },
      ),
    );
    expect(await values()).toEqual([[2], [5], undefined]);
  });

  test('misses no event and has none twice while another process commits', async () => {
    const source = freshTopic();
    const topic = freshTopic();
    const [first, later] = [freshView(), freshView()];
    await store.prepare([first, later]);
    let revision = 1;
    const committing = (async () => {
      for (let offset = 0; offset < 60; offset += 1) {
        const row = newRow(offset, 'a', offset, offset);
        const views = () => (revision === 1 ? [first] : [first, later]);
        const commit = () =>
          store.commit(
            batchOf(
              topic,
              views().map((view) => ({ view, rows: [row] })),
              { source, revision, events: [logged(offset, 'a', offset, offset)] },
            ),
          );
        await commit().catch(async (error: { code: string }) => {
          expect(error.code).toBe('DEFINITIONS_STALE');
          revision = 2;
          await commit();
        });
      }
    })();
    await eventually(
      async () => expect((await store.valuesAt(first, [key('a')], 1_000))[0]?.values[0]).toBeGreaterThan(10),
      { everyMs: 1 },
    );
    await other.fill(source, 2, [{ view: later, read }], NOW);
    await committing;
    const all = await Promise.all(Array.from({ length: 60 }, (_, at) => store.valuesAt(later, [key('a')], at)));
    expect(all.map((rows) => rows[0]?.values[0])).toEqual(Array.from({ length: 60 }, (_, at) => at));
    const pg = await import('pg');
    const client = new pg.default.Client(database.url);
    await client.connect();
    const { rows } = await client.query(`SELECT count(*)::int AS n FROM fstore_${PROJECT}."${later.table}"`);
    await client.end();
    expect(rows).toEqual([{ n: 60 }]);
  });
});

describe('values', () => {
  test('come back exactly, for every type and every kind of key', async () => {
    const features: [string, ValueType, FeatureValue[]][] = [
      ['text', 'STRING', ['', 'é😀"\\{},NULL', null]],
      ['flag', 'BOOL', [true, false, null]],
      ['small', 'INT32', [-2147483648, 2147483647, null]],
      ['big', 'INT64', [-(2n ** 63n), 2n ** 63n - 1n, 9007199254740993n]],
      ['number', 'FLOAT64', [5e-324, 1.7976931348623157e308, 0.1]],
      ['instant', 'TIMESTAMP', [-62_135_596_800_000, 253_402_300_799_999, -1]],
      ['texts', 'STRING[]', [[], ['a,b', '"', '\\', 'NULL', ''], null]],
      ['flags', 'BOOL[]', [[true, false], [], null]],
      ['smalls', 'INT32[]', [[1, -1], [], null]],
      ['bigs', 'INT64[]', [[2n ** 63n - 1n], [], null]],
      ['numbers', 'FLOAT64[]', [[0.1, 1e300], [], null]],
      ['instants', 'TIMESTAMP[]', [[0, 253_402_300_799_999], [], null]],
      ['user_id', 'STRING', ['a feature that has the name of a join key', null, 'x']],
    ];
    const keys = [
      { name: 'user_id', type: 'STRING', column: 'user_id' },
      { name: 'card_id', type: 'INT64', column: 'card_id' },
    ] as const;
    const view = freshView(
      features.map(([name, type]) => [name, type]),
      keys,
    );
    await store.prepare([view]);
    const places = [key(`o'"\\|;--`, '1'), key('é😀', '-9223372036854775808'), key('1', '23')];
    const rows = places.map((place, index) => ({
      offset: BigInt(index),
      key: place,
      eventTime: [-62_135_596_800_000, 1_234, 253_402_300_799_999][index]!,
      values: features.map(([, , values]) => values[index] ?? null),
    }));
    const batch = batchOf(freshTopic(), [{ view, rows }], { now: 253_402_300_799_999 });
    const { touched } = await store.commit(batch);
    expect(touched.map(({ row }) => [row?.eventTime, row?.values])).toEqual(
      rows.map((row) => [row.eventTime, row.values]),
    );
    expect(await store.valuesAt(view, [key('12', '3'), key('1', '23')], 253_402_300_799_999)).toEqual([
      null,
      expect.objectContaining({ values: rows[2]!.values }),
    ]);
  });

  test(`at random instants are those of a naive reading (seed ${seed})`, async () => {
    const event = fc.record({
      user: fc.integer({ min: 0, max: 5 }),
      at: fc.integer({ min: -20, max: 20 }),
      amount: fc.integer({ min: 0, max: 9 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(event, { maxLength: 15 }), { maxLength: 4 }),
        fc.array(fc.integer({ min: -25, max: 25 }), { minLength: 1, maxLength: 4 }),
        async (batches, instants) => {
          const view = freshView();
          const naive = new NaiveOfflineStore();
          await store.prepare([view]);
          const topic = freshTopic();
          let offset = 0;
          for (const events of batches) {
            const rows = events.map(({ user, at, amount }) => newRow(offset++, `u${user}`, at * 1_000, amount));
            const batch = batchOf(topic, [{ view, rows }]);
            const [real, oracle] = [await store.commit(batch), await naive.commit(batch)];
            const picture = (result: typeof real) =>
              result.touched.map(({ key: one, row }) => [one.text, row?.eventTime, row?.values]);
            expect(picture(real)).toEqual(picture(oracle));
          }
          const keys = Array.from({ length: 7 }, (_, user) => key(`u${user}`));
          for (const at of instants) {
            const [real, oracle] = [
              await store.valuesAt(view, keys, at * 1_000),
              await naive.valuesAt(view, keys, at * 1_000),
            ];
            expect(real.map((row) => row && [row.eventTime, row.values])).toEqual(
              oracle.map((row) => row && [row.eventTime, row.values]),
            );
          }
        },
      ),
      { seed, numRuns: 60 },
    );
  });

  test('are found by the index, not by reading the table', async () => {
    const view = freshView();
    await store.prepare([view]);
    const rows = Array.from({ length: 5_000 }, (_, index) => newRow(index, `u${index % 500}`, index, index));
    await store.commit(batchOf(freshTopic(), [{ view, rows }]));
    const pg = await import('pg');
    const client = new pg.default.Client(database.url);
    await client.connect();
    await client.query(`ANALYZE fstore_${PROJECT}."${view.table}"`);
    const plan = await client.query(
      `EXPLAIN SELECT r.* FROM unnest(ARRAY['u1','u2']::text[]) AS k(k) LEFT JOIN LATERAL (
         SELECT * FROM fstore_${PROJECT}."${view.table}" t WHERE t.user_id = k.k AND t._event_time <= now()
         ORDER BY t._event_time DESC, t._sequence DESC LIMIT 1) r ON true`,
    );
    await client.end();
    const text = plan.rows.map((line) => Object.values(line)[0]).join('\n');
    expect(text).toContain('Index Scan');
    expect(text).not.toContain('Seq Scan');
  });
});

describe('rows whose time has not come', () => {
  test('become visible when it comes, and are published then, also when the first try fails', async () => {
    const view = freshView();
    await store.prepare([view]);
    const topic = freshTopic();
    const { touched } = await store.commit(
      batchOf(topic, [{ view, rows: [newRow(0, 'a', NOW - 5, 1), newRow(1, 'a', NOW + 1_000, 2)] }]),
    );
    expect(touched[0]?.row?.values).toEqual([1]);
    const published: unknown[] = [];
    const take = (now: number) =>
      store.takeDue([view], now, async (list) => {
        published.push(...list.map(({ key: one, row }) => [one.text, row?.values]));
      });
    expect(await take(NOW + 999)).toBe(0);
    const failing = store.takeDue([view], NOW + 1_000, async () => {
      throw new Error('the online store is down');
    });
    await expect(failing).rejects.toThrow('the online store is down');
    expect(await take(NOW + 1_000)).toBe(1);
    expect(await take(NOW + 1_000)).toBe(0);
    expect(published).toEqual([['a', [2]]]);
  });
});

describe('dead letters', () => {
  test('are written with their batch, once, listed newest first, and replayed once', async () => {
    const topic = freshTopic();
    const letter = (offset: number) => ({
      offset: BigInt(offset),
      code: 'EVENT_MALFORMED',
      message: 'no\u0000',
      field: null,
      payload: Buffer.from([0xff, 0, 1]),
    });
    const batch = batchOf(topic, [], { source: 'letters', nextOffset: 2n, deadLetters: [letter(0), letter(1)] });
    await store.commit(batch);
    await other.commit(batch);
    const letters = await store.deadLetters('letters', 10);
    expect(letters.map((one) => one.offset)).toEqual([1n, 0n]);
    expect(letters[0]).toMatchObject({
      topic,
      partition: 0,
      code: 'EVENT_MALFORMED',
      message: 'no',
      payload: Buffer.from([0xff, 0, 1]),
      replayedAt: null,
    });
    const ids = letters.map((one) => one.id);
    await expect(
      store.replayDeadLetters(ids, async () => {
        throw new Error('the bus is down');
      }),
    ).rejects.toThrow('the bus is down');
    const sent: bigint[] = [];
    const replay = () => store.replayDeadLetters(ids, async (list) => void sent.push(...list.map((one) => one.offset)));
    expect([await replay(), await replay()]).toEqual([2, 0]);
    expect(sent).toEqual([0n, 1n]);
  });
});

describe('the store', () => {
  test('prepares the same views from two processes at once', async () => {
    const views = Array.from({ length: 20 }, () => freshView());
    await Promise.all([store.prepare(views), other.prepare(views), store.prepare(views)]);
    expect(await other.valuesAt(views[19]!, [key('a')], NOW)).toEqual([null]);
  });

  test('prepares a thousand views in one go', async () => {
    const views = Array.from({ length: 1_000 }, () =>
      freshView([
        ['a', 'FLOAT64'],
        ['b', 'STRING'],
      ]),
    );
    await store.prepare(views);
    expect(await other.valuesAt(views[999]!, [key('a')], NOW)).toEqual([null]);
  });

  test('that is cut off or silent says STORE_UNAVAILABLE, and works again when it is back', async () => {
    const target = new URL(database.url);
    const proxy = await createFaultProxy({ targetHost: target.hostname, targetPort: Number(target.port) });
    target.port = `${proxy.port}`;
    const view = freshView();
    const fragile = await connectPostgresOfflineStore({ url: target.href, project: PROJECT, readTimeout: 300 });
    await fragile.prepare([view]);
    for (const fault of [() => proxy.cut(), () => proxy.halfOpen()]) {
      await fault();
      await eventually(() =>
        expect(fragile.valuesAt(view, [key('a')], NOW)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' }),
      );
      await proxy.heal();
      await eventually(async () => expect(await fragile.valuesAt(view, [key('a')], NOW)).toEqual([null]));
    }
    await fragile.close();
    await proxy.close();
  });
});
