/** What every engine makes of the rows of a source: real files, the real stores of history and jobs, and a real Spark. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { aggregationPlan, finishValues } from '../../src/aggregation/tile-set.js';
import { entityKey } from '../../src/definition/entity-key.js';
import type { FeatureValue, ValueType } from '../../src/definition/value-type.js';
import type { ViewVersion } from '../../src/definition/view-version.js';
import { createBatchEngine } from '../../src/materialization/batch-engine-choice.js';
import { createBuiltinBatchEngine } from '../../src/materialization/batch-engine-postgres.js';
import { createSparkBatchEngine } from '../../src/materialization/batch-engine-spark.js';
import type { EngineDriver } from '../../src/materialization/engine-driver.js';
import {
  createMaterializeHandler,
  MATERIALIZE_JOB,
  type MaterializeResult,
  submitMaterialization,
} from '../../src/materialization/materialize-job.js';
import { prepareSnapshot } from '../../src/materialization/preparation.js';
import { batchStream, sourceContracts } from '../../src/materialization/source-contract.js';
import { StagedMerger } from '../../src/materialization/staged-merger.js';
import { viewFill } from '../../src/materialization/view-fill.js';
import { Writer } from '../../src/materialization/writer.js';
import type { Job, Json, LeasedJob } from '../../src/store/job-store.js';
import { connectPostgresJobStore, type PostgresJobStore } from '../../src/store/job-store-postgres.js';
import { MemoryOnlineStore } from '../../src/store/online-store-memory.js';
import type { StagedBatches } from '../../src/store/staged-batches.js';
import { connectPostgresStagedBatches } from '../../src/store/staged-batches-postgres.js';
import type { TableFormat } from '../../src/tabular/table-schema.js';
import { openTableWriter } from '../../src/tabular/table-writer.js';
import { type SparkSession, startSparkSession } from '../harness/spark-session.js';
import { goldenAggregations } from '../unit/fakes/golden-aggregations.js';
import { MemoryBus } from '../unit/fakes/memory-bus.js';
import { type MemoryFStore, startMemoryFStore } from '../unit/fakes/memory-fstore.js';
import { everyAggregation, everyColumn, randomInstant, randomValue } from '../unit/fakes/random-history.js';
import { seededRandom } from '../unit/fakes/seeded-random.js';
import { openPostgresPlatform, PROJECT, query } from './store/postgres-platform.js';
import { expectSame } from './store/same-values.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const NOW = Date.UTC(2026, 5, 1, 12, 0, 0, 1);
const START = Date.UTC(2026, 0, 1);
const LEASE = 60_000;
const BATCH_ROWS = 500;
const PATIENCE = 240_000;
const limits = { clockSkew: 60_000, maxBytes: 100_000 };
const ENGINES = ['builtin', 'spark'] as const;
type EngineName = (typeof ENGINES)[number];

let platform: Awaited<ReturnType<typeof openPostgresPlatform>>;
let jobs: PostgresJobStore;
let definitions: MemoryFStore;
let writer: Writer;
let staged: StagedBatches;
let merger: StagedMerger;
let spark: SparkSession;
let folder: string;
const bus = new MemoryBus();

const snapshotOf = () => ({ ...definitions.services.snapshot(), project: PROJECT });
const contractOf = (source: string) => sourceContracts(snapshotOf(), limits).get(source);

beforeAll(async () => {
  platform = await openPostgresPlatform();
  spark = await startSparkSession(platform.database.url);
  jobs = await connectPostgresJobStore({ url: platform.database.url, project: PROJECT });
  definitions = await startMemoryFStore(NOW, { spark: true, connections: [] });
  folder = mkdtempSync(join(tmpdir(), 'fstore-batch-'));
  const online = new MemoryOnlineStore();
  writer = new Writer({ project: PROJECT, online, offline: platform.store, bus, now: () => NOW });
  staged = connectPostgresStagedBatches({ url: platform.database.url, project: PROJECT });
  merger = new StagedMerger({ staged, offline: platform.store, writer, contractOf, now: () => NOW });
  await definitions.apply([{ kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] }]);
}, 300_000);
afterAll(async () => {
  await spark?.close();
  await definitions?.close();
  await staged?.close();
  await jobs?.close();
  await platform?.close();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

const sql = <T extends Record<string, unknown>>(text: string, values?: unknown[]) =>
  query<T>(platform.database.url, text, values);

/** Declares a source with its views, and does what a worker does with them: makes their tables, and fills them. */
async function declare(
  source: { name: string; schema: Record<string, string>; batch: Record<string, unknown> },
  views: readonly Record<string, unknown>[],
): Promise<ViewVersion[]> {
  await definitions.apply([
    { kind: 'source', timestamp: 'at', ...source },
    ...views.map((view) => ({ kind: 'featureView', entity: 'user', source: source.name, ...view })),
  ]);
  return adopt(source.name);
}

async function adopt(source: string): Promise<ViewVersion[]> {
  const snapshot = snapshotOf();
  await prepareSnapshot(snapshot, { offline: platform.store, bus });
  const contract = contractOf(source)!;
  const fills = contract.views.map((view) => viewFill(contract, view));
  const request = { source, stream: null, revision: contract.revision };
  await platform.store.fill(request, fills, NOW).catch(async (error: { code?: string }) => {
    if (error.code !== 'ENGINE_BUSY') throw error;
    const stream = batchStream(PROJECT, source);
    await staged.fence(stream);
    await merger.drain(stream, [...snapshot.views.values()]);
    await platform.store.fill(request, fills, NOW);
  });
  return [...contract.views];
}

/** Does what a runner does with a leased job. `dies`: with no word about it, when it has reported so often. */
async function work(job: LeasedJob, driver: EngineDriver = spark, dies = Number.POSITIVE_INFINITY): Promise<Job> {
  let checkpoint: Json = job.checkpoint;
  let merges = 0;
  const context = {
    signal: new AbortController().signal,
    checkpoint,
    report: (progress: { note?: string; done: number }, next?: Json) => {
      checkpoint = next ?? checkpoint;
      if (progress.done > 0 && progress.note === 'merging') merges += 1;
      if (merges > dies) throw new Error('killed');
    },
  };
  const handle = createMaterializeHandler({
    jobs,
    limits,
    engine: createBatchEngine({
      builtin: createBuiltinBatchEngine({ offline: platform.store, writer, folder, now: () => NOW }),
      spark: createSparkBatchEngine({ driver, staged, merger, folder, batchRows: BATCH_ROWS }),
      staged,
    }),
    snapshot: async () => {
      const snapshot = snapshotOf();
      await adopt((job.request as { source: string }).source);
      return snapshot;
    },
  });
  try {
    const result = await handle(job, context);
    await jobs.finish(job.id, job.owner, result);
  } catch (error) {
    const { code = 'INTERNAL', message } = error as Error & { code?: string };
    if (message === 'killed') await sql(`UPDATE fstore_${PROJECT}.jobs SET lease_until = now() - interval '1 s'`);
    else {
      await jobs.heartbeat(job.id, job.owner, LEASE, job.progress, checkpoint);
      await jobs.fail(job.id, job.owner, { code, message });
    }
  }
  return (await jobs.get(job.id))!;
}
let leases = 0;
const lease = async () => (await jobs.lease([MATERIALIZE_JOB], `worker ${++leases}`, LEASE))!;
const materialize = async (source: string, driver?: EngineDriver, dies?: number) => {
  await submitMaterialization(jobs, definitions.services.snapshot(), source);
  return work(await lease(), driver, dies);
};
const succeed = async (source: string): Promise<MaterializeResult> => {
  const { status, error, result } = await materialize(source);
  expect({ source, status, error }).toEqual({ source, status: 'SUCCEEDED', error: null });
  return result as unknown as MaterializeResult;
};

const plainSchema = { user_id: 'STRING', amount: 'FLOAT64', at: 'TIMESTAMP' };
const plainViews = (name: string) => [
  { name: `${name}_newest`, features: ['amount'] },
  {
    name: `${name}_total`,
    aggregations: [
      { name: 'total', function: 'sum', column: 'amount', windows: ['365d'] },
      { name: 'rows', function: 'count', windows: ['365d'] },
    ],
  },
];
const timeOf = (index: number) => new Date(START + index * 1_000).toISOString();
const csv = (name: string, from: number, to: number, user = (index: number) => `u${index % 7}`) => {
  const rows = Array.from({ length: to - from }, (_, at) => `${user(from + at)},${from + at},${timeOf(from + at)}`);
  writeFileSync(join(folder, name), `user_id,amount,at\n${rows.join('\n')}\n`);
};
/** How often each amount is in the log of events: rows of these tests differ in it. */
const amounts = async (source: string) => {
  const text = `SELECT (payload->>'amount')::float8 AS amount FROM fstore_${PROJECT}.event_log WHERE source = $1 ORDER BY 1`;
  return (await sql<{ amount: number }>(text, [source])).map(({ amount }) => amount);
};
const numbers = (to: number, from = 0) => Array.from({ length: to - from }, (_, index) => from + index);
/** Checks that each of `u0` to `u6` has exactly the rows 0 to `rows` that are its own, in every view. */
async function expectWhole(source: string, rows: number): Promise<void> {
  expect(await amounts(source)).toEqual(numbers(rows));
  const views = contractOf(source)!.views;
  for (let user = 0; user < 7; user += 1) {
    const own = numbers(rows).filter((index) => index % 7 === user);
    const key = entityKey([`u${user}`]);
    for (const view of views) {
      const [row] = await platform.store.valuesAt(view, [key], NOW);
      const wanted = view.aggregation ? [own.reduce((sum, one) => sum + one, 0), BigInt(own.length)] : [own.at(-1)!];
      expect({ view: view.name, user, values: row?.values }).toEqual({ view: view.name, user, values: wanted });
    }
  }
}
/** What stays behind of runs: nothing. */
const leftovers = async (source: string) => {
  const stream = batchStream(PROJECT, source);
  const [row] = await sql<{ n: number }>(
    `SELECT (SELECT count(*) FROM fstore_${PROJECT}.staged_batches WHERE stream = $1)::int
       + (SELECT count(*) FROM fstore_${PROJECT}.sealed_batches WHERE stream = $1)::int AS n`,
    [stream],
  );
  return row!.n;
};

describe.each(ENGINES)('a source that %s reads', (engine: EngineName) => {
  const at = (name: string) => `${name}_${engine}`;

  test(
    'has each row once in every view, and of a file that has grown what is new',
    async () => {
      const name = at('grown');
      await declare({ name, schema: plainSchema, batch: { engine, csv: `${name}.csv` } }, plainViews(name));
      csv(`${name}.csv`, 0, 1_700);
      expect(await succeed(name)).toEqual({ read: 1_700, written: 1_700, deadLetters: 0, watermark: timeOf(1_699) });
      await expectWhole(name, 1_700);
      csv(`${name}.csv`, 0, 1_900);
      expect(await succeed(name)).toMatchObject({ written: 200, watermark: timeOf(1_899) });
      expect(await succeed(name)).toMatchObject({ written: 0, watermark: timeOf(1_899) });
      await expectWhole(name, 1_900);
      expect(await leftovers(name)).toBe(0);
    },
    PATIENCE,
  );

  test(
    'has what cannot be used as dead letters, with their reasons',
    async () => {
      const name = at('letters');
      await declare({ name, schema: plainSchema, batch: { engine, csv: `${name}.csv` } }, plainViews(name));
      const far = new Date(Date.UTC(2999, 0, 1)).toISOString();
      const rows = [
        'u1,1,2026-01-01T00:00:00Z',
        ',2,2026-01-01T00:00:01Z',
        'u1,3,',
        `u1,4,${far}`,
        'u1,1e101,2026-01-01T00:00:02Z',
      ];
      writeFileSync(join(folder, `${name}.csv`), `user_id,amount,at\n${rows.join('\n')}\n`);
      expect(await succeed(name)).toMatchObject({ read: 5, written: 1, deadLetters: 4 });
      const letters = await platform.store.deadLetters(name, 10);
      const shown = letters.map(({ code, field, offset, payload }) => ({ code, field, offset, payload: `${payload}` }));
      const payload = (user: string | null, amount: string, time: string | null) =>
        `{"user_id":${JSON.stringify(user)},"amount":${amount},"at":${JSON.stringify(time)}}`;
      expect(shown.reverse()).toEqual([
        {
          code: 'EVENT_KEY_MISSING',
          field: 'user_id',
          offset: 1n,
          payload: payload(null, '2', '2026-01-01T00:00:01.000Z'),
        },
        { code: 'EVENT_TIME_MISSING', field: 'at', offset: 2n, payload: payload('u1', '3', null) },
        { code: 'EVENT_FROM_THE_FUTURE', field: 'at', offset: 3n, payload: payload('u1', '4', far) },
        {
          code: 'EVENT_FIELD_TYPE',
          field: 'amount',
          offset: 4n,
          payload: payload('u1', '1e+101', '2026-01-01T00:00:02.000Z'),
        },
      ]);
      expect(bus.topics.get(`${PROJECT}.${name}.batch.dead-letters`)).toHaveLength(4);
    },
    PATIENCE,
  );

  test(
    'and that is not as it is declared writes nothing of it, and names the column',
    async () => {
      const name = at('wrong');
      const views = plainViews(name);
      const cases: [string, Record<string, unknown>, string][] = [
        [`user_id,amount,at\nu1,many,${timeOf(1)}\n`, {}, 'amount'],
        [`user_id,at\nu1,${timeOf(1)}\n`, {}, 'amount'],
        ['', { csv: 'nowhere.csv' }, 'nowhere.csv'],
      ];
      for (const [text, batch, message] of cases) {
        await declare({ name, schema: plainSchema, batch: { engine, csv: `${name}.csv`, ...batch } }, views);
        writeFileSync(join(folder, `${name}.csv`), text);
        const { status, error } = await materialize(name);
        expect({ status, code: error?.code }).toEqual({ status: 'FAILED', code: 'BAD_REQUEST' });
        expect(error?.message).toContain(message);
        expect(error?.message).not.toContain('\n');
      }
      expect(await amounts(name)).toEqual([]);
    },
    PATIENCE,
  );
});

describe('a run of Spark', () => {
  let count = 0;
  const fresh = async (rows: number) => {
    count += 1;
    const name = `run_${count}`;
    await declare({ name, schema: plainSchema, batch: { engine: 'spark', csv: `${name}.csv` } }, plainViews(name));
    csv(`${name}.csv`, 0, rows);
    return name;
  };
  /** Spark, of which `before` happens when it is asked and `after` when it has ended. */
  const sparkThat = (before: () => Promise<unknown>, after: () => Promise<unknown> = async () => {}) => {
    const driver = {
      runs: 0,
      run: async (...given: Parameters<EngineDriver['run']>) => {
        driver.runs += 1;
        if (driver.runs === 1) await before();
        const end = await spark.run(...given);
        if (driver.runs === 1) await after();
        return end;
      },
    };
    return driver;
  };
  const dead: EngineDriver = {
    run: async () => ({ outcome: 'failed', code: 'SPARK_FAILED', message: 'killed', field: null, log: 'nowhere' }),
  };

  test(
    'that dies before it has sealed leaves nothing, and the next one computes all',
    async () => {
      const name = await fresh(1_200);
      expect(await materialize(name, dead)).toMatchObject({ status: 'FAILED', error: { code: 'ENGINE_FAILED' } });
      expect([await amounts(name), await leftovers(name)]).toEqual([[], 0]);
      await succeed(name);
      await expectWhole(name, 1_200);
    },
    PATIENCE,
  );

  test(
    'that has sealed is merged to its end, once, whoever dies, and is not computed again',
    async () => {
      const name = await fresh(2_200);
      const driver = sparkThat(async () => {});
      // Its worker dies after each batch that it has merged.
      await materialize(name, driver, 1);
      let job = await lease();
      for (; job; job = await lease()) {
        const { status } = await work(job, driver, 1);
        if (status !== 'RUNNING') break;
      }
      expect((await jobs.get(job.id))!.status).toBe('SUCCEEDED');
      expect(driver.runs).toBe(1);
      await expectWhole(name, 2_200);
      expect(await leftovers(name)).toBe(0);
    },
    PATIENCE,
  );

  test(
    'whose driver dies when it has sealed has done its work; a job that failed meanwhile is ended by the next',
    async () => {
      const name = await fresh(1_200);
      const driver = sparkThat(async () => {});
      const lastWord: EngineDriver = {
        run: async (...given) => {
          await driver.run(...given);
          return dead.run(...given);
        },
      };
      await submitMaterialization(jobs, definitions.services.snapshot(), name);
      const job = await lease();
      await work(job, lastWord, 0);
      // It does not come back; the source is given to the built-in engine meanwhile.
      await jobs.fail((await lease()).id, `worker ${leases}`, { code: 'JOB_LOST', message: 'gone' });
      await declare({ name, schema: plainSchema, batch: { csv: `${name}.csv` } }, plainViews(name));
      csv(`${name}.csv`, 0, 1_300);
      expect(await succeed(name)).toMatchObject({ written: 1_200 });
      await expectWhole(name, 1_200);
      expect(await succeed(name)).toMatchObject({ written: 100 });
      await expectWhole(name, 1_300);
      expect(driver.runs).toBe(1);
    },
    PATIENCE,
  );

  test(
    'is begun anew when a view has begun with newer definitions, which then has every row once',
    async () => {
      const name = await fresh(1_200);
      const late = { kind: 'featureView', entity: 'user', source: name, name: `${name}_late`, features: ['amount'] };
      const driver = sparkThat(async () => {
        await definitions.apply([late]);
        await adopt(name);
      });
      expect((await materialize(name, driver)).status).toBe('SUCCEEDED');
      expect(driver.runs).toBe(2);
      await expectWhole(name, 1_200);
    },
    PATIENCE,
  );

  test(
    'that is sealed and half merged goes before a view that begins then, which has every row once',
    async () => {
      const name = await fresh(1_700);
      await materialize(name, spark, 1);
      const before = (await amounts(name)).length;
      expect([before > 0, before < 1_700]).toEqual([true, true]);
      const late = { kind: 'featureView', entity: 'user', source: name, name: `${name}_late`, features: ['amount'] };
      await definitions.apply([late]);
      await adopt(name);
      await expectWhole(name, 1_700);
      expect((await work(await lease())).status).toBe('SUCCEEDED');
      await expectWhole(name, 1_700);
    },
    PATIENCE,
  );

  test(
    'does not go on what the built-in engine has begun',
    async () => {
      const name = `mixed`;
      const batch = { csv: `${name}.csv` };
      await declare({ name, schema: plainSchema, batch }, plainViews(name));
      csv(`${name}.csv`, 0, 3_000);
      writeFileSync(join(folder, `${name}.csv`), 'u1,many,2026-03-01T00:00:00Z\n', { flag: 'a' });
      expect((await materialize(name)).status).toBe('FAILED');
      expect(await amounts(name)).toHaveLength(2_000);
      csv(`${name}.csv`, 0, 3_000);
      await declare({ name, schema: plainSchema, batch: { ...batch, engine: 'spark' } }, plainViews(name));
      expect(await materialize(name)).toMatchObject({ status: 'FAILED', error: { code: 'BATCH_CHANGED' } });
      await declare({ name, schema: plainSchema, batch }, plainViews(name));
      await succeed(name);
      await expectWhole(name, 3_000);
    },
    PATIENCE,
  );

  test(
    'reads PostgreSQL in parts, in the order of the built-in engine, and says what it cannot read',
    async () => {
      await sql('CREATE TABLE ledger (id int, user_id text, amount numeric, at timestamp, other jsonb)');
      await sql(
        `INSERT INTO ledger SELECT i, 'u' || i % 7, i, $1::timestamptz AT TIME ZONE 'UTC' + i * interval '1 s' FROM generate_series(0, 1999) AS i`,
        [new Date(START).toISOString()],
      );
      const of = (batch: Record<string, unknown>) =>
        declare({ name: 'ledger', schema: plainSchema, batch: { engine: 'spark', ...batch } }, plainViews('ledger'));
      for (const [batch, message] of [
        [{ table: 'ledgers' }, 'relation "ledgers" does not exist'],
        [{ query: 'SELECT user_id, at FROM ledger' }, 'column "amount" does not exist'],
        [{ table: 'ledger', partitionBy: 'user_id' }, 'user_id is string'],
        [{ table: 'ledger', partitionBy: 'nothing' }, 'nothing'],
      ] as const) {
        await of(batch);
        const { error } = await materialize('ledger');
        expect([error?.code, error?.message]).toEqual(['BAD_REQUEST', expect.stringContaining(message)]);
      }
      await of({ table: 'ledger', partitionBy: 'id', partitions: 3 });
      await succeed('ledger');
      await expectWhole('ledger', 2_000);
      await sql(
        `INSERT INTO ledger SELECT i, 'u' || i % 7, i, $1::timestamptz AT TIME ZONE 'UTC' + i * interval '1 s' FROM generate_series(2000, 2099) AS i`,
        [new Date(START).toISOString()],
      );
      await of({ table: 'ledger', partitionBy: 'at', partitions: 4 });
      expect(await succeed('ledger')).toMatchObject({ written: 100 });
      await expectWhole('ledger', 2_100);
    },
    PATIENCE,
  );
});

test(
  `1,000 random histories have one value, whichever engine reads them from whatever (seed ${seed})`,
  async () => {
    const random = seededRandom(seed);
    const columns: [string, ValueType][] = [
      ['user_id', 'STRING'],
      ...everyColumn,
      ['tags', 'STRING[]'],
      ['at', 'TIMESTAMP'],
    ];
    const schema = Object.fromEntries(columns);
    const histories = Array.from({ length: 1_000 }, () => randomInstant(random, NOW));
    const rows = histories.flatMap((base, index) =>
      Array.from({ length: random.below(9) }, () => {
        const spread = random.below(40) ** 3 * random.below(100_000) * (random.below(2) ? 1 : -1);
        const time = Math.min(random.below(4) === 0 ? base : base + spread, NOW);
        const values = everyColumn.map(([, type]) => (random.below(5) === 0 ? null : randomValue(random, type)));
        const tags =
          random.below(3) === 0
            ? null
            : Array.from({ length: random.below(3) }, () => randomValue(random, 'STRING') as string);
        return [`u${index}`, ...values, tags, time] as FeatureValue[];
      }),
    );
    random.shuffle(rows);
    // Events that come twice are two.
    rows.push(...rows.slice(0, 50));
    const write = async (format: TableFormat) => {
      const file = await openTableWriter(
        join(folder, `random.${format}`),
        format,
        columns.map(([name, type]) => ({ name, type })),
      );
      await file.write(rows);
      await file.close();
    };
    for (const format of ['parquet', 'csv', 'ndjson'] as const) await write(format);
    const viewsOf = (name: string) => [
      { name: `${name}_windows`, aggregations: everyAggregation },
      { name: `${name}_latest`, features: [...everyColumn.map(([column]) => column), 'tags'] },
    ];
    const read = async (engine: EngineName, format: TableFormat) => {
      const name = `random_${format}_${engine}`;
      const views = await declare({ name, schema, batch: { engine, [format]: `random.${format}` } }, viewsOf(name));
      expect(await succeed(name)).toMatchObject({ read: rows.length, written: rows.length, deadLetters: 0 });
      return { name, views };
    };
    const wanted = await read('builtin', 'parquet');
    const keys = histories.map((_, index) => entityKey([`u${index}`]));
    const instants = histories.map((base) => base + random.below(40) ** 3 * random.below(100_000));
    const log = (name: string) =>
      sql(
        `SELECT "offset", event_time, payload::text FROM fstore_${PROJECT}.event_log WHERE source = $1 ORDER BY "offset"`,
        [name],
      );
    const logged = await log(wanted.name);
    for (const format of ['parquet', 'csv', 'ndjson'] as const) {
      const got = await read('spark', format);
      expect(await log(got.name)).toEqual(logged);
      for (const [index, view] of got.views.entries()) {
        const twin = wanted.views[index]!;
        for (const asOf of [NOW, instants]) {
          const [mine, theirs] = await Promise.all([view, twin].map((one) => platform.store.valuesAt(one, keys, asOf)));
          for (const [at, row] of theirs!.entries()) {
            const place = `of ${keys[at]!.text} in ${format} (seed ${seed})`;
            if (row === null || mine![at] === null) expect([place, mine![at]]).toEqual([place, row]);
            else {
              expect([place, mine![at]!.eventTime]).toEqual([place, row.eventTime]);
              expectSame(view, mine![at]!.values, row.values, place);
            }
          }
        }
        if (!view.aggregation) continue;
        const plan = aggregationPlan(view.aggregation);
        const [mine, theirs] = await Promise.all([view, twin].map((one) => platform.store.tilesAt(one, keys, NOW)));
        for (const [at, set] of theirs!.entries()) {
          const place = `online of ${keys[at]!.text} in ${format} (seed ${seed})`;
          if (set === null) expect([place, mine![at]]).toEqual([place, null]);
          else
            expectSame(
              view,
              finishValues(plan, mine![at]!.tiles, NOW).values,
              finishValues(plan, set.tiles, NOW).values,
              place,
            );
        }
      }
    }
  },
  PATIENCE,
);

test(
  'golden vectors have on Spark the values that they say',
  async () => {
    const cases = goldenAggregations();
    const kinds = [...new Set(cases.flatMap(({ type }) => (type ? [type] : [])))];
    const columnOf = (type: string) => `value_${type.toLowerCase()}`;
    const columns: { name: string; type: ValueType }[] = [
      { name: 'user_id', type: 'STRING' },
      ...kinds.map((type) => ({ name: columnOf(type), type })),
      { name: 'at', type: 'TIMESTAMP' },
    ];
    const seconds = (time: number) => `${time / 1_000}s`;
    const textOf = ({ function: name, type, n, window }: (typeof cases)[number]) =>
      JSON.stringify([name, type, n, window.length, window.hop]);
    const wanted = [...new Map(cases.map((one) => [textOf(one), one])).values()];
    const aggregations = wanted.map(({ function: name, type, n, window }, index) => ({
      name: `g${index}`,
      function: name,
      ...(type ? { column: columnOf(type) } : {}),
      ...(n ? { n } : {}),
      windows: [seconds(window.length)],
      hop: seconds(window.hop),
    }));
    const file = await openTableWriter(join(folder, 'golden.parquet'), 'parquet', columns);
    const rows = cases.flatMap((one, index) =>
      one.events.map(({ eventTime, sequence, value }) => ({
        sequence,
        row: columns.map(({ name }): FeatureValue => {
          if (name === 'user_id') return `u${index}`;
          if (name === 'at') return eventTime;
          return one.type && name === columnOf(one.type) ? value : null;
        }),
      })),
    );
    await file.write(rows.sort((a, b) => a.sequence - b.sequence).map(({ row }) => row));
    await file.close();
    const schema = Object.fromEntries(columns.map(({ name, type }) => [name, type]));
    const some = (from: number) => ({ name: `golden_${from}`, aggregations: aggregations.slice(from, from + 100) });
    const starts = aggregations.flatMap((_, index) => (index % 100 === 0 ? [index] : []));
    const source = { name: 'golden', schema, batch: { engine: 'spark', parquet: 'golden.parquet' } };
    const views = await declare(source, starts.map(some));
    await succeed('golden');
    const keys = cases.map((_, index) => entityKey([`u${index}`]));
    const instants = cases.map(({ at }) => at);
    const found = new Map<string, readonly (FeatureValue | null)[]>();
    for (const view of views) {
      const values = await platform.store.valuesAt(view, keys, instants);
      for (const [at, { name }] of view.features.entries()) {
        found.set(
          name,
          values.map((row) => (row ? row.values[at]! : null)),
        );
      }
    }
    for (const [index, one] of cases.entries()) {
      const place = wanted.findIndex((other) => textOf(other) === textOf(one));
      const feature = `g${place}_${seconds(one.window.length)}`;
      const view = views.find(({ features }) => features.some(({ name }) => name === feature))!;
      const isEmpty = one.events.every(({ eventTime }) => eventTime > one.at);
      const shown = { ...view, features: view.features.filter(({ name }) => name === feature) };
      // Of an entity without an event there is no row.
      const expected = isEmpty ? null : one.expected;
      expectSame(shown, [found.get(feature)![index]!], [expected], `of case ${index}`);
    }
  },
  PATIENCE,
);
