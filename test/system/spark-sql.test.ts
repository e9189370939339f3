/** Views that a query in Spark SQL computes: real Kafka, PostgreSQL, Redis, MongoDB and Spark, values worked out again here. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Admin, Kafka, logLevel, type Producer } from 'kafkajs';
import pg from 'pg';
import { openTableWriter } from '../../src/tabular/table-writer.js';
import { eventually } from '../harness/eventually.js';
import { sparkDriversOf, sparkEnvironment } from '../harness/spark-home.js';
import { testServers } from '../harness/test-servers.js';
import { seededRandom } from '../unit/fakes/seeded-random.js';
import { apply, ask, post } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const USERS = 40;
const WAIT = { timeoutMs: 240_000, everyMs: 250 };
const START = Date.now() - 86_400_000;

const definitions = [
  { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] },
  {
    kind: 'source',
    name: 'transactions',
    schema: { customer: 'STRING', merchant_id: 'STRING', amount: 'FLOAT64', cents: 'INT64', at: 'TIMESTAMP' },
    timestamp: 'at',
    stream: {},
  },
  {
    kind: 'source',
    name: 'merchants',
    schema: { merchant_id: 'STRING', risk: 'FLOAT64', since: 'TIMESTAMP' },
    timestamp: 'since',
    batch: { parquet: 'merchants.parquet' },
  },
  {
    kind: 'source',
    name: 'limits',
    schema: { user_id: 'STRING', cap: 'FLOAT64', set_at: 'TIMESTAMP' },
    timestamp: 'set_at',
    batch: { query: 'SELECT id AS user_id, cap, set_at FROM caps' },
  },
];
const view = (name: string, query: string, extra: Record<string, unknown> = {}) => ({
  kind: 'featureView',
  name,
  entity: 'user',
  source: 'transactions',
  engine: 'spark',
  ...extra,
  sql: { query, with: ['merchants', 'limits'], features: { exposure: 'FLOAT64' } },
});
const exposure = {
  ...view('user_exposure', ''),
  sql: {
    query: `
      WITH risks AS (SELECT merchant_id, risk, since FROM merchants)
      SELECT t.customer AS user_id, t.at,
        CASE WHEN t.amount < 0 THEN double('NaN') ELSE least(t.amount * coalesce(r.risk, 0.5), l.cap) END AS exposure,
        t.cents + 1 AS cents,
        CASE WHEN t.merchant_id IS NOT NULL THEN array(t.merchant_id, upper(t.merchant_id)) END AS places,
        r.since,
        hour(t.at) AS hour
      FROM transactions t
      LEFT JOIN risks r ON r.merchant_id = t.merchant_id
      JOIN limits l ON l.user_id = t.customer`,
    with: ['merchants', 'limits'],
    features: { exposure: 'FLOAT64', cents: 'INT64', places: 'STRING[]', since: 'TIMESTAMP', hour: 'INT32' },
  },
};

/** Queries that Spark or FStore refuses, and how the reason begins; `$` is a query that neither does. */
const refused: Readonly<Record<string, readonly [string, string]>> = {
  user_sum: [
    'SELECT customer AS user_id, max(at) AS at, sum(amount) AS exposure FROM others GROUP BY customer',
    'an aggregate',
  ],
  user_rank: ['SELECT user_id, at, rank() OVER (ORDER BY at) AS exposure FROM ($)', 'a window function over others'],
  user_pair: ['WITH a AS ($) SELECT a.* FROM a JOIN a AS b ON a.user_id = b.user_id', 'INNER JOIN keeps more than'],
  user_any: ['$ RIGHT JOIN merchants m ON m.merchant_id = o.merchant_id', 'RIGHT OUTER JOIN keeps more than'],
  user_some: ['$ LIMIT 3', 'LIMIT over others'],
  user_other: [
    'SELECT merchant_id AS user_id, since AS at, risk AS exposure FROM merchants',
    'the query does not read others',
  ],
  user_text: [
    "SELECT user_id, at, 'much' AS exposure FROM ($)",
    'column exposure is string, which is no FLOAT64: CAST it',
  ],
  user_less: ['SELECT user_id, at FROM ($)', 'the result has no column exposure (it has user_id, at)'],
  user_file: ['SELECT * FROM ($) CROSS JOIN csv.`/etc/passwd`', '[TABLE_OR_VIEW_NOT_FOUND]'],
  user_java: [
    "SELECT user_id, at, reflect('java.lang.System', 'getenv', 'PATH') AS exposure FROM ($)",
    '[UNRESOLVED_ROUTINE]',
  ],
};

interface Event {
  readonly customer: string;
  readonly merchant_id: string | null;
  readonly amount: number | null;
  readonly cents: bigint;
  readonly at: number;
}

describe(`a sql view (seed ${seed})`, () => {
  const random = seededRandom(seed);
  const risks = new Map<string, number>();
  const caps = new Map<string, number>();
  const since = (merchant: string): number => START - Number(merchant.slice(1)) * 1_001;
  let platform: Platform;
  let fstore: FStoreProcess;
  let admin: Admin;
  let producer: Producer;
  let database: pg.Pool;
  const events: Event[] = [];

  beforeAll(async () => {
    const spark = await sparkEnvironment();
    platform = await createPlatform('servers');
    const environment = { ...spark, FSTORE_BATCH_FOLDER: platform.folder, FSTORE_SPARK_REFRESH: '1s' };
    fstore = await platform.start({ environment });
    database = new pg.Pool({ connectionString: platform.environment.FSTORE_POSTGRES_URL!, max: 2 });
    const kafka = new Kafka({ brokers: testServers().kafkaBrokers, logLevel: logLevel.NOTHING });
    [admin, producer] = [kafka.admin(), kafka.producer({ idempotent: true, maxInFlightRequests: 1 })];
    await Promise.all([admin.connect(), producer.connect()]);
    await database.query('CREATE TABLE caps (id text, cap numeric, set_at timestamptz NOT NULL DEFAULT now())');
    for (let user = 0; user < USERS - 5; user += 1) {
      caps.set(`u${user}`, 50 + user);
      await database.query('INSERT INTO caps (id, cap) VALUES ($1, $2)', [`u${user}`, 50 + user]);
    }
    for (let merchant = 0; merchant < 20; merchant += 1) risks.set(`m${merchant}`, merchant / 16);
    await writeMerchants();
  }, 600_000);
  afterAll(async () => {
    await producer?.disconnect();
    await admin?.disconnect();
    await database?.end();
    await platform?.drop();
  });

  async function writeMerchants(): Promise<void> {
    const schema = [
      { name: 'merchant_id', type: 'STRING' },
      { name: 'risk', type: 'FLOAT64' },
      { name: 'since', type: 'TIMESTAMP' },
    ] as const;
    const writer = await openTableWriter(join(platform.folder, 'merchants.parquet'), 'parquet', schema);
    await writer.write([...risks].map(([merchant, risk]) => [merchant, risk, since(merchant)]));
    await writer.close();
  }
  const topic = () => `${platform.project}.transactions`;
  /** Every event has an instant of its own, so there are no ties. */
  const publish = async (count: number): Promise<void> => {
    const messages = Array.from({ length: count }, () => {
      const merchant = random.below(6) === 0 ? null : `m${random.below(30)}`;
      const amount = random.below(10) === 0 ? null : random.below(800) / 8 - 5;
      const cents = random.below(3) === 0 ? 2n ** 60n + BigInt(random.below(1_000)) : BigInt(random.below(1_000));
      const at = START + events.length * 1_000 + random.below(1_000);
      const event = { customer: `u${random.below(USERS)}`, merchant_id: merchant, amount, cents, at };
      events.push(event);
      const value = JSON.stringify({ ...event, cents: `${cents}`, at: new Date(at).toISOString() });
      return { key: event.customer, value };
    });
    await producer.send({ topic: topic(), messages });
  };
  const isUsable = ({ customer, amount }: Event): boolean => caps.has(customer) && !(amount !== null && amount < 0);
  const valuesOf = ({ customer, merchant_id, amount, cents, at }: Event) => {
    const risk = merchant_id === null ? 0.5 : (risks.get(merchant_id) ?? 0.5);
    const cap = caps.get(customer)!;
    return {
      eventTime: new Date(at).toISOString(),
      // `least` of Spark passes over nulls.
      exposure: amount === null ? cap : Math.min(amount * risk, cap),
      cents: `${cents + 1n}`,
      since: merchant_id !== null && risks.has(merchant_id) ? new Date(since(merchant_id)).toISOString() : null,
      hour: new Date(at).getUTCHours(),
      places: merchant_id === null ? null : [merchant_id, merchant_id.toUpperCase()],
    };
  };
  const historyOf = async (name: string): Promise<number> => {
    const { rows } = await database.query<{ tablename: string }>(
      'SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename LIKE $2',
      [`fstore_${platform.project}`, `view\\_${name}\\_%`],
    );
    const found = await database.query<{ n: string }>(
      `SELECT count(*) AS n FROM fstore_${platform.project}."${rows[0]!.tablename}"`,
    );
    return Number(found.rows[0]!.n);
  };
  const settled = async (wanted: readonly Event[]): Promise<void> => {
    const usable = wanted.filter(isUsable).length;
    await eventually(async () => expect(await historyOf('user_exposure')).toBe(usable), WAIT);
  };
  const expectValues = async (known: readonly Event[]): Promise<void> => {
    const newest = Math.max(...known.map(({ at }) => at));
    const users = Array.from({ length: USERS }, (_, user) => `u${user}`);
    const fields = '{ eventTime exposure cents since hour places }';
    for (const at of [null, newest, START + random.below(newest - START), START + random.below(newest - START)]) {
      const where = at === null ? '' : `(asOf: "${new Date(at).toISOString()}")`;
      await eventually(async () => {
        const answer = await ask<{ users: { id: string; exposure: unknown }[] }>(
          fstore.url,
          `query ($ids: [ID!]!) { users(ids: $ids) { id exposure${where} ${fields} } }`,
          { ids: users },
        );
        for (const { id, exposure: got } of answer.users) {
          const own = known.filter((one) => one.customer === id && isUsable(one) && (at === null || one.at <= at));
          const last = own.sort((a, b) => a.at - b.at).at(-1);
          if (last) expect([id, where, got]).toEqual([id, where, expect.objectContaining(valuesOf(last))]);
          else expect(got).toMatchObject({ eventTime: null });
        }
      }, WAIT);
    }
  };
  const jobOf = async (source: string) => {
    const { jobs } = await ask<{
      jobs: {
        key: string;
        status: string;
        error: { code: string; message: string } | null;
        progress: { note: string };
        request: { source: string };
      }[];
    }>(fstore.url, '{ jobs(kind: "stream") { status error { code message } progress { note } request } }');
    return jobs.find((job) => job.request.source === source)!;
  };

  test('begins with what its topic still holds, also where retention has taken the first', async () => {
    await apply(fstore.url, definitions);
    await publish(600);
    await eventually(async () => {
      const offsets = await admin.fetchTopicOffsets(topic());
      expect(offsets.reduce((sum, { high }) => sum + Number(high), 0)).toBe(600);
    });
    const gone = new Map<string, number>();
    const partitions = (await admin.fetchTopicOffsets(topic())).map(({ partition, high }) => ({
      partition,
      offset: `${Math.floor(Number(high) / (partition + 2))}`,
    }));
    await admin.deleteTopicRecords({ topic: topic(), partitions });
    for (const { partition, offset } of partitions) gone.set(`${partition}`, Number(offset));
    await apply(fstore.url, [exposure]);
    // Those that are left: of each partition, in order, without the first.
    const left = await remaining(gone);
    await settled(left);
    events.splice(0, events.length, ...left);
    await expectValues(events);
  }, 500_000);

  /** What is left of the events, as the topic has them. */
  async function remaining(gone: ReadonlyMap<string, number>): Promise<Event[]> {
    const kafka = new Kafka({ brokers: testServers().kafkaBrokers, logLevel: logLevel.NOTHING });
    const consumer = kafka.consumer({ groupId: `${platform.project}.look` });
    const seen = new Set<number>();
    const count = 600 - [...gone.values()].reduce((sum, one) => sum + one, 0);
    await consumer.connect();
    await consumer.subscribe({ topic: topic(), fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ message }) => {
        seen.add(Date.parse((JSON.parse(message.value!.toString()) as { at: string }).at));
      },
    });
    await eventually(() => expect(seen.size).toBe(count), WAIT);
    await consumer.disconnect();
    return events.filter(({ at }) => seen.has(at));
  }

  test('has each event once when its driver is killed, and leaves out and counts what cannot be used', async () => {
    const before = events.length;
    await publish(300);
    const [driver] = await eventually(async () => {
      const found = await sparkDriversOf(platform.environment.FSTORE_DATA_DIR!);
      expect(found.length).toBeGreaterThan(0);
      return found;
    }, WAIT);
    process.kill(driver!, 'SIGKILL');
    await publish(300);
    expect(events.length).toBe(before + 600);
    await settled(events);
    await expectValues(events);
    const { rows } = await database.query<{ dead: string; events: string }>(
      `SELECT unusable AS dead, events FROM fstore_${platform.project}.engine_intake`,
    );
    const nans = events.filter(({ customer, amount }) => caps.has(customer) && (amount ?? 0) < 0).length;
    expect(rows.map(({ dead, events: taken }) => [Number(dead), Number(taken)])).toEqual([[nans, events.length]]);
  }, 500_000);

  test('reads its tables again, and has the new rows for events that come then', async () => {
    risks.set('m1', 0.001);
    await writeMerchants();
    // Some event begins a micro-batch more than a second after the last reading.
    await eventually(async () => {
      const value = JSON.stringify({ customer: 'u1', merchant_id: 'm1', amount: 80, cents: '1', at: Date.now() });
      await producer.send({ topic: topic(), messages: [{ key: 'u1', value }] });
      const { user } = await ask<{ user: unknown }>(fstore.url, '{ user(id: "u1") { exposure { exposure } } }');
      expect(user).toEqual({ exposure: { exposure: 80 * 0.001 } });
    }, WAIT);
  }, 300_000);

  test('is left out and named when Spark refuses its query, and fails its job when it is alone', async () => {
    const wrong = Object.entries(refused).map(([name, [query]]) => ({
      ...view(name, query.replaceAll('$', 'SELECT o.customer AS user_id, o.at, o.amount AS exposure FROM others o')),
      source: 'others',
    }));
    await apply(fstore.url, [
      view('user_wrong', 'SELECT t.customer AS user_id, t.at, t.amout AS exposure FROM transactions t'),
      { ...definitions[1], name: 'others' },
      ...wrong,
    ]);
    await eventually(async () => {
      const { status, progress } = await jobOf('transactions');
      expect(status).toBe('RUNNING');
      expect(progress.note).toMatch(
        /not computed: view user_wrong@1: \[UNRESOLVED_COLUMN.*`t`\.`amout` cannot be resolved/,
      );
    }, WAIT);
    await eventually(async () => {
      const { status, error } = await jobOf('others');
      expect(status).toBe('FAILED');
      expect(error).toMatchObject({ code: 'SQL_INVALID' });
      for (const [name, [, reason]] of Object.entries(refused)) {
        expect(error!.message).toContain(`view ${name}@1: ${reason}`);
      }
    }, WAIT);
    const at = Date.now() - 500;
    const value = JSON.stringify({ customer: 'u2', merchant_id: null, amount: 8, cents: 1, at });
    await producer.send({ topic: topic(), messages: [{ key: 'u2', value }] });
    await eventually(async () => {
      const { user } = await ask<{ user: unknown }>(
        fstore.url,
        '{ user(id: "u2") { exposure { exposure } wrong { status } } }',
      );
      expect(user).toEqual({ exposure: { exposure: 4 }, wrong: { status: 'NOT_FOUND' } });
    }, WAIT);
  }, 500_000);

  test('cannot leave Spark', async () => {
    const mutation = `mutation ($input: DefinitionsInput!) { applyDefinitions(input: $input) { revision } }`;
    const { engine: _, ...builtin } = exposure;
    const { errors } = await post(fstore.url, mutation, { input: { definitions: [builtin], prune: false } });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'DEFINITION_INVALID', field: 'engine' });
  });
});
