/** kill -9 at random points while events stream through Kafka, PostgreSQL and Redis. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import { eventually } from '../harness/eventually.js';
import { testServers } from '../harness/test-servers.js';
import { transactions, user, userStats } from '../unit/fakes/example-definitions.js';
import { apply, ask } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const EVENTS = 50_000;
const USERS = 500;
const KILLS = 20;
const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);

/** mulberry32: a small generator whose seed is printed, so that a failure can be run again. */
function createRandom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe(`after ${KILLS} kills during ${EVENTS} events (seed ${seed})`, () => {
  let platform: Platform;
  let fstore: FStoreProcess;
  const random = createRandom(seed);
  const start = Date.now() - 86_400_000;
  const events = Array.from({ length: EVENTS }, (_, index) => ({
    user_id: `u${Math.floor(random() * USERS)}`,
    card_id: index,
    amount: index,
    country: 'NL',
    // Out of order by up to a minute, with ties.
    event_time: new Date(start + Math.floor((index * 1_000 + random() * 60_000) / 500) * 500).toISOString(),
  }));

  beforeAll(async () => {
    platform = await createPlatform('servers');
    fstore = await platform.start();
    await apply(fstore.url, [user, transactions, userStats]);
  });
  afterAll(() => platform.drop());

  test('history holds each event once, and every online value is the newest event of its entity', async () => {
    const kafka = new Kafka({ brokers: testServers().kafkaBrokers, logLevel: logLevel.NOTHING });
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    const topic = `${platform.project}.transactions`;
    const publishing = (async () => {
      for (let at = 0; at < EVENTS; at += 1_000) {
        const messages = events
          .slice(at, at + 1_000)
          .map((event) => ({ key: event.user_id, value: JSON.stringify(event) }));
        await producer.send({ topic, messages });
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
      await producer.disconnect();
    })();
    const database = new pg.Pool({ connectionString: platform.environment.FSTORE_POSTGRES_URL, max: 2 });
    const count = async (): Promise<number> => {
      const { rows } = await database.query<{ count: string }>(
        `SELECT count(*) FROM fstore_${platform.project}.event_log`,
      );
      return Number(rows[0]?.count);
    };
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const threshold = (await count()) + random() * 2 * (EVENTS / KILLS / 2);
      await eventually(async () => expect(await count()).toBeGreaterThanOrEqual(Math.min(threshold, EVENTS)), {
        timeoutMs: 60_000,
        everyMs: 10,
      });
      fstore.process.kill('SIGKILL');
      await fstore.process.exited;
      fstore = await platform.start();
    }
    await publishing;
    await eventually(async () => expect(await count()).toBe(EVENTS), { timeoutMs: 60_000 });

    const view = await database.query<{ table: string }>(
      `SELECT table_name AS table FROM information_schema.tables WHERE table_schema = $1 AND table_name LIKE 'view_user_stats%'`,
      [`fstore_${platform.project}`],
    );
    const rows = await database.query<{ amount: number }>(
      `SELECT amount FROM fstore_${platform.project}."${view.rows[0]?.table}"`,
    );
    expect(rows.rows.length).toBe(EVENTS);
    expect(new Set(rows.rows.map((row) => row.amount)).size).toBe(EVENTS);

    // Events of a user stay in one partition in the order in which they were sent: the later arrival wins a tie.
    const newest = new Map<string, (typeof events)[number]>();
    for (const event of events) {
      const before = newest.get(event.user_id);
      if (!before || event.event_time >= before.event_time) newest.set(event.user_id, event);
    }
    const ids = [...newest.keys()];
    const expected = ids.map((id) => ({
      id,
      stats: { amount: newest.get(id)?.amount, eventTime: newest.get(id)?.event_time },
    }));
    const read = async () =>
      (
        await ask<{ users: unknown[] }>(
          fstore.url,
          'query ($ids: [ID!]!) { users(ids: $ids) { id stats { amount eventTime } } }',
          { ids },
        )
      ).users;
    await eventually(async () => expect(await read()).toEqual(expected), { timeoutMs: 20_000, everyMs: 200 });
    await database.end();
  }, 600_000);
});
