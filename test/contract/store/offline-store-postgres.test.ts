/** What the offline store on PostgreSQL holds beyond its port: plans, statements, sessions, faults. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { FeatureValue, ValueType } from '../../../src/definition/value-type.js';
import type { ViewVersion } from '../../../src/definition/view-version.js';
import { connectPostgresOfflineStore } from '../../../src/store/offline-store-postgres.js';
import { describeTable, keyArrays, refuseTooWide } from '../../../src/store/view-table-postgres.js';
import { eventually } from '../../harness/eventually.js';
import { createFaultProxy } from '../../harness/fault-proxy.js';
import { postgresStatementCount } from '../../harness/test-servers.js';
import { scaled } from '../../harness/time-factor.js';
import { batchOf, freshAggregationView, freshTopic, freshView, key, NOW, newRow } from './offline-samples.js';
import { openPostgresPlatform, PROJECT, query } from './postgres-platform.js';

let platform: Awaited<ReturnType<typeof openPostgresPlatform>>;
beforeAll(async () => {
  platform = await openPostgresPlatform();
});
afterAll(() => platform?.close());

describe('the statements of the offline store', () => {
  test('find values by the index, not by reading the table', async () => {
    const { store, database } = platform;
    const view = freshView([['amount', 'FLOAT64']], [
      { name: 'user_id', type: 'STRING', column: 'user_id' },
      { name: 'card_id', type: 'INT64', column: 'card_id' },
    ] as const);
    await store.prepare([view]);
    const place = (user: number) => key(`u${user}`, `${user}`);
    const rows = Array.from({ length: 5_000 }, (_, index) => {
      return { offset: BigInt(index), key: place(index % 500), eventTime: index, values: [index] };
    });
    await store.commit(batchOf(freshTopic(), [{ view, rows }]));
    const schema = `"fstore_${PROJECT}"`;
    await query(database.url, `ANALYZE ${schema}."${view.table}"`);
    const keys = Array.from({ length: 100 }, (_, user) => place(user));
    const plan = await query(database.url, `EXPLAIN ${describeTable(schema, view).valuesAt({})}`, [
      ...keyArrays(view, keys),
      keys.map(() => new Date(4_000).toISOString()),
    ]);
    const text = plan.map((line) => Object.values(line)[0]).join('\n');
    expect(text).toMatch(/Index Cond: \(\(user_id = k\.k0\) AND \(card_id = k\.k1\) AND \(_event_time <= /);
    expect(text).not.toMatch(/Seq Scan|Sort/);
  });

  test('find tiles and the events at their edges by their indexes', async () => {
    const { store, database } = platform;
    const view = freshAggregationView(
      [['amount', 'FLOAT64']],
      [{ name: 'spend', function: 'sum', column: 'amount', windows: ['1h', '24h', '30d'] }],
    );
    await store.prepare([view]);
    const rows = Array.from({ length: 20_000 }, (_, index) =>
      newRow(index, `u${index % 200}`, NOW - index * 60_000, index),
    );
    await store.commit(batchOf(freshTopic(), [{ view, rows }]));
    const schema = `"fstore_${PROJECT}"`;
    for (const suffix of ['', '_tiles', '_heads'])
      await query(database.url, `ANALYZE ${schema}."${view.table}${suffix}"`);
    const keys = Array.from({ length: 100 }, (_, user) => key(`u${user}`));
    const { tiles, valuesAt } = describeTable(schema, view);
    const explain = async (statement: string, last: unknown[]): Promise<string> => {
      const plan = await query(database.url, `EXPLAIN ${statement}`, [...keyArrays(view, keys), ...last]);
      return plan.map((line) => Object.values(line)[0]).join('\n');
    };
    const instants = keys.map(() => new Date(NOW).toISOString());
    expect(await explain(valuesAt({}), [instants])).not.toMatch(/Seq Scan/);
    expect(await explain(tiles!.tilesAt, tiles!.liveFrom(NOW))).not.toMatch(/Seq Scan on .*_tiles/);
  });

  test('of a commit are as many for a thousand rows as for one', async () => {
    const { store, database } = platform;
    const views = [freshView(), freshView()];
    await store.prepare(views);
    const statements = await postgresStatementCount(database.url);
    const topic = freshTopic();
    const counts: number[] = [];
    for (const [first, size] of [
      [0, 2],
      [2, 1_000],
    ] as const) {
      const rows = Array.from({ length: size }, (_, index) =>
        newRow(first + index, `u${index}`, index % 2 === 0 ? 1 : NOW + 1, index),
      );
      const letter = { code: 'EVENT_MALFORMED', message: 'no', field: null, payload: Buffer.from('{') };
      await statements.reset();
      await store.commit(
        batchOf(
          topic,
          views.map((view) => ({ view, rows })),
          { deadLetters: rows.map(({ offset }) => ({ ...letter, offset })) },
        ),
      );
      counts.push(await statements.total());
    }
    // BEGIN, COMMIT, 4 for the locks and the offset, events, dead letters; for each view rows, due rows, newest.
    expect(counts).toEqual([14, 14]);
  });

  test('of a read are one', async () => {
    const { store, database } = platform;
    const view = freshView();
    await store.prepare([view]);
    await store.ping();
    const statements = await postgresStatementCount(database.url);
    const keys = Array.from({ length: 1_000 }, (_, user) => key(`u${user}`));
    expect(await store.valuesAt(view, keys, NOW)).toHaveLength(1_000);
    expect(await statements.total()).toBe(1);
  });

  test('serve a thousand views, prepared in one go', async () => {
    const { store, other } = platform;
    const views = Array.from({ length: 1_000 }, () =>
      freshView([
        ['a', 'FLOAT64'],
        ['b', 'STRING'],
      ]),
    );
    await store.prepare(views);
    const start = performance.now();
    await other.prepare(views);
    // The second process finds them all by one query.
    expect(performance.now() - start).toBeLessThan(scaled(1_000));
    for (const view of views.filter((_, index) => index % 5 === 0)) {
      expect(await other.valuesAt(view, [key('a')], NOW)).toEqual([null]);
    }
  });
});

describe('a view', () => {
  const wide = (types: readonly ValueType[]) => freshView(types.map((type, index) => [`f${index}`, type]));

  const repeat = (shape: readonly ValueType[], times: number) => Array.from({ length: times }, () => shape).flat();
  const fits = (view: ViewVersion): boolean => {
    try {
      refuseTooWide(view);
      return true;
    } catch {
      return false;
    }
  };

  test('is refused when some row of it would not fit', async () => {
    const refused = { code: 'DEFINITION_INVALID' };
    await expect(platform.store.prepare([wide(Array(1_100).fill('FLOAT64'))])).rejects.toMatchObject(refused);
    await expect(platform.store.prepare([wide(Array(400).fill('STRING'))])).rejects.toMatchObject(refused);
    await expect(platform.store.prepare([wide(Array(1_650).fill('BOOL'))])).rejects.toMatchObject(refused);
  });

  test('that is just not refused takes the widest row', async () => {
    // 23 bytes and their length are the longest that PostgreSQL never moves out of the row.
    const values: Record<string, FeatureValue> = {
      STRING: 'x'.repeat(23),
      FLOAT64: 1.5,
      BOOL: true,
      INT32: 1,
      'STRING[]': ['x'],
    };
    const shapes: ValueType[][] = [
      ['STRING'],
      ['FLOAT64'],
      ['STRING', 'FLOAT64'],
      ['BOOL', 'FLOAT64'],
      ['BOOL', 'INT32'],
      ['STRING[]', 'INT32', 'FLOAT64'],
    ];
    for (const shape of shapes) {
      let view = wide(shape);
      for (let times = 2; fits(wide(repeat(shape, times))); times += 1) view = wide(repeat(shape, times));
      await platform.store.prepare([view]);
      const row = newRow(0, 'a'.repeat(512), 1, ...view.features.map(({ type }) => values[type]!));
      await platform.store.commit(batchOf(freshTopic(), [{ view, rows: [row] }]));
      const [found] = await platform.store.valuesAt(view, [row.key], NOW);
      expect(found?.values).toEqual(row.values);
    }
  });
});

describe('a session', () => {
  test('that the server ends is replaced', async () => {
    const { store, database } = platform;
    const view = freshView();
    await store.prepare([view]);
    await query(
      database.url,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()`,
      [database.name],
    );
    await eventually(async () => expect(await store.valuesAt(view, [key('a')], NOW)).toEqual([null]));
    const batch = batchOf(freshTopic(), [{ view, rows: [newRow(0, 'a', 1, 1)] }]);
    await eventually(async () => expect((await store.commit(batch)).touched).toHaveLength(1));
    expect(await platform.countRows(view)).toBe(1);
  });
});

describe('a server', () => {
  test('that is cut off or silent means STORE_UNAVAILABLE, soon, and is used again when it is back', async () => {
    const target = new URL(platform.database.url);
    const proxy = await createFaultProxy({ targetHost: target.hostname, targetPort: Number(target.port) });
    target.port = `${proxy.port}`;
    const store = await connectPostgresOfflineStore({
      url: target.href,
      project: PROJECT,
      readTimeout: scaled(300),
      writeTimeout: scaled(300),
    });
    const view = freshView();
    await store.prepare([view]);
    const topic = freshTopic();
    let offset = 0;
    const read = () => store.valuesAt(view, [key('a')], NOW);
    for (const fault of [() => proxy.cut(), () => proxy.halfOpen()]) {
      const batch = batchOf(topic, [{ view, rows: [newRow(offset, 'a', offset, offset)] }]);
      await fault();
      const start = performance.now();
      const refused = { code: 'STORE_UNAVAILABLE' };
      await expect(read()).rejects.toMatchObject(refused);
      await expect(store.commit(batch)).rejects.toMatchObject(refused);
      await expect(store.takeDue([view], NOW, async () => {})).rejects.toMatchObject(refused);
      await expect(store.ping()).rejects.toMatchObject(refused);
      // Each of the four may wait for a timeout, and for a connection.
      expect(performance.now() - start).toBeLessThan(scaled(4 * 4_000));
      await proxy.heal();
      await eventually(async () => expect((await store.commit(batch)).touched).toHaveLength(1));
      await eventually(async () => expect((await read())[0]?.values).toEqual([offset]));
      offset += 1;
    }
    expect(await platform.countRows(view)).toBe(2);
    await store.close();
    await proxy.close();
  });

  test('that is not there at the start means STORE_UNAVAILABLE', async () => {
    const proxy = await createFaultProxy({ targetHost: '127.0.0.1', targetPort: 1 });
    const url = `postgres://fstore@127.0.0.1:${proxy.port}/postgres`;
    await proxy.close();
    await expect(connectPostgresOfflineStore({ url, project: PROJECT })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
  });

  test('is not even asked for a project that cannot name a schema', async () => {
    for (const project of ['', 'a b', 'a"b', 'A', 'x'.repeat(42)]) {
      await expect(connectPostgresOfflineStore({ url: 'postgres://nowhere', project })).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
      });
    }
  });
});
