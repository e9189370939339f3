/** What is counted of what was taken in, held by PostgreSQL. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { IntakeLedger } from '../../src/store/intake.js';
import { connectPostgresIntake } from '../../src/store/intake-postgres.js';
import { connectPostgresStagedBatches } from '../../src/store/staged-batches-postgres.js';
import { batchOf, freshTopic, freshView, NOW, newRow } from './store/offline-samples.js';
import { openPostgresPlatform, PROJECT, query } from './store/postgres-platform.js';

let platform: Awaited<ReturnType<typeof openPostgresPlatform>>;
let ledger: IntakeLedger;
beforeAll(async () => {
  platform = await openPostgresPlatform();
  ledger = connectPostgresIntake({ url: platform.database.url, project: PROJECT });
});
afterAll(async () => {
  await ledger?.close();
  await platform?.close();
});

/** Streams have no dead letters of their own. */
const nothing = async () => [];
const sql = (text: string, values: unknown[] = []) => query(platform.database.url, text, values);

test('a batch is counted once, whichever way it comes again or overlaps, over all partitions of its consumer', async () => {
  const view = freshView();
  await platform.store.prepare([view]);
  const topic = freshTopic();
  const letter = { code: 'EVENT_MALFORMED', message: 'no', field: null, payload: Buffer.from('{') };
  const first = batchOf(topic, [{ view, rows: [newRow(0, 'a', NOW - 5, 1), newRow(1, 'b', NOW - 9, 2)] }], {
    consumer: 'one',
  });
  const second = batchOf(topic, [{ view, rows: [newRow(1, 'b', NOW - 9, 2), newRow(2, 'a', NOW - 8, 3)] }], {
    consumer: 'one',
    nextOffset: 4n,
    deadLetters: [{ offset: 3n, ...letter }],
  });
  const elsewhere = batchOf(topic, [{ view, rows: [newRow(0, 'c', NOW - 1, 1)] }], { consumer: 'one', partition: 1 });
  const began = Date.now();
  await Promise.all([platform.store.commit(first), platform.other.commit(first)]);
  await platform.store.commit(second);
  await platform.other.commit(second);
  await platform.other.commit(elsewhere);
  const found = await ledger.ofConsumers(['one', 'nobody']);
  expect([...found.keys()]).toEqual(['one']);
  expect(found.get('one')).toMatchObject({ events: 4, unusable: 1, newest: NOW - 1 });
  expect(found.get('one')!.perMinute).toBeGreaterThan(0);
  expect(found.get('one')!.perMinute).toBeLessThanOrEqual(4);
  // The clocks of the two machines are one here.
  expect(found.get('one')!.movedAt).toBeGreaterThanOrEqual(began - 1_000);
});

test('the rate is that of the last minute, and falls to zero when nothing comes', async () => {
  const rate = async (moved: string): Promise<number> => {
    await sql(
      `INSERT INTO fstore_${PROJECT}.consumed_offsets (consumer, topic, partition, next_offset, moved_at, minute_events, earlier_events)
       VALUES ('rate', 't', 0, 0, ${moved}, 60, 120)
       ON CONFLICT (consumer, topic, partition) DO UPDATE SET moved_at = excluded.moved_at`,
    );
    return (await ledger.ofConsumers(['rate'])).get('rate')!.perMinute;
  };
  const now = await rate('now()');
  expect(now).toBeGreaterThanOrEqual(60);
  expect(now).toBeLessThanOrEqual(180);
  expect(await rate(`now() - interval '1 minute'`)).toBeLessThanOrEqual(60);
  expect(await rate(`now() - interval '3 minutes'`)).toBe(0);
});

test('what another engine has computed is counted when it is merged, and waits until then', async () => {
  const view = freshView();
  await platform.store.prepare([view]);
  const stream = 'fstore.contract.elsewhere';
  const staged = connectPostgresStagedBatches({ url: platform.database.url, project: PROJECT });
  try {
    await sql(
      `INSERT INTO fstore_${PROJECT}.engines (view_table, source, engine, revision) VALUES ($1, 'transactions', 'spark', 1)`,
      [view.table],
    );
    const run = { stream, source: 'transactions', topic: 'elsewhere', revision: 1, views: [view] };
    const { epoch } = await staged.begin(run);
    const sealed = {
      stream,
      epoch,
      batch: 0,
      size: 10,
      events: 7,
      unusable: 3,
      newest: NOW,
      positions: { [view.table]: { 0: { from: '0', to: '10' } } },
    };
    await sql(`SELECT fstore_${PROJECT}.seal_staged_batch($1)`, [JSON.stringify(sealed)]);
    await sql(
      `INSERT INTO fstore_${PROJECT}.view_positions (view_table, topic, partition, next_offset) VALUES ($1, 'before', 1, 99)`,
      [view.table],
    );
    const asked = [view.table, 'none'].map((table) => ({ table, topic: 'elsewhere' }));
    expect(await ledger.viewPositions(asked)).toEqual(new Map([[view.table, new Map([[0, 10n]])]]));
    expect((await ledger.ofEngines([stream])).get(stream)).toMatchObject({ events: 0, newest: null, unmerged: 10 });
    await staged.merge(stream, [view], nothing);
    expect(await staged.merge(stream, [view], nothing)).toBeNull();
    const merged = { events: 7, unusable: 3, newest: NOW, unmerged: 0 };
    expect((await ledger.ofEngines([stream])).get(stream)).toMatchObject(merged);
  } finally {
    await staged.close();
  }
});
