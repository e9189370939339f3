/** A topic that was deleted and created again must not pass for the old one, whose offsets were all taken in. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { entityKey } from '../../src/definition/entity-key.js';
import type { CommitBatch, OfflineStore } from '../../src/store/offline-store.js';
import { connectPostgresOfflineStore } from '../../src/store/offline-store-postgres.js';
import { createTestDatabase, type TestDatabase } from '../harness/test-servers.js';
import { exampleView } from '../unit/fakes/example-view.js';

let database: TestDatabase;
let store: OfflineStore;
beforeAll(async () => {
  database = await createTestDatabase();
  store = await connectPostgresOfflineStore({ url: database.url, project: 'recreated' });
  await store.prepare([exampleView]);
});
afterAll(async () => {
  await store?.close();
  await database?.drop();
});

function batchOf(events: readonly [offset: number, eventTime: number, amount: number][]): CommitBatch {
  const rows = events.map(([offset, eventTime, amount]) => ({
    offset: BigInt(offset),
    key: entityKey(['u1']),
    eventTime,
    values: [amount],
  }));
  return {
    revision: 1,
    consumer: 'c',
    source: 's',
    topic: 't',
    partition: 0,
    nextOffset: (rows.at(-1)?.offset ?? -1n) + 1n,
    events: rows.map(({ offset, eventTime, values }) => ({ offset, eventTime, payload: JSON.stringify(values) })),
    rows: [{ view: exampleView, rows }],
    deadLetters: [],
    now: 1_000,
  };
}

test('other events at offsets that were taken in are refused, the same ones are not', async () => {
  await store.commit(
    batchOf([
      [0, 10, 1],
      [1, 20, 2],
      [2, 30, 3],
    ]),
  );
  const recreated = batchOf([
    [0, 110, 4],
    [1, 120, 5],
  ]);
  await expect(store.commit(recreated)).rejects.toMatchObject({ code: 'TOPIC_RECREATED' });
  expect(
    (
      await store.commit(
        batchOf([
          [1, 20, 2],
          [2, 30, 3],
          [3, 40, 4],
        ]),
      )
    ).written,
  ).toBe(1);
});
