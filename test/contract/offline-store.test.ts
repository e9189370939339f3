/** The port of the offline store, held by PostgreSQL: what is written. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ViewVersion } from '../../src/definition/view-version.js';
import type { OfflineStore } from '../../src/store/offline-store.js';
import { eventually } from '../harness/eventually.js';
import { NaiveOfflineStore } from '../unit/fakes/naive-offline-store.js';
import { type OfflinePlatform, offlinePlatforms } from './store/offline-platform.js';
import { batchOf, freshTopic, freshView, key, NOW, newRow } from './store/offline-samples.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);

describe.each(offlinePlatforms)('the offline store on %s', (_, open) => {
  let platform: OfflinePlatform;
  let store: OfflineStore;
  let other: OfflineStore;
  const countRows = (view: ViewVersion) => platform.countRows(view);

  beforeAll(async () => {
    platform = await open();
    ({ store, other } = platform);
  });
  afterAll(() => platform?.close());

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

    test(`is counted once however often two processes are given its events (seed ${seed})`, async () => {
      const steps = fc.array(fc.record({ back: fc.nat(12), size: fc.integer({ min: 1, max: 15 }) }), { maxLength: 12 });
      await fc.assert(
        fc.asyncProperty(steps, steps, async (left, right) => {
          const view = freshView();
          await store.prepare([view]);
          const topic = freshTopic();
          const events = Array.from({ length: 60 }, (_, offset) =>
            newRow(offset, `u${offset % 7}`, (offset * 31) % 20, offset),
          );
          /** As a consumer that starts again now and then, always at or before the place it had reached. */
          const walk = async (process: OfflineStore, moves: readonly { back: number; size: number }[]) => {
            let reached = 0;
            let written = 0;
            for (const { back, size } of [...moves, { back: 100, size: 100 }]) {
              const from = Math.max(0, reached - back);
              reached = Math.min(events.length, from + size);
              written += (await process.commit(batchOf(topic, [{ view, rows: events.slice(from, reached) }]))).written;
            }
            return written;
          };
          const written = await Promise.all([walk(store, left), walk(other, right)]);
          expect(written[0] + written[1]).toBe(events.length);
          expect(await platform.countRows(view)).toBe(events.length);
          const naive = new NaiveOfflineStore();
          await naive.commit(batchOf(topic, [{ view, rows: events }]));
          const users = Array.from({ length: 7 }, (_, user) => key(`u${user}`));
          const picture = (rows: Awaited<ReturnType<OfflineStore['valuesAt']>>) => rows.map((row) => row?.values);
          for (const at of [-1, 0, 7, 30]) {
            expect(picture(await store.valuesAt(view, users, at))).toEqual(
              picture(await naive.valuesAt(view, users, at)),
            );
          }
        }),
        { seed, numRuns: 15 },
      );
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
      const counts = await Promise.all(
        [store, other].map((one) => one.fill({ source, stream: null, revision: 2 }, [{ view: later, read }], NOW)),
      );
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
      await other.fill({ source, stream: null, revision: 2 }, [{ view: later, read }], NOW);
      await committing;
      const all = await Promise.all(Array.from({ length: 60 }, (_, at) => store.valuesAt(later, [key('a')], at)));
      expect(all.map((rows) => rows[0]?.values[0])).toEqual(Array.from({ length: 60 }, (_, at) => at));
      expect(await countRows(later)).toBe(60);
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
      const replay = () =>
        store.replayDeadLetters(ids, async (list) => void sent.push(...list.map((one) => one.offset)));
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
  });
});
