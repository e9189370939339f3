/** `fstore sources check`: drafts from real data that are applied and serve it, and what it says of data that does not fit. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Kafka, logLevel, type Producer } from 'kafkajs';
import pg from 'pg';
import { openTableWriter } from '../../src/tabular/table-writer.js';
import { eventually } from '../harness/eventually.js';
import { testServers } from '../harness/test-servers.js';
import { apply, ask } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const run = promisify(execFile);
const MAIN = resolve('dist/main.js');

interface Finding {
  readonly severity: string;
  readonly code: string;
  readonly column: string | null;
  readonly count: number | null;
  readonly message: string;
  readonly cure: string;
}
interface Report {
  readonly source: string;
  readonly declared: boolean;
  readonly sampled: number;
  readonly unusable: number | null;
  readonly columns: readonly { name: string; type: string; declaredType: string | null; role: string | null }[];
  readonly findings: readonly Finding[];
  readonly draft: string | null;
}
interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('fstore sources check', () => {
  let platform: Platform;
  let fstore: FStoreProcess;
  let producer: Producer;
  let database: pg.Pool;
  /** The command line, in the folder of batch files. */
  const command = async (...args: string[]): Promise<Outcome> => {
    const options = { cwd: platform.folder, env: { ...process.env, FSTORE_URL: fstore.url, NODE_OPTIONS: '' } };
    return run(process.execPath, [MAIN, ...args], options).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: Outcome) => ({ code: error.code, stdout: error.stdout, stderr: error.stderr }),
    );
  };
  const check = async (...args: string[]): Promise<Report[]> => {
    const { stdout } = await command('sources', 'check', '--json', ...args);
    return JSON.parse(stdout) as Report[];
  };
  /** Saves what is printed, as it is, and applies it. */
  const applyDraft = async (...args: string[]): Promise<string> => {
    const { stdout, code, stderr } = await command('sources', 'check', ...args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    writeFileSync(join(platform.folder, 'draft.yaml'), stdout);
    const applied = await command('apply', 'draft.yaml');
    expect(applied).toMatchObject({ code: 0 });
    return stdout;
  };
  const produce = (topic: string, events: readonly unknown[]) =>
    producer.send({
      topic: `${platform.project}.${topic}`,
      messages: events.map((event) => ({ value: typeof event === 'string' ? event : JSON.stringify(event) })),
    });
  const createTopic = async (topic: string) => {
    const admin = new Kafka({ brokers: testServers().kafkaBrokers, logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.createTopics({
      topics: [{ topic: `${platform.project}.${topic}`, numPartitions: 3 }],
      waitForLeaders: true,
    });
    await admin.disconnect();
  };
  const codes = (report: Report | undefined) =>
    report?.findings.map(({ severity, code, column }) => `${severity} ${code} ${column}`);

  beforeAll(async () => {
    platform = await createPlatform('servers');
    fstore = await platform.start({ environment: { FSTORE_BATCH_FOLDER: platform.folder } });
    producer = new Kafka({ brokers: testServers().kafkaBrokers, logLevel: logLevel.NOTHING }).producer();
    await producer.connect();
    database = new pg.Pool({ connectionString: platform.environment.FSTORE_POSTGRES_URL!, max: 1 });
  }, 60_000);
  afterAll(async () => {
    await producer?.disconnect();
    await database?.end();
    await platform?.drop();
  });

  test('drafts from a topic of Kafka what then serves its events', async () => {
    await createTopic('clicks');
    await produce(
      'clicks',
      [1, 2, 3, 4].map((n) => ({
        user_id: `u${n % 2}`,
        page: `/p${n}`,
        seconds: n / 2,
        at: `2026-01-0${n}T00:00:00Z`,
      })),
    );
    const draft = await applyDraft('--kafka', 'clicks');
    expect(draft).toContain('stream: { topic: clicks }');
    await eventually(
      async () => {
        const { user } = await ask<{ user: unknown }>(
          fstore.url,
          '{ user(id: "u1") { clicks { page seconds eventTime } } }',
        );
        expect(user).toEqual({ clicks: { page: '/p3', seconds: 1.5, eventTime: '2026-01-03T00:00:00.000Z' } });
      },
      { timeoutMs: 30_000 },
    );
    const [report] = await check('clicks');
    expect(report).toMatchObject({ declared: true, sampled: 4, unusable: 0, findings: [] });
  }, 90_000);

  test('drafts from CSV, Parquet, Arrow, a table and a query of PostgreSQL what then serves their rows', async () => {
    writeFileSync(
      join(platform.folder, 'visits.csv'),
      'patient_id,zip,score,visited_at\n1001,01234,1.5,2026-01-01T00:00:00Z\n1002,00501,2,2026-01-02T00:00:00Z\n1001,99999,3,2026-01-03T00:00:00Z\n',
    );
    const parquet = await openTableWriter(join(platform.folder, 'readings.parquet'), 'parquet', [
      { name: 'sensor_id', type: 'STRING' },
      { name: 'celsius', type: 'FLOAT64' },
      { name: 'reading_time', type: 'TIMESTAMP' },
    ]);
    await parquet.write([1, 2, 3].map((n) => ['s1', n, Date.UTC(2026, 0, n)]));
    await parquet.close();
    const arrow = await openTableWriter(join(platform.folder, 'beats.arrow'), 'arrow', [
      { name: 'tracker_id', type: 'INT64' },
      { name: 'rate', type: 'INT32' },
      { name: 'at', type: 'TIMESTAMP' },
    ]);
    await arrow.write([1, 2, 3].map((n) => [7n, 60 + n, Date.UTC(2026, 0, n)]));
    await arrow.close();
    await database.query(
      'CREATE TABLE orders (customer_id bigint, total numeric(10,2), "placedBy" text, ordered_at timestamptz)',
    );
    await database.query(
      `INSERT INTO orders VALUES (7, 12.50, 'x', '2026-01-01Z'), (7, 99.75, 'y', '2026-01-02Z'), (8, 1, 'z', '2026-01-03Z')`,
    );
    expect(await applyDraft('visits.csv')).toContain('zip: STRING');
    await applyDraft('readings.parquet');
    expect(await applyDraft('beats.arrow')).toContain('rate: INT32');
    expect(await applyDraft('--table', 'public.orders')).toContain('COLUMN_NAME_INVALID: placedBy');
    expect(await applyDraft('--query', `SELECT customer_id AS buyer_id, total, ordered_at FROM orders;`)).toContain(
      'buyer',
    );
    for (const source of ['visits', 'readings', 'beats', 'orders', 'orders_2']) {
      expect(await command('materialize', source)).toMatchObject({ code: 0 });
    }
    const query = `{
      patient(id: "1001") { visits { zip score } }
      sensor(id: "s1") { readings { celsius eventTime } }
      tracker(id: "7") { beats { rate } }
      customer(id: "7") { orders { total } }
      buyer(id: "8") { orders2 { total } }
    }`;
    expect(await ask(fstore.url, query)).toEqual({
      patient: { visits: { zip: '99999', score: 3 } },
      sensor: { readings: { celsius: 3, eventTime: '2026-01-03T00:00:00.000Z' } },
      tracker: { beats: { rate: 63 } },
      customer: { orders: { total: 99.75 } },
      buyer: { orders2: { total: 1 } },
    });
    for (const source of ['visits', 'readings', 'beats', 'orders', 'orders_2']) {
      const [report] = await check(source);
      expect(report).toMatchObject({ declared: true, sampled: 3, unusable: 0 });
      expect(codes(report)).toEqual(source === 'orders' ? ['warning EVENT_FIELD_UNKNOWN placedBy'] : []);
    }
  }, 120_000);

  test('checks each data file of a folder, without a server too', async () => {
    mkdirSync(join(platform.folder, 'folder'));
    writeFileSync(join(platform.folder, 'folder', 'a.csv'), 'device_id,at\nd1,2026-01-01T00:00:00Z\n');
    writeFileSync(
      join(platform.folder, 'folder', 'b.ndjson'),
      '{"device_id":"d1","x":1,"at":"2026-01-01T00:00:00Z"}\n',
    );
    const { stdout, code } = await command('sources', 'check', 'folder', '--url', 'http://127.0.0.1:9');
    expect(code).toBe(0);
    writeFileSync(join(platform.folder, 'both.yaml'), stdout);
    expect(await command('plan', 'both.yaml')).toMatchObject({ code: 0 });
    // The second draft knows the entity of the first.
    expect(stdout.match(/^kind: entity$/gm)).toHaveLength(1);
    expect(stdout).toContain('csv: "folder/a.csv"');
    const elsewhere = await command('sources', 'check', join(platform.folder, 'folder', 'a.csv'));
    expect(elsewhere.stdout).toContain('csv: "a.csv"');
    expect(elsewhere.stdout).toContain('FSTORE_BATCH_FOLDER');
  }, 60_000);

  test('tells what of a topic would be dead letters, all of it, with the cure, before it is applied and after', async () => {
    await createTopic('logins');
    const good = { user_id: 'u1', age: 30, event_time: '2026-01-01T00:00:00Z' };
    await produce('logins', [
      good,
      { ...good, age: 'thirty', ip: '::1' },
      { ...good, age: 1.5 },
      { age: 1, event_time: '2026-01-01T00:00:00Z' },
      { ...good, event_time: '2026-01-01 00:00' },
      'no json',
    ]);
    const definitions = `kind: source
name: logins
schema: { user_id: STRING, age: INT64, city: STRING, event_time: TIMESTAMP }
timestamp: event_time
stream: {}
---
kind: featureView
name: user_login
entity: user
source: logins
features: [age, city]
`;
    writeFileSync(join(platform.folder, 'logins.yaml'), definitions);
    const expected = [
      'error EVENT_MALFORMED null',
      'error EVENT_FIELD_UNKNOWN ip',
      'error EVENT_FIELD_TYPE age',
      'error EVENT_KEY_MISSING user_id',
      'error EVENT_FIELD_TYPE event_time',
      'warning COLUMN_MISSING city',
    ].sort();
    const [before] = await check('logins.yaml');
    expect(codes(before)?.sort()).toEqual(expected);
    expect(before).toMatchObject({ source: 'logins', sampled: 6, unusable: 5 });
    expect(before!.findings.find(({ column }) => column === 'age')).toMatchObject({ count: 2 });
    expect(before!.findings.every(({ cure }) => cure.length > 10)).toBe(true);
    await apply(fstore.url, [{ kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] }]);
    expect(await command('apply', 'logins.yaml')).toMatchObject({ code: 0 });
    const after = await command('sources', 'check', 'logins');
    expect(after.code).toBe(1);
    expect(after.stdout).toContain('6 records, 5 would be dead letters');
    expect(after.stdout).toContain('cure: ');
    // What was foretold is what has become of them.
    await eventually(
      async () => {
        const { deadLetters } = await ask<{ deadLetters: unknown[] }>(
          fstore.url,
          '{ deadLetters(source: "logins") { code } }',
        );
        expect(deadLetters).toHaveLength(5);
      },
      { timeoutMs: 30_000 },
    );
  }, 90_000);

  test('tells where a file or a table does not have what its definition says', async () => {
    writeFileSync(
      join(platform.folder, 'wages.csv'),
      'user_id,wage,at\nu1,1,2026-01-01T00:00:00Z\nu2,many,2026-01-01T00:00:00Z\n',
    );
    const source = (name: string, batch: Record<string, string>, more: Record<string, string> = {}) => {
      return {
        kind: 'source',
        name,
        schema: { user_id: 'STRING', wage: 'FLOAT64', at: 'TIMESTAMP', ...more },
        timestamp: 'at',
        batch,
      };
    };
    await apply(fstore.url, [
      source('wages', { csv: 'wages.csv' }),
      source('gone', { csv: 'gone.csv' }),
      source('outside', { csv: '../outside.csv' }),
      source('lacking', { csv: 'wages.csv' }, { bonus: 'FLOAT64' }),
      source('nowhere', { table: 'nowhere' }),
    ]);
    const [wages] = await check('wages');
    expect(codes(wages)).toEqual(['error SOURCE_UNREADABLE null']);
    expect(wages!.findings[0]!.message).toBe('wages.csv, row 2, column wage is FLOAT64: expected a number, got "many"');
    expect(wages!.columns.find(({ name }) => name === 'wage')).toMatchObject({
      type: 'STRING',
      declaredType: 'FLOAT64',
    });
    expect(codes((await check('gone'))[0])).toEqual(['error SOURCE_UNREADABLE null']);
    expect(codes((await check('lacking'))[0])).toContain('error COLUMN_MISSING bonus');
    expect((await check('nowhere'))[0]!.findings[0]!.message).toContain('nowhere');
    expect((await command('sources', 'check', 'outside')).stderr).toContain('leads out of the folder');
  }, 60_000);

  test('refuses what cannot be looked at, by its code and with its cure', async () => {
    const refused = async (...args: string[]) => {
      const { code, stderr } = await command('sources', 'check', ...args);
      return `${code} ${stderr}`;
    };
    expect(await refused('--topic', 'nothing')).toMatch(/^1 error SOURCE_UNREADABLE: the event bus has neither/);
    expect(await refused('--table', 'no_such_table')).toMatch(/^1 error SOURCE_UNREADABLE: .*no_such_table/);
    expect(await refused('--table', 'a; DROP TABLE b')).toMatch(/^1 error SOURCE_UNREADABLE/);
    expect(await refused('--query', 'DELETE FROM orders RETURNING *')).toMatch(/^1 error SOURCE_UNREADABLE/);
    expect(await refused('no_such_source')).toMatch(/^1 error SOURCE_UNKNOWN/);
    expect(await refused('no/such/file.csv')).toMatch(/^2 error USAGE: there is no file or folder/);
    expect(await refused()).toMatch(/^2 error USAGE: there is nothing to check/);
    expect(await refused('a', '--topic', 'b')).toMatch(/^2 error USAGE: one thing/);
    expect(await refused('a', '--sample', '99999')).toMatch(/^1 error BAD_REQUEST: sample/);
    expect((await database.query('SELECT count(*)::int AS n FROM orders')).rows).toEqual([{ n: 3 }]);
  }, 60_000);
});
