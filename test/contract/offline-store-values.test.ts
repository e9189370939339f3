/** The port of the offline store, held by PostgreSQL: what is read, and when. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { FeatureValue, ValueType } from '../../src/definition/value-type.js';
import type { ViewVersion } from '../../src/definition/view-version.js';
import type { OfflineStore } from '../../src/store/offline-store.js';
import { NaiveOfflineStore } from '../unit/fakes/naive-offline-store.js';
import { type OfflinePlatform, offlinePlatforms } from './store/offline-platform.js';
import { batchOf, freshTopic, freshView, key, NOW, newRow } from './store/offline-samples.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);

describe.each(offlinePlatforms)('the offline store on %s', (_, open) => {
  let platform: OfflinePlatform;
  let store: OfflineStore;
  let other: OfflineStore;

  beforeAll(async () => {
    platform = await open();
    ({ store, other } = platform);
  });
  afterAll(() => platform?.close());

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

    test('come back under any name that a key or a feature may have', async () => {
      const names = ['n', 'k', 'k0', 'r', 't', 'order', 'select', 'user', 'offset', 'event_time', 'sequence', 'x_1'];
      const keys = names.slice(0, 4).map((name) => ({ name, type: 'STRING' as const, column: name }));
      const view = freshView(
        names.map((name) => [name, 'INT32']),
        keys,
      );
      await store.prepare([view]);
      const place = key('1', '23', '4', '5');
      const values = names.map((_, index) => index);
      const row = { offset: 0n, key: place, eventTime: 1, values };
      await store.commit(batchOf(freshTopic(), [{ view, rows: [row] }]));
      const found = await store.valuesAt(view, [key('12', '3', '4', '5'), place], NOW);
      expect(found.map((one) => one?.values)).toEqual([undefined, values]);
    });

    test('come back however long they are', async () => {
      const view = freshView([
        ['texts', 'STRING[]'],
        ['numbers', 'INT64[]'],
      ]);
      await store.prepare([view]);
      const values = [
        ['"\\'.repeat(500_000), 'é'.repeat(1_000_000), '', '{,}\n'],
        Array.from({ length: 65_536 }, (_, index) => BigInt(index) * 140_737_488_355_328n),
      ];
      await store.commit(batchOf(freshTopic(), [{ view, rows: [newRow(0, 'a', 1, ...values)] }]));
      const [row] = await store.valuesAt(view, [key('a')], NOW);
      expect(row?.values[0]).toEqual(values[0]);
      expect(row?.values[1]).toEqual(values[1]);
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

    test('stay for a view that is not asked for, which another process may know', async () => {
      const [known, unknown] = [freshView(), freshView()];
      await store.prepare([known, unknown]);
      const rows = [newRow(0, 'a', NOW + 1, 1)];
      await store.commit(
        batchOf(freshTopic(), [
          { view: known, rows },
          { view: unknown, rows },
        ]),
      );
      const taken: string[] = [];
      const take = (views: ViewVersion[]) =>
        store.takeDue(views, NOW + 1, async (touched) => void taken.push(...touched.map(({ view }) => view.table)));
      expect([await take([known]), await take([known]), await take([unknown])]).toEqual([1, 0, 1]);
      expect(taken).toEqual([known.table, unknown.table]);
    });

    test('are all taken, each by one of the processes that ask at once', async () => {
      const view = freshView();
      await store.prepare([view]);
      const rows = Array.from({ length: 2_500 }, (_, index) =>
        newRow(index, `u${index}`, NOW + 1 + (index % 3), index),
      );
      await store.commit(batchOf(freshTopic(), [{ view, rows }]));
      const users: string[] = [];
      const publish = async (touched: readonly { key: { text: string } }[]) =>
        void users.push(...touched.map((one) => one.key.text));
      const counts = await Promise.all([store, other].map((process) => process.takeDue([view], NOW + 5, publish)));
      expect(counts[0]! + counts[1]!).toBe(2_500);
      expect(new Set(users).size).toBe(2_500);
    });
  });
});
