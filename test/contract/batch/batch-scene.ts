/** The scene of tests of batches: real stores of history and jobs, a real Spark, files in a folder, and a worker that dies when told. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { entityKey } from '../../../src/definition/entity-key.js';
import type { ViewVersion } from '../../../src/definition/view-version.js';
import { createBatchEngine } from '../../../src/materialization/batch-engine-choice.js';
import { createBuiltinBatchEngine } from '../../../src/materialization/batch-engine-postgres.js';
import { createSparkBatchEngine } from '../../../src/materialization/batch-engine-spark.js';
import type { EngineDriver } from '../../../src/materialization/engine-driver.js';
import {
  createMaterializeHandler,
  MATERIALIZE_JOB,
  type MaterializeResult,
  submitMaterialization,
} from '../../../src/materialization/materialize-job.js';
import { prepareSnapshot } from '../../../src/materialization/preparation.js';
import { batchStream, sourceContracts } from '../../../src/materialization/source-contract.js';
import { StagedMerger } from '../../../src/materialization/staged-merger.js';
import { READ_VARIABLE } from '../../../src/materialization/table-input.js';
import { queryFill, viewFill } from '../../../src/materialization/view-fill.js';
import { Writer } from '../../../src/materialization/writer.js';
import type { Job, Json, LeasedJob } from '../../../src/store/job-store.js';
import { connectPostgresJobStore, type PostgresJobStore } from '../../../src/store/job-store-postgres.js';
import { MemoryOnlineStore } from '../../../src/store/online-store-memory.js';
import type { StagedBatches } from '../../../src/store/staged-batches.js';
import { connectPostgresStagedBatches } from '../../../src/store/staged-batches-postgres.js';
import { type SparkSession, startSparkSession } from '../../harness/spark-session.js';
import { MemoryBus } from '../../unit/fakes/memory-bus.js';
import { type MemoryFStore, startMemoryFStore } from '../../unit/fakes/memory-fstore.js';
import { openPostgresPlatform, PROJECT, query } from '../store/postgres-platform.js';

export const NOW = Date.UTC(2026, 5, 1, 12, 0, 0, 1);
export const START = Date.UTC(2026, 0, 1);
const LEASE = 60_000;
const BATCH_ROWS = 500;
export const PATIENCE = 240_000;
const limits = { clockSkew: 60_000, maxBytes: 100_000 };
export const ENGINES = ['builtin', 'spark'] as const;
export type EngineName = (typeof ENGINES)[number];

export let platform: Awaited<ReturnType<typeof openPostgresPlatform>>;
export let jobs: PostgresJobStore;
export let definitions: MemoryFStore;
let writer: Writer;
let staged: StagedBatches;
let merger: StagedMerger;
export let spark: SparkSession;
export let folder: string;
export const bus = new MemoryBus();

const snapshotOf = () => ({ ...definitions.services.snapshot(), project: PROJECT });
const contractOf = (source: string) => sourceContracts(snapshotOf(), limits).get(source);

/** Opens the stores, and starts Spark. */
export async function openScene(): Promise<void> {
  platform = await openPostgresPlatform();
  spark = await startSparkSession(platform.database.url, { [READ_VARIABLE]: platform.database.readUrl });
  jobs = await connectPostgresJobStore({ url: platform.database.url, project: PROJECT });
  definitions = await startMemoryFStore(NOW, { spark: true, connections: [] });
  folder = mkdtempSync(join(tmpdir(), 'fstore-batch-'));
  const online = new MemoryOnlineStore();
  writer = new Writer({ project: PROJECT, online, offline: platform.store, bus, now: () => NOW });
  staged = connectPostgresStagedBatches({ url: platform.database.url, project: PROJECT });
  merger = new StagedMerger({ staged, offline: platform.store, writer, contractOf, now: () => NOW });
  await definitions.apply([{ kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] }]);
}

export async function closeScene(): Promise<void> {
  await spark?.close();
  await definitions?.close();
  await staged?.close();
  await jobs?.close();
  await platform?.close();
  if (folder) rmSync(folder, { recursive: true, force: true });
}

export const sql = <T extends Record<string, unknown>>(text: string, values?: unknown[]) =>
  query<T>(platform.database.url, text, values);

/** Declares a source with its views, and does what a worker does with them: makes their tables, and fills them. */
export async function declare(
  source: { name: string; schema: Record<string, string>; batch: Record<string, unknown> },
  views: readonly Record<string, unknown>[],
): Promise<ViewVersion[]> {
  await definitions.apply([
    { kind: 'source', timestamp: 'at', ...source },
    ...views.map((view) => ({ kind: 'featureView', entity: 'user', source: source.name, ...view })),
  ]);
  return adopt(source.name);
}

export async function adopt(source: string): Promise<ViewVersion[]> {
  const snapshot = snapshotOf();
  await prepareSnapshot(snapshot, { offline: platform.store, bus });
  const contract = contractOf(source)!;
  const fills = [...contract.views.map((view) => viewFill(contract, view)), ...contract.queries.map(queryFill)];
  const request = { source, stream: null, revision: contract.revision };
  await platform.store.fill(request, fills, NOW).catch(async (error: { code?: string }) => {
    if (error.code !== 'ENGINE_BUSY') throw error;
    const stream = batchStream(PROJECT, source);
    await staged.fence(stream);
    await merger.drain(stream, [...snapshot.views.values()]);
    await platform.store.fill(request, fills, NOW);
  });
  return [...contract.views, ...contract.queries];
}

/** Does what a runner does with a leased job. `dies`: with no word about it, when it has reported so often. */
export async function work(
  job: LeasedJob,
  driver: EngineDriver = spark,
  dies = Number.POSITIVE_INFINITY,
): Promise<Job> {
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
      builtin: createBuiltinBatchEngine({ queries: platform.queries, writer, folder, now: () => NOW }),
      spark: createSparkBatchEngine({
        driver,
        staged,
        merger,
        queries: platform.queries,
        folder,
        batchRows: BATCH_ROWS,
      }),
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
export const lease = async (): Promise<LeasedJob> =>
  (await jobs.lease([MATERIALIZE_JOB], `worker ${++leases}`, LEASE))!;
export const materialize = async (source: string, driver?: EngineDriver, dies?: number) => {
  await submitMaterialization(jobs, definitions.services.snapshot(), source);
  return work(await lease(), driver, dies);
};
export const succeed = async (source: string): Promise<MaterializeResult> => {
  const { status, error, result } = await materialize(source);
  expect({ source, status, error }).toEqual({ source, status: 'SUCCEEDED', error: null });
  return result as unknown as MaterializeResult;
};

export const plainSchema = { user_id: 'STRING', amount: 'FLOAT64', at: 'TIMESTAMP' };
export const plainViews = (name: string) => [
  { name: `${name}_newest`, features: ['amount'] },
  {
    name: `${name}_total`,
    aggregations: [
      { name: 'total', function: 'sum', column: 'amount', windows: ['365d'] },
      { name: 'rows', function: 'count', windows: ['365d'] },
    ],
  },
];
export const timeOf = (index: number) => new Date(START + index * 1_000).toISOString();
export const csv = (name: string, from: number, to: number, user = (index: number) => `u${index % 7}`) => {
  const rows = Array.from({ length: to - from }, (_, at) => `${user(from + at)},${from + at},${timeOf(from + at)}`);
  writeFileSync(join(folder, name), `user_id,amount,at\n${rows.join('\n')}\n`);
};
/** How often each amount is in the log of events: rows of these tests differ in it. */
export const amounts = async (source: string) => {
  const text = `SELECT (payload->>'amount')::float8 AS amount FROM fstore_${PROJECT}.event_log WHERE source = $1 ORDER BY 1`;
  return (await sql<{ amount: number }>(text, [source])).map(({ amount }) => amount);
};
const numbers = (to: number, from = 0) => Array.from({ length: to - from }, (_, index) => from + index);
/** Checks that each of `u0` to `u6` has exactly the rows 0 to `rows` that are its own, in every view. */
export async function expectWhole(source: string, rows: number): Promise<void> {
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
export const leftovers = async (source: string) => {
  const stream = batchStream(PROJECT, source);
  const [row] = await sql<{ n: number }>(
    `SELECT (SELECT count(*) FROM fstore_${PROJECT}.staged_batches WHERE stream = $1)::int
       + (SELECT count(*) FROM fstore_${PROJECT}.sealed_batches WHERE stream = $1)::int AS n`,
    [stream],
  );
  return row!.n;
};
