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

const WINDOWS = ['1h', '6h', '2d'];
const HOPS = [300_000, 3_600_000];
const userWindows = {
  kind: 'featureView',
  name: 'user_windows',
  entity: 'user',
  source: 'transactions',
  aggregations: [
    { name: 'total', function: 'sum', column: 'amount', windows: WINDOWS },
    { name: 'events', function: 'count', windows: WINDOWS },
    { name: 'largest', function: 'max', column: 'amount', windows: WINDOWS },
    { name: 'recent', function: 'lastN', n: 3, column: 'amount', windows: WINDOWS },
  ],
};

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
    await apply(fstore.url, [user, transactions, userStats, userWindows]);
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

    // Amounts are whole numbers, so their sums are exact in any order.
    const table = await database.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = $1 AND table_name LIKE 'view_user_windows%tiles'`,
      [`fstore_${platform.project}`],
    );
    const tiles = await database.query<{ tile: string; total: number; count: number; most: number }>(
      `SELECT concat_ws(' ', user_id, _hop, _start) AS tile, a0_0 AS total, a1_0 AS count, a2_0 AS most
       FROM fstore_${platform.project}."${table.rows[0]?.name}"`,
    );
    const wanted = new Map<string, { total: number; count: number; most: number }>();
    for (const { user_id, event_time, amount } of events) {
      for (const hop of HOPS) {
        const tile = `${user_id} ${hop} ${Math.floor(Date.parse(event_time) / hop) * hop}`;
        const sum = wanted.get(tile) ?? { total: 0, count: 0, most: 0 };
        wanted.set(tile, { total: sum.total + amount, count: sum.count + 1, most: Math.max(sum.most, amount) });
      }
    }
    expect(new Map(tiles.rows.map(({ tile, ...sums }) => [tile, sums]))).toEqual(wanted);

    const fields = ['total', 'events', 'largest', 'recent'].flatMap((name) =>
      WINDOWS.map((window) => `${name}${window}`),
    );
    const windowsAt = async (asOf: string | null) =>
      (
        await ask<{ users: { id: string; windows: Record<string, unknown> }[] }>(
          fstore.url,
          `query ($ids: [ID!]!, $asOf: DateTime) { users(ids: $ids) { id windows(asOf: $asOf) { ${fields.join(' ')} } } }`,
          { ids, asOf },
        )
      ).users;
    const ofUser = new Map<string, { at: number; index: number; amount: number }[]>(ids.map((id) => [id, []]));
    for (const [index, event] of events.entries()) {
      ofUser.get(event.user_id)?.push({ at: Date.parse(event.event_time), index, amount: event.amount });
    }
    const oracle = (id: string, at: number): Record<string, unknown> => {
      const own = ofUser.get(id) ?? [];
      const values: Record<string, unknown> = {};
      for (const [position, window] of WINDOWS.entries()) {
        const length = [3_600_000, 21_600_000, 172_800_000][position]!;
        const hop = position === 2 ? 3_600_000 : 300_000;
        const from = Math.floor((at - length) / hop) * hop;
        const covered = own
          .filter((event) => event.at >= from && event.at <= at)
          .sort((a, b) => b.at - a.at || b.index - a.index);
        const amounts = covered.map((event) => event.amount);
        values[`total${window}`] = amounts.length > 0 ? amounts.reduce((sum, amount) => sum + amount, 0) : null;
        values[`events${window}`] = `${amounts.length}`;
        values[`largest${window}`] = amounts.length > 0 ? Math.max(...amounts) : null;
        values[`recent${window}`] = amounts.length > 0 ? amounts.slice(0, 3) : null;
      }
      return values;
    };
    const middle = start + 30_000_000;
    const past = await windowsAt(new Date(middle).toISOString());
    expect(past).toEqual(ids.map((id) => ({ id, windows: oracle(id, middle) })));
    // All events are hours old: between now and then the windows of an hour are empty, and a minute changes nothing but a tail.
    await eventually(
      async () => {
        const now = Date.now();
        const online = await windowsAt(null);
        expect(online).toEqual(ids.map((id) => ({ id, windows: oracle(id, now) })));
      },
      { timeoutMs: 20_000, everyMs: 200 },
    );
    await database.end();
  }, 600_000);
});
