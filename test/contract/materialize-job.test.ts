/** What holds of materializations across failures, deaths and thousands of other jobs, on the real stores of history and jobs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBuiltinBatchEngine } from '../../src/materialization/batch-engine-postgres.js';
import { Ingestion } from '../../src/materialization/ingestion.js';
import {
  createMaterializeHandler,
  MATERIALIZE_JOB,
  type MaterializeResult,
  submitMaterialization,
} from '../../src/materialization/materialize-job.js';
import { prepareSnapshot } from '../../src/materialization/preparation.js';
import { Writer } from '../../src/materialization/writer.js';
import { type Job, type Json, type LeasedJob, MAX_ATTEMPTS } from '../../src/store/job-store.js';
import { connectPostgresJobStore, type PostgresJobStore } from '../../src/store/job-store-postgres.js';
import type { CommitBatch } from '../../src/store/offline-store.js';
import { MemoryOnlineStore } from '../../src/store/online-store-memory.js';
import { MemoryBus } from '../unit/fakes/memory-bus.js';
import { type MemoryFStore, startMemoryFStore } from '../unit/fakes/memory-fstore.js';
import { openPostgresPlatform, PROJECT, query } from './store/postgres-platform.js';

const NOW = Date.UTC(2026, 5, 1);
const START = Date.UTC(2026, 0, 1);
const LEASE = 60_000;
const limits = { clockSkew: 60_000, maxBytes: 100_000 };
const schema = { user_id: 'STRING', amount: 'FLOAT64', at: 'TIMESTAMP' };

/** A writer whose process dies after it has written some batches: what it has reported since its lease is lost. */
class DyingWriter extends Writer {
  left = Number.POSITIVE_INFINITY;

  override async write(batch: CommitBatch): Promise<number> {
    if (this.left <= 0) throw new Error('killed');
    this.left -= 1;
    return super.write(batch);
  }
}

let platform: Awaited<ReturnType<typeof openPostgresPlatform>>;
let jobs: PostgresJobStore;
let definitions: MemoryFStore;
let writer: DyingWriter;
let folder: string;
const bus = new MemoryBus();

beforeAll(async () => {
  platform = await openPostgresPlatform();
  jobs = await connectPostgresJobStore({ url: platform.database.url, project: PROJECT });
  definitions = await startMemoryFStore(NOW);
  folder = mkdtempSync(join(tmpdir(), 'fstore-batch-'));
  const online = new MemoryOnlineStore();
  writer = new DyingWriter({ project: PROJECT, online, offline: platform.store, bus, now: () => NOW });
  await definitions.apply([{ kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] }]);
}, 60_000);
afterAll(async () => {
  await definitions?.close();
  await jobs?.close();
  await platform?.close();
  rmSync(folder, { recursive: true, force: true });
});

const declare = async (name: string, batch: Record<string, string>, extra: Record<string, unknown> = {}) => {
  const view = { kind: 'featureView', name: `${name}_view`, entity: 'user', source: name, features: ['amount'] };
  await definitions.apply([{ kind: 'source', name, schema, timestamp: 'at', batch, ...extra }, view]);
  await prepareSnapshot(definitions.services.snapshot(), { offline: platform.store, bus });
};
const sql = <T extends Record<string, unknown>>(text: string, values?: unknown[]) =>
  query<T>(platform.database.url, text, values);
const timeOf = (index: number) => new Date(START + index * 1_000).toISOString();
const csv = (name: string, from: number, to: number, user = (index: number) => `u${index % 7}`) => {
  const rows = Array.from({ length: to - from }, (_, at) => `${user(from + at)},${from + at},${timeOf(from + at)}`);
  writeFileSync(join(folder, name), `user_id,amount,at\n${rows.join('\n')}\n`);
};
/** How often each amount is in the log of events: rows of these tests differ in it. */
const amounts = async (source: string) => {
  const text = `SELECT (payload->>'amount')::float8 AS amount FROM fstore_${PROJECT}.event_log WHERE source = $1`;
  return (await sql<{ amount: number }>(text, [source])).map(({ amount }) => amount).sort((a, b) => a - b);
};
const numbers = (to: number) => Array.from({ length: to }, (_, index) => index);

/** Does what a runner does with a job that it has leased. `dies`: after so many batches, with no word about it. */
async function work(job: LeasedJob, dies?: number): Promise<Job> {
  let checkpoint: Json = job.checkpoint;
  const context = {
    signal: new AbortController().signal,
    checkpoint,
    report: (_: unknown, next?: Json) => {
      checkpoint = next ?? checkpoint;
    },
  };
  writer.left = dies ?? Number.POSITIVE_INFINITY;
  const handle = createMaterializeHandler({
    jobs,
    limits,
    engine: createBuiltinBatchEngine({ queries: platform.queries, writer, folder, now: () => NOW }),
    snapshot: async () => definitions.services.snapshot(),
  });
  try {
    const result = await handle(job, context);
    await jobs.heartbeat(job.id, job.owner, LEASE, job.progress, checkpoint);
    await jobs.finish(job.id, job.owner, result);
  } catch (error) {
    if (dies !== undefined) await sql(`UPDATE fstore_${PROJECT}.jobs SET lease_until = now() - interval '1 s'`);
    else {
      const { code = 'INTERNAL', message } = error as Error & { code?: string };
      await jobs.heartbeat(job.id, job.owner, LEASE, job.progress, checkpoint);
      await jobs.fail(job.id, job.owner, { code, message });
    }
  }
  return (await jobs.get(job.id))!;
}
let leases = 0;
const lease = async () => (await jobs.lease([MATERIALIZE_JOB], `worker ${++leases}`, LEASE))!;
const materialize = async (source: string, dies?: number) => {
  await submitMaterialization(jobs, definitions.services.snapshot(), source);
  return work(await lease(), dies);
};
const resultOf = ({ result }: Job) => result as unknown as MaterializeResult;

describe('a materialization', () => {
  test('knows what was read before, however many jobs of other sources came in between', async () => {
    await declare('rare', { csv: 'rare.csv' });
    csv('rare.csv', 0, 100);
    expect(resultOf(await materialize('rare'))).toMatchObject({ written: 100 });
    await sql(
      `INSERT INTO fstore_${PROJECT}.jobs (kind, key, status, request, result)
       SELECT $1, 'busy', 'SUCCEEDED', '{"source":"busy","due":null}', '{"watermark":null}' FROM generate_series(1, 1200)`,
      [MATERIALIZE_JOB],
    );
    csv('rare.csv', 0, 120);
    expect(resultOf(await materialize('rare'))).toMatchObject({ read: 120, written: 20 });
    expect(await amounts('rare')).toEqual(numbers(120));
  }, 60_000);

  test('goes on where a run was whose every process died before it could report', async () => {
    await declare('unlucky', { csv: 'unlucky.csv' });
    csv('unlucky.csv', 0, 5_000);
    const { id } = await materialize('unlucky', 1);
    for (let attempt = 1; attempt < MAX_ATTEMPTS; attempt += 1) await work(await lease(), 2);
    expect(await jobs.lease([MATERIALIZE_JOB], 'nobody', LEASE)).toBeNull();
    expect(await jobs.get(id)).toMatchObject({ status: 'FAILED', checkpoint: null, error: { code: 'JOB_LOST' } });
    expect(await amounts('unlucky')).toEqual(numbers(4_000));
    expect(resultOf(await materialize('unlucky'))).toMatchObject({ read: 5_000, written: 1_000 });
    expect(await amounts('unlucky')).toEqual(numbers(5_000));
  }, 60_000);

  test('of a table to which rows were added after it died has each row once', async () => {
    await sql('CREATE TABLE ledger (user_id text, amount float8, at timestamptz)');
    const add = (from: number, to: number, user: string) =>
      sql(
        `INSERT INTO ledger SELECT $3, i, $4::timestamptz + i * interval '1 s' FROM generate_series($1::int, $2::int - 1) AS i`,
        [from, to, user, new Date(START).toISOString()],
      );
    await add(0, 12_000, 'm');
    await declare('ledger', { table: 'ledger' });
    await materialize('ledger', 1);
    expect((await amounts('ledger')).length).toBeGreaterThan(0);
    // By name and by amount these come first.
    await add(12_000, 13_000, 'a');
    await sql("INSERT INTO ledger VALUES ('a', -1, NULL)");
    expect(await work(await lease())).toMatchObject({ status: 'SUCCEEDED', attempts: 2 });
    expect(await amounts('ledger')).toEqual(numbers(13_000));
  }, 60_000);

  test('of a file that is another one since a run failed is refused, and says what to do', async () => {
    await declare('daily', { csv: 'daily.csv' });
    csv('daily.csv', 0, 3_000);
    writeFileSync(join(folder, 'daily.csv'), 'u1,many,2026-03-01T00:00:00Z\n', { flag: 'a' });
    expect(await materialize('daily')).toMatchObject({ status: 'FAILED', error: { code: 'BAD_REQUEST' } });
    const before = await amounts('daily');
    expect(before).toEqual(numbers(2_000));
    csv('daily.csv', 50_000, 53_000);
    expect(await materialize('daily')).toMatchObject({ status: 'FAILED', error: { code: 'BATCH_CHANGED' } });
    expect(await amounts('daily')).toEqual(before);
    csv('daily.csv', 0, 3_000);
    expect(await materialize('daily')).toMatchObject({ status: 'SUCCEEDED' });
    csv('daily.csv', 50_000, 50_100);
    expect(resultOf(await materialize('daily'))).toMatchObject({ written: 100 });
  }, 60_000);
});

describe('a dead letter of a batch', () => {
  const ingestion = () => new Ingestion({ bus, offline: platform.store, limits, now: () => NOW });
  const letterOf = async (name: string, extra: Record<string, unknown> = {}) => {
    await declare(name, { csv: `${name}.csv` }, extra);
    csv(`${name}.csv`, 0, 3, (index) => (index === 1 ? '' : 'u1'));
    expect(resultOf(await materialize(name))).toMatchObject({ written: 2, deadLetters: 1 });
    const [letter] = await platform.store.deadLetters(name, 10);
    return letter!;
  };

  test('is replayed to the stream of its source', async () => {
    const { id, payload } = await letterOf('both', { stream: {} });
    expect(await ingestion().replay(definitions.services.snapshot(), [id])).toBe(1);
    expect(bus.topics.get('test.both')?.map(({ value }) => value)).toEqual([payload]);
  }, 60_000);

  test('is kept, and not taken for replayed, where its source has no stream', async () => {
    const { id } = await letterOf('batch_only');
    const replay = ingestion().replay(definitions.services.snapshot(), [id]);
    await expect(replay).rejects.toMatchObject({ code: 'SOURCE_NOT_PUSHABLE', location: { field: 'ids' } });
    expect(await platform.store.deadLetters('batch_only', 10)).toMatchObject([{ id, replayedAt: null }]);
  }, 60_000);
});
