/** Sources that are read in batches: files and tables, through the writer that events go through. */
import { execFile } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { openTableWriter } from '../../src/tabular/table-writer.js';
import { eventually } from '../harness/eventually.js';
import { apply, ask } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const run = promisify(execFile);
const START = Date.UTC(2026, 0, 1);
const ROWS = 20_000;
const USERS = 100;

interface Report {
  readonly id: string;
  readonly status: string;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly result: { read: number; written: number; deadLetters: number; watermark: string | null };
}

const schema = { user_id: 'STRING', amount: 'FLOAT64', cents: 'INT64', at: 'TIMESTAMP' };
const source = (name: string, batch: Record<string, string>, extra: Record<string, unknown> = {}) => [
  { kind: 'source', name, schema, timestamp: 'at', batch, ...extra },
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
const rowAt = (index: number) => ({
  user_id: `u${index % USERS}`,
  amount: (index % 32) / 4,
  cents: `${2n ** 60n + BigInt(index)}`,
  at: new Date(START + index * 1_000).toISOString(),
});
const csv = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, index) => Object.values(rowAt(from + index)).join(',')).join('\n');

describe('a source that is read in batches', () => {
  let platform: Platform;
  let fstore: FStoreProcess;
  const command = async (...args: string[]): Promise<Report> => {
    const { stdout } = await run(process.execPath, ['dist/main.js', ...args, '--url', fstore.url, '--json']);
    return JSON.parse(stdout) as Report;
  };
  const read = async (name: string, user: string) => {
    const asOf = new Date(START + ROWS * 2_000).toISOString();
    const view = (field: string) => `${name}${field}(asOf: "${asOf}")`;
    const query = `{ user(id: "${user}") { ${view('Newest')} { amount cents } ${view('Windows')} { total365d rows365d } } }`;
    const { user: found } = await ask<{ user: Record<string, unknown> }>(fstore.url, query);
    return { ...(found[`${name}Newest`] as object), ...(found[`${name}Windows`] as object) };
  };
  /** What a user has after the first `rows` rows. */
  const expected = (user: number, rows: number) => {
    const own = Array.from({ length: rows }, (_, index) => index).filter((index) => index % USERS === user);
    const newest = rowAt(own.at(-1)!);
    return {
      amount: newest.amount,
      cents: newest.cents,
      total365d: own.reduce((sum, index) => sum + rowAt(index).amount, 0),
      rows365d: `${own.length}`,
    };
  };

  beforeAll(async () => {
    platform = await createPlatform('servers');
    fstore = await platform.start({ environment: { FSTORE_BATCH_FOLDER: platform.folder } });
    await apply(fstore.url, [{ kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] }]);
  }, 60_000);
  afterAll(() => platform.drop());

  test('as CSV is in history and online, once, whenever it is read again, and what is added is added', async () => {
    const path = join(platform.folder, 'payments.csv');
    writeFileSync(path, `user_id,amount,cents,at\n${csv(0, ROWS)}\n`);
    await apply(fstore.url, source('payments', { csv: 'payments.csv' }));
    const first = await command('materialize', 'payments');
    expect(first.result).toEqual({ read: ROWS, written: ROWS, deadLetters: 0, watermark: rowAt(ROWS - 1).at });
    expect(await read('payments', 'u7')).toEqual(expected(7, ROWS));
    const query = '{ user(id: "u7") { paymentsNewest { cents } paymentsWindows { rows365d } } }';
    const { user } = await ask<{ user: Record<string, unknown> }>(fstore.url, query);
    expect(user).toEqual({ paymentsNewest: { cents: expected(7, ROWS).cents }, paymentsWindows: { rows365d: '200' } });
    expect((await command('materialize', 'payments')).result).toMatchObject({ read: ROWS, written: 0 });
    // A run that fails after it has written thousands of rows; the next one writes none of them again.
    appendFileSync(path, `${csv(ROWS, ROWS + 5_000)}\nu1,oops,1,2026-06-01T00:00:00Z\n`);
    const failed = await command('materialize', 'payments').catch((error: { stdout: string }) => error.stdout);
    expect(`${failed}`).toContain('column amount is FLOAT64');
    writeFileSync(path, `user_id,amount,cents,at\n${csv(0, ROWS + 5_000)}\n,1,1,2026-06-01T00:00:00Z\n`);
    const added = await command('materialize', 'payments');
    expect(added.result.written).toBeLessThan(5_000);
    expect(added.result).toMatchObject({ deadLetters: 1, watermark: rowAt(ROWS + 4_999).at });
    expect(await read('payments', 'u7')).toEqual(expected(7, ROWS + 5_000));
    const { deadLetters } = await ask<{ deadLetters: unknown[] }>(
      fstore.url,
      '{ deadLetters(source: "payments", first: 5) { code field } }',
    );
    expect(deadLetters).toEqual([{ code: 'EVENT_KEY_MISSING', field: 'user_id' }]);
  }, 120_000);

  test('as Parquet, and as a table of PostgreSQL, has the same values; views that come later have them too', async () => {
    const writer = await openTableWriter(join(platform.folder, 'orders.parquet'), 'parquet', [
      { name: 'at', type: 'TIMESTAMP' },
      { name: 'cents', type: 'INT64' },
      { name: 'user_id', type: 'STRING' },
      { name: 'amount', type: 'FLOAT64' },
    ]);
    await writer.write(
      Array.from({ length: 2_000 }, (_, index) => {
        const row = rowAt(index);
        return [Date.parse(row.at), BigInt(row.cents), row.user_id, row.amount];
      }),
    );
    await writer.close();
    const database = new pg.Client({ connectionString: platform.environment.FSTORE_POSTGRES_URL });
    await database.connect();
    await database.query(
      'CREATE TABLE legacy (user_id varchar, amount numeric(10,2), cents bigint, at timestamp, other int)',
    );
    await database.query(
      `INSERT INTO legacy SELECT 'u' || i % ${USERS}, (i % 32) / 4.0, ${2n ** 60n} + i, timestamp '2026-01-01' + i * interval '1 second' FROM generate_series(0, 1999) AS i`,
    );
    await database.end();
    const [orders, ...orderViews] = source('orders', { parquet: 'orders.parquet' });
    await apply(fstore.url, [orders, ...source('legacy', { table: 'legacy' })]);
    expect((await command('materialize', 'orders')).result).toMatchObject({ read: 2_000, written: 2_000 });
    expect((await command('materialize', 'legacy')).result).toMatchObject({ read: 2_000, written: 2_000 });
    await apply(fstore.url, orderViews);
    await eventually(async () => expect(await read('orders', 'u3')).toEqual(expected(3, 2_000)), { timeoutMs: 20_000 });
    expect(await read('legacy', 'u3')).toEqual(expected(3, 2_000));
  }, 120_000);

  test('goes on after a kill -9 in the middle, and has every row once', async () => {
    writeFileSync(join(platform.folder, 'long.csv'), `user_id,amount,cents,at\n${csv(0, ROWS * 2)}\n`);
    await apply(fstore.url, source('long', { csv: 'long.csv' }));
    const { id } = await command('materialize', 'long', '--no-wait');
    const job = async () => {
      const fields = 'status progress { done } result';
      return (
        await ask<{ job: Report & { progress: { done: number } } }>(fstore.url, `{ job(id: "${id}") { ${fields} } }`)
      ).job;
    };
    await eventually(async () => expect((await job()).progress.done).toBeGreaterThan(0), {
      timeoutMs: 30_000,
      everyMs: 10,
    });
    fstore.process.kill('SIGKILL');
    await fstore.process.exited;
    fstore = await platform.start({ environment: { FSTORE_BATCH_FOLDER: platform.folder } });
    await eventually(async () => expect((await job()).status).toBe('SUCCEEDED'), { timeoutMs: 90_000 });
    expect(await read('long', 'u42')).toEqual(expected(42, ROWS * 2));
  }, 180_000);

  test('is refused where it cannot be read, by the field at fault', async () => {
    const bad = (batch: Record<string, string>) => apply(fstore.url, source('bad', batch));
    await expect(bad({ csv: 'a.csv', table: 'b' })).rejects.toThrow('batch has one of');
    await expect(bad({ csv: 'a.csv', schedule: 'hourly' })).rejects.toThrow('five fields of cron');
    await apply(fstore.url, source('outside', { csv: '../../etc/passwd' }));
    await apply(fstore.url, source('nowhere', { csv: 'nowhere.csv' }));
    for (const [name, message] of [
      ['outside', 'leads out of the folder'],
      ['nowhere', 'there is no file nowhere.csv'],
    ] as const) {
      const failed = await command('materialize', name).catch((error: { stdout: string; stderr: string }) => error);
      expect(JSON.stringify(failed)).toContain(message);
    }
    await expect(ask(fstore.url, 'mutation { materialize(source: "nothing") { id } }')).rejects.toThrow(
      'SOURCE_UNKNOWN',
    );
  }, 60_000);
});
