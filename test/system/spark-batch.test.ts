/** Batches on Spark through the doors of a user: a run that is killed, taken over, cancelled and looked at. Real servers, real Spark. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { openTableWriter } from '../../src/tabular/table-writer.js';
import { eventually } from '../harness/eventually.js';
import { type SparkEnvironment, sparkDriversOf, sparkEnvironment } from '../harness/spark-home.js';
import { apply, ask } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const run = promisify(execFile);
const START = Date.UTC(2026, 0, 1);
const ROWS = 24_000;
const USERS = 100;
const WAIT = { timeoutMs: 120_000, everyMs: 50 };

interface JobReport {
  readonly status: string;
  readonly progress: { readonly done: number; readonly note: string | null };
  readonly log: readonly string[];
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly result: Readonly<Record<string, unknown>> | null;
}

const schema = { user_id: 'STRING', amount: 'FLOAT64', cents: 'INT64', at: 'TIMESTAMP' };
const source = (name: string, batch: Record<string, unknown>) => [
  { kind: 'source', name, schema, timestamp: 'at', batch },
  { kind: 'featureView', name: `${name}_newest`, entity: 'user', source: name, features: ['amount', 'cents'] },
  {
    kind: 'featureView',
    name: `${name}_windows`,
    entity: 'user',
    source: name,
    aggregations: [
      { name: 'total', function: 'sum', column: 'amount', windows: ['365d'] },
      { name: 'rows', function: 'count', windows: ['365d'] },
    ],
  },
];

describe('a batch on Spark', () => {
  let platform: Platform;
  let fstore: FStoreProcess;
  let spark: SparkEnvironment;
  let database: pg.Pool;

  const start = () => platform.start({ environment: { ...spark, FSTORE_BATCH_FOLDER: platform.folder } });
  const command = async (...args: string[]): Promise<string> =>
    (await run(process.execPath, ['dist/main.js', ...args, '--url', fstore.url])).stdout;
  const submit = async (name: string) =>
    (JSON.parse(await command('materialize', name, '--no-wait', '--json')) as { id: string }).id;
  const jobOf = async (id: string): Promise<JobReport> => {
    const fields = 'status progress { done note } log error { code message } result';
    return (await ask<{ job: JobReport }>(fstore.url, `{ job(id: "${id}") { ${fields} } }`)).job;
  };
  const ended = (id: string) =>
    eventually(async () => {
      const job = await jobOf(id);
      expect(['SUCCEEDED', 'FAILED', 'CANCELLED']).toContain(job.status);
      return job;
    }, WAIT);
  const count = async (table: string): Promise<number> => {
    const { rows } = await database.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM fstore_${platform.project}.${table}`,
    );
    return rows[0]!.n;
  };
  /** The driver of a run, once it has told how far it is. */
  const driverAtWork = (id: string): Promise<number[]> =>
    eventually(async () => {
      expect((await jobOf(id)).progress.note).toMatch(/tasks$/);
      const found = await sparkDriversOf(platform.environment.FSTORE_DATA_DIR!);
      expect(found.length).toBeGreaterThan(0);
      return found;
    }, WAIT);
  const read = async (name: string) => {
    const asOf = new Date(START + ROWS * 2_000).toISOString();
    const ids = Array.from({ length: USERS }, (_, index) => `u${index}`);
    const views = ['', `(asOf: "${asOf}")`].map((at, index) => {
      const [newest, windows] = [`n${index}: ${name}Newest`, `w${index}: ${name}Windows`];
      return `${newest}${at} { amount cents eventTime } ${windows}${at} { total365d rows365d eventTime }`;
    });
    return ask(fstore.url, `query ($ids: [ID!]!) { users(ids: $ids) { id ${views.join(' ')} } }`, { ids });
  };

  beforeAll(async () => {
    spark = await sparkEnvironment();
    platform = await createPlatform('servers');
    fstore = await start();
    database = new pg.Pool({ connectionString: platform.environment.FSTORE_POSTGRES_URL!, max: 2 });
    const columns = Object.entries(schema).map(([name, type]) => ({ name, type: type as 'STRING' }));
    const rows = Array.from({ length: ROWS }, (_, index) => [
      `u${index % USERS}`,
      (index % 32) / 4,
      2n ** 60n + BigInt(index),
      START + index * 1_000,
    ]);
    mkdirSync(join(platform.folder, 'year'));
    for (const [path, from, to] of [
      ['year.parquet', 0, ROWS],
      ['year/a.parquet', 0, 16_000],
      ['year/b.parquet', 16_000, ROWS],
    ] as const) {
      const writer = await openTableWriter(join(platform.folder, path), 'parquet', columns);
      await writer.write(rows.slice(from, to));
      await writer.close();
    }
    await apply(fstore.url, [
      { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] },
      ...source('here', { parquet: 'year.parquet' }),
      ...source('there', { engine: 'spark', parquet: 'year/' }),
      { kind: 'featureService', name: 'year', features: ['here_newest', 'here_windows'] },
    ]);
  }, 300_000);
  afterAll(async () => {
    await database?.end();
    await platform?.drop();
  });

  test('whose driver is killed leaves nothing, and says so', async () => {
    const id = await submit('there');
    for (const pid of await driverAtWork(id)) process.kill(pid, 'SIGKILL');
    const job = await ended(id);
    expect(job).toMatchObject({ status: 'FAILED', error: { code: 'ENGINE_FAILED' } });
    expect(job.error!.message).not.toContain('\n');
    expect(job.log.length).toBeGreaterThan(0);
    expect(await command('jobs', 'show', id)).toContain(job.log.at(-1)!.slice(0, 20));
    expect(await count('event_log')).toBe(0);
  }, 200_000);

  test('that is cancelled ends its driver, and leaves nothing', async () => {
    const id = await submit('there');
    await driverAtWork(id);
    await command('jobs', 'cancel', id);
    expect((await ended(id)).status).toBe('CANCELLED');
    expect([await sparkDriversOf(platform.environment.FSTORE_DATA_DIR!), await count('event_log')]).toEqual([[], 0]);
  }, 200_000);

  test('goes on when the worker is killed, and has the values of the built-in engine', async () => {
    const id = await submit('there');
    await driverAtWork(id);
    fstore.process.kill('SIGKILL');
    await fstore.process.exited;
    fstore = await start();
    const total = { read: ROWS, written: ROWS, deadLetters: 0 };
    expect(await ended(id)).toMatchObject({ status: 'SUCCEEDED', result: total });
    expect(await ended(await submit('here'))).toMatchObject({ status: 'SUCCEEDED', result: total });
    expect(await count('event_log')).toBe(2 * ROWS);
    const rename = (text: string): string => text.replaceAll('there', 'here');
    const [there, here] = [JSON.stringify(await read('there')), JSON.stringify(await read('here'))];
    expect(rename(there)).toBe(here);
    expect(here).toContain('"rows365d":"240"');
    expect(await count('staged_batches')).toBe(0);
  }, 300_000);

  test('leaves history that Spark joins with a spine to the same training set as PostgreSQL does', async () => {
    const spine = join(platform.folder, 'spine.csv');
    const rows = Array.from({ length: 3_000 }, (_, index) => {
      const time = new Date(START + index * 9_000 + (index % 3) - 1).toISOString();
      return `u${index % (USERS + 1)},${time},${index % 2}`;
    });
    writeFileSync(spine, `user_id,event_time,label\n${rows.join('\n')}\n`);
    const set = async (engine: string): Promise<string> => {
      const path = join(platform.folder, `${engine}.csv`);
      await command('training-set', 'year', spine, '-o', path, '--engine', engine);
      return readFile(path, 'utf8');
    };
    const joined = await set('spark');
    expect(joined).toBe(await set('builtin'));
    expect(joined.trimEnd().split('\n')).toHaveLength(rows.length + 1);
    await expect(command('training-set', 'year', spine, '--engine', 'spark', '--known')).rejects.toThrow('known');
  }, 200_000);

  test('needs a Spark where it is applied, and a connection that is known', async () => {
    const jdbc = { engine: 'spark', jdbc: { connection: 'nowhere', table: 'a' } };
    await expect(apply(fstore.url, source('bad', jdbc))).rejects.toThrow('FSTORE_JDBC_NOWHERE_URL');
    await expect(apply(fstore.url, source('bad', { orc: 'a.orc' }))).rejects.toThrow('engine: spark');
    const without = await platform.start();
    await expect(apply(without.url, source('bad', { engine: 'spark', csv: 'a.csv' }))).rejects.toThrow(
      'ENGINE_UNAVAILABLE',
    );
    const input = 'service: "year", rows: [{ user_id: "u1" }], engine: "spark"';
    const create = ask(without.url, `mutation { createTrainingSet(input: { ${input} }) }`);
    await expect(create).rejects.toThrow('ENGINE_UNAVAILABLE');
  }, 60_000);
});
