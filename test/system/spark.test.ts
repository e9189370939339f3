/** Views on Spark beside the same views on the built-in processor: real Kafka, PostgreSQL, Redis, MongoDB and Spark. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Kafka, logLevel, type Producer } from 'kafkajs';
import pg from 'pg';
import { camelCase } from '../../src/definition/graphql-name.js';
import { eventually } from '../harness/eventually.js';
import { type SparkEnvironment, sparkDriversOf, sparkEnvironment } from '../harness/spark-home.js';
import { testServers } from '../harness/test-servers.js';
import { everyAggregation, everyColumn, randomValue } from '../unit/fakes/random-history.js';
import { seededRandom } from '../unit/fakes/seeded-random.js';
import { apply, ask } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const EVENTS = 10_000;
const USERS = 1_000;
const KILLS = 5;
/** A driver that starts on a busy machine needs its time, and it starts anew at each change. */
const WAIT = { timeoutMs: 300_000, everyMs: 250 };

const user = { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] };
const source = {
  kind: 'source',
  name: 'happenings',
  schema: { user_id: 'STRING', place: 'STRING', ...Object.fromEntries(everyColumn), event_time: 'TIMESTAMP' },
  timestamp: 'event_time',
  stream: {},
};
/** What a view of another entity refuses, no view has: those on Spark neither. */
const place = { kind: 'entity', name: 'place', joinKeys: [{ name: 'place', type: 'STRING' }] };
const places = {
  kind: 'featureView',
  name: 'place_values',
  entity: 'place',
  source: 'happenings',
  features: ['double'],
};
const windows = (name: string, engine: 'builtin' | 'spark') => ({
  kind: 'featureView',
  name,
  entity: 'user',
  source: 'happenings',
  engine,
  aggregations: everyAggregation,
});
const latest = (name: string, engine: 'builtin' | 'spark') => ({
  kind: 'featureView',
  name,
  entity: 'user',
  source: 'happenings',
  engine,
  features: everyColumn.map(([column]) => column),
});
const windowFields = everyAggregation.flatMap((one) => one.windows.map((window) => camelCase(`${one.name}_${window}`)));
const rowFields = everyColumn.map(([column]) => camelCase(column));

type Values = Readonly<Record<string, unknown>> | null;
type Row = Readonly<Record<'hereWindows' | 'thereWindows' | 'hereLatest' | 'thereLatest', Values>>;

describe(`a view on Spark (seed ${seed})`, () => {
  const random = seededRandom(seed);
  let platform: Platform;
  let fstore: FStoreProcess;
  let spark: SparkEnvironment;
  let producer: Producer;
  let database: pg.Pool;
  let produced = 0;

  beforeAll(async () => {
    spark = await sparkEnvironment();
    platform = await createPlatform('servers');
    fstore = await platform.start({ environment: spark });
    database = new pg.Pool({ connectionString: platform.environment.FSTORE_POSTGRES_URL!, max: 2 });
    const kafka = new Kafka({ brokers: testServers().kafkaBrokers, logLevel: logLevel.NOTHING });
    producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    await apply(fstore.url, [
      user,
      source,
      place,
      places,
      windows('here_windows', 'builtin'),
      windows('there_windows', 'spark'),
      latest('here_latest', 'builtin'),
      latest('there_latest', 'spark'),
    ]);
  }, 600_000);
  afterAll(async () => {
    await producer?.disconnect();
    await database?.end();
    await platform?.drop();
  });

  const base = Date.now() - 5 * 86_400_000;
  /** Late and out of order by days, with ties, nulls, repeated events, other zones, and now and then something unusable. */
  const happening = (): string => {
    const time = base + random.below(40) ** 3 * random.below(6_000);
    const values = everyColumn.map(([name, type]) => {
      const value = random.below(5) === 0 ? null : randomValue(random, type);
      return [name, typeof value === 'bigint' ? `${value}` : value];
    });
    const zone = random.below(2) ? new Date(time).toISOString() : new Date(time).toISOString().replace('Z', '+00:00');
    const where = random.below(100) === 0 ? null : 'here';
    const event = { user_id: `u${random.below(USERS)}`, place: where, ...Object.fromEntries(values), event_time: zone };
    if (random.below(200) === 0) return JSON.stringify({ ...event, small: 'many' });
    // An integer beyond 2^53, as a number of JSON.
    return JSON.stringify(event).replace(/"big":"(-?\d+)"/, random.below(2) ? '"big":$1' : '"big":"$1"');
  };
  const publish = async (count: number): Promise<void> => {
    for (let at = 0; at < count; at += 500) {
      const messages = Array.from({ length: Math.min(500, count - at) }, () => {
        const value = happening();
        return { key: (JSON.parse(value) as { user_id: string }).user_id, value };
      });
      // Some events arrive twice: they are two events, for both engines.
      await producer.send({
        topic: `${platform.project}.happenings`,
        messages: [...messages, ...messages.slice(0, 20)],
      });
      produced += messages.length + Math.min(20, messages.length);
    }
  };
  const count = async (text: string): Promise<number> => {
    const { rows } = await database
      .query<{ n: string }>(`SET search_path TO fstore_${platform.project}; ${text}`)
      .then((results) => (results as unknown as { rows: { n: string }[] }[])[1]!);
    return Number(rows[0]!.n);
  };
  const tableOf = async (view: string): Promise<string> => {
    const { rows } = await database.query<{ tablename: string }>(
      `SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename LIKE $2 AND tablename !~ '_(tiles|heads)$'`,
      [`fstore_${platform.project}`, `view\\_${view}\\_%`],
    );
    return rows[0]!.tablename;
  };
  /** Waits until both engines have had everything that was produced. */
  const settled = async (): Promise<void> => {
    const taken = 'SELECT (SELECT count(*) FROM event_log) + (SELECT count(*) FROM dead_letters) AS n';
    await eventually(async () => expect(await count(taken)).toBe(produced), WAIT);
    const usable = await count('SELECT count(*) AS n FROM event_log');
    for (const view of ['here_windows', 'there_windows', 'here_latest', 'there_latest']) {
      const table = await tableOf(view);
      await eventually(async () => {
        const rows = await count(`SELECT count(*) AS n FROM "${table}"`);
        expect({ view, rows }).toEqual({ view, rows: usable });
      }, WAIT);
    }
    await eventually(async () => expect(await count('SELECT count(*) AS n FROM staged_batches')).toBe(0), WAIT);
    await eventually(async () => expect(await count('SELECT count(*) AS n FROM due_rows')).toBe(0), WAIT);
  };
  const expectSame = async (): Promise<void> => {
    const view = (field: string, at: string, fields: readonly string[]) =>
      `${field}${at} { eventTime status ${fields.join(' ')} }`;
    const instant = new Date().toISOString();
    for (const at of ['', `(asOf: "${instant}")`]) {
      const selection = [
        view('hereWindows', at, windowFields),
        view('thereWindows', at, windowFields),
        view('hereLatest', at, rowFields),
        view('thereLatest', at, rowFields),
      ].join(' ');
      for (let from = 0; from < USERS; from += 250) {
        const ids = Array.from({ length: 250 }, (_, index) => `u${from + index}`);
        const { users } = await ask<{ users: readonly (Row & { id: string })[] }>(
          fstore.url,
          `query ($ids: [ID!]!) { users(ids: $ids) { id ${selection} } }`,
          { ids },
        );
        for (const row of users) {
          expectClose(`${row.id} windows ${at}`, row.thereWindows, row.hereWindows);
          expectClose(`${row.id} latest ${at}`, row.thereLatest, row.hereLatest);
        }
      }
    }
  };

  /** A view on Spark has a position and counts of its own, and they come to the same. */
  const expectFresh = async (): Promise<void> => {
    const fields = 'engine lag newestEventTime events';
    const { featureViews } = await ask<{ featureViews: { name: string; freshness: Record<string, unknown> }[] }>(
      fstore.url,
      `{ featureViews { name freshness { ${fields} } } }`,
    );
    const of = (name: string) => featureViews.find((view) => view.name === name)!.freshness;
    expect(of('here_windows')).toMatchObject({ engine: 'builtin', lag: 0 });
    expect(of('there_windows')).toEqual({ ...of('here_windows'), engine: 'spark' });
  };

  test(`has the values of the built-in processor, although its driver is killed ${KILLS} times`, async () => {
    const publishing = publish(EVENTS);
    for (let kill = 0; kill < KILLS; kill += 1) {
      const pids = await eventually(async () => {
        const found = await sparkDriversOf(platform.environment.FSTORE_DATA_DIR!);
        expect(found.length).toBeGreaterThan(0);
        return found;
      }, WAIT);
      await new Promise((resolve) => setTimeout(resolve, random.below(12_000)));
      for (const pid of pids) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It has ended by itself meanwhile.
        }
      }
    }
    await publishing;
    await settled();
    await expectSame();
    await expectFresh();
  }, 900_000);

  test('moves to the built-in processor and back while events come, without a gap and without counting twice', async () => {
    const publishing = publish(EVENTS);
    await apply(fstore.url, [windows('there_windows', 'builtin'), latest('there_latest', 'builtin')]);
    await apply(fstore.url, [windows('here_windows', 'spark')]);
    await publishing;
    await apply(fstore.url, [windows('there_windows', 'spark'), windows('here_windows', 'builtin')]);
    await publish(1_000);
    await settled();
    await expectSame();
  }, 900_000);
});

function expectClose(place: string, got: Values, wanted: Values): void {
  if (got === null || wanted === null) {
    expect(got).toEqual(wanted);
    return;
  }
  for (const [field, value] of Object.entries(wanted)) {
    const mine = got[field];
    const isClose =
      typeof value === 'number' && typeof mine === 'number' && Math.abs(mine - value) <= 1e-9 * Math.abs(value);
    if (!isClose && JSON.stringify(mine) !== JSON.stringify(value)) {
      throw new Error(`${place} ${field}: ${JSON.stringify(mine)} instead of ${JSON.stringify(value)} (seed ${seed})`);
    }
  }
}
