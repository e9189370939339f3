/**
 * The batch benchmark: a table of PostgreSQL → one engine → history, tiles and online values, for tables of growing
 * length.
 */
import pg from 'pg';
import { eventually } from '../../test/harness/eventually.js';
import type { SparkEnvironment } from '../../test/harness/spark-home.js';
import { apply, ask } from '../../test/system/graphql-door.js';
import type { Platform } from '../../test/system/platform.js';
import type { CpuSeconds } from '../ingest/meter.js';
import { type Engine, processes, spentBetween } from './processes.js';

/** The result for one engine and one table. */
export interface BatchReport {
  readonly engine: Engine;
  readonly rows: number;
  /** Seconds from the request until every value is in history and online. */
  readonly seconds: number;
  readonly rowsPerSecond: number;
  /** CPU milliseconds of each process for one row. */
  readonly cpuMsPerRow: CpuSeconds;
  /** Values of users that differ from a recount in SQL. */
  readonly wrong: readonly string[];
}

const USERS = 100_000;
const CHECKED = 200;
const YEAR = 365;

/**
 * Creates a table with a year of orders, spread over all users. Amounts are multiples of 0.25, so that sums are exact.
 */
async function createTable(database: pg.Pool, table: string, rows: number): Promise<void> {
  await database.query(
    `CREATE TABLE ${table} AS SELECT i AS id, 'u' || (i * 7919 % ${USERS}) AS user_id, (i * 31 % 4000) / 4.0::float8 AS amount,
       date_trunc('milliseconds', now() - interval '1 minute' - interval '${YEAR} days' * ((${rows} - i) / ${rows}.0::float8)) AS ordered_at
     FROM generate_series(1::bigint, ${rows}) AS i`,
  );
  await database.query(`ALTER TABLE ${table} ADD PRIMARY KEY (id)`);
  await database.query(`ANALYZE ${table}`);
}

function definitionsOf(engine: Engine, table: string): unknown[] {
  const batch = engine === 'spark' ? { table, engine, partitionBy: 'id', partitions: 8 } : { table };
  return [
    {
      ...{ kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] },
      graphql: { type: 'User', key: 'id' },
    },
    {
      ...{ kind: 'source', name: 'orders', timestamp: 'ordered_at', batch },
      schema: { user_id: 'STRING', amount: 'FLOAT64', ordered_at: 'TIMESTAMP' },
    },
    {
      ...{ kind: 'featureView', name: 'user_orders', entity: 'user', source: 'orders' },
      aggregations: [
        { name: 'spend', function: 'sum', column: 'amount', windows: ['24h', '30d'] },
        { name: 'orders', function: 'count', windows: ['24h', '30d'] },
      ],
    },
  ];
}

/** Returns the users whose values differ from those that SQL computes over the same table. */
async function findWrong(url: string, database: pg.Pool, table: string): Promise<string[]> {
  const ids = Array.from({ length: CHECKED }, (_, index) => `u${(index * 997) % USERS}`);
  const at = new Date(Date.now() - 1_000);
  const { users } = await ask<{ users: { id: string; orders: { spend30d: number | null; orders30d: string } }[] }>(
    url,
    `query ($ids: [ID!]!) { users(ids: $ids) { id orders(asOf: "${at.toISOString()}") { spend30d orders30d } } }`,
    { ids },
  );
  const day = 86_400_000;
  const since = new Date(Math.floor((at.getTime() - 30 * day) / day) * day);
  const { rows } = await database.query<{ user_id: string; spend: number; orders: string }>(
    `SELECT user_id, sum(amount) AS spend, count(*) AS orders FROM ${table}
     WHERE user_id = ANY($1) AND ordered_at >= $2 AND ordered_at <= $3 GROUP BY user_id`,
    [ids, since, at],
  );
  const counted = new Map(rows.map((row) => [row.user_id, row]));
  return users.flatMap(({ id, orders }) => {
    const expected = counted.get(id);
    const same =
      orders.spend30d === (expected?.spend ?? null) && Number(orders.orders30d) === Number(expected?.orders ?? 0);
    return same ? [] : [`${id}: ${JSON.stringify(orders)} instead of ${JSON.stringify(expected)}`];
  });
}

/** Measures one engine over one table, on its own platform. */
export async function measureBatch(
  engine: Engine,
  rows: number,
  platform: Platform,
  spark: SparkEnvironment,
): Promise<BatchReport> {
  const database = new pg.Pool({ connectionString: platform.environment.FSTORE_POSTGRES_URL!, max: 2 });
  const fstore = await platform.start({ environment: { ...spark, FSTORE_LOG_LEVEL: 'warn' } });
  const look = () => ({ at: Date.now(), cpu: processes(platform, fstore.process.pid, {}) });
  try {
    await createTable(database, 'orders', rows);
    await apply(fstore.url, definitionsOf(engine, 'public.orders'));
    const first = look();
    const { materialize } = await ask<{ materialize: { id: string } }>(
      fstore.url,
      'mutation { materialize(source: "orders") { id } }',
    );
    await eventually(
      async () => {
        const { job } = await ask<{ job: { status: string; error: unknown } }>(
          fstore.url,
          'query ($id: ID!) { job(id: $id) { status error { code message } } }',
          { id: materialize.id },
        );
        if (job.status === 'FAILED') return;
        if (job.status !== 'SUCCEEDED') throw new Error(job.status);
      },
      { timeoutMs: 3_600_000, everyMs: 100 },
    );
    const { seconds, cpu } = spentBetween(first, look());
    const { job } = await ask<{ job: { status: string; error: unknown; result: { written: number } } }>(
      fstore.url,
      'query ($id: ID!) { job(id: $id) { status result error { code message } } }',
      { id: materialize.id },
    );
    if (job.status !== 'SUCCEEDED' || job.result.written !== rows) throw new Error(JSON.stringify(job));
    return {
      ...{ engine, rows, seconds, rowsPerSecond: rows / seconds },
      cpuMsPerRow: Object.fromEntries(Object.entries(cpu).map(([name, value]) => [name, (value * 1000) / rows])),
      wrong: await findWrong(fstore.url, database, 'orders'),
    };
  } finally {
    await database.end();
    await fstore.process.stop();
  }
}
