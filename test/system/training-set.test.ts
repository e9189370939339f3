/** Training sets as their users ask for them: by command line and REST, also when the server dies on the way. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readTable } from '../../src/tabular/table-reader.js';
import type { TableRow } from '../../src/tabular/table-schema.js';
import { eventually } from '../harness/eventually.js';
import { apply, ask } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

/** A job as it is answered. */
interface Answer {
  readonly id: string;
  readonly status: string;
  readonly attempts: number;
  readonly checkpoint: { readonly finishedParts: number } | null;
  readonly result: {
    readonly sha256: string;
    readonly transformers: Readonly<Record<string, { min: number; max: number }>>;
  };
}

const run = promisify(execFile);
const EVENTS = 3_000;
const USERS = 200;
const ROWS = 60_000;
const START = Date.now() - 20 * 86_400_000;

const definitions = [
  { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] },
  {
    kind: 'source',
    name: 'payments',
    schema: { user_id: 'STRING', amount: 'FLOAT64', at: 'TIMESTAMP' },
    timestamp: 'at',
    stream: {},
  },
  { kind: 'featureView', name: 'newest', entity: 'user', source: 'payments', features: ['amount'] },
  {
    kind: 'featureView',
    name: 'spending',
    entity: 'user',
    source: 'payments',
    aggregations: [{ name: 'spend', function: 'sum', column: 'amount', windows: ['1h', '7d'] }],
  },
  {
    kind: 'onDemandFeatureView',
    name: 'ratio',
    request: { asked: 'FLOAT64' },
    features: [{ name: 'share', type: 'FLOAT64', expression: 'request.asked / spending.spend_7d' }],
  },
  { kind: 'transformer', name: 'scaled', feature: 'spending:spend_7d', transform: { type: 'minMax' } },
  { kind: 'featureService', name: 'risk', features: ['newest', 'spending', 'ratio', 'scaled'] },
];

describe.each(['embedded', 'servers'] as const)('a training set on %s', (name) => {
  let platform: Platform;
  let fstore: FStoreProcess;
  let spine: string;
  const events = Array.from({ length: EVENTS }, (_, index) => ({
    user_id: `u${index % USERS}`,
    amount: (index % 64) / 4 + 1,
    at: new Date(START + index * 300_000).toISOString(),
  }));
  const fstoreCommand = async (...args: string[]) => {
    const { stdout } = await run(process.execPath, ['dist/main.js', ...args, '--url', fstore.url, '--json'], {
      maxBuffer: 1 << 26,
    });
    return JSON.parse(stdout) as Answer;
  };
  const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

  beforeAll(async () => {
    platform = await createPlatform(name);
    fstore = await platform.start();
    await apply(fstore.url, definitions);
    for (let at = 0; at < EVENTS; at += 500) {
      await ask(
        fstore.url,
        'mutation ($events: [JSON!]!) { ingest(source: "payments", events: $events) { accepted } }',
        {
          events: events.slice(at, at + 500),
        },
      );
    }
    await eventually(
      async () => {
        const query = '{ user(id: "u199") { spending(asOf: "2100-01-01T00:00:00Z") { status } newest { eventTime } } }';
        const { user } = await ask<{ user: { newest: { eventTime: string } } }>(
          fstore.url,
          query.replace(/\(asOf[^)]*\)/, ''),
        );
        expect(user.newest.eventTime).toBe(events.at(-1)?.at);
      },
      { timeoutMs: 30_000 },
    );
    spine = join(platform.folder, 'spine.csv');
    const file = createWriteStream(spine);
    file.write('event_time,label,user_id,asked\n');
    for (let row = 0; row < ROWS; row += 1) {
      const at = new Date(START + ((row * 7_919) % EVENTS) * 300_000 + (row % 3) - 1).toISOString();
      file.write(`${at},${row % 2},u${(row * 31) % (USERS + 1)},${row % 5 ? 10 : ''}\n`);
    }
    file.end();
    await once(file, 'finish');
  }, 120_000);
  afterAll(() => platform.drop());

  test('comes by the command line with what was known at each instant, and its transformers are published', async () => {
    const output = join(platform.folder, 'set.parquet');
    const options = ['--output', output, '--fit', '--publish', '--test', '0.25', '--split-by', 'entity'];
    const job = await fstoreCommand('training-set', 'risk', spine, ...options);
    expect(job).toMatchObject({ status: 'SUCCEEDED', result: { rows: ROWS, fitted: ['scaled@1'] } });
    expect(sha256(output)).toBe(job.result.sha256);
    const table = await readTable(output);
    const rows: TableRow[] = [];
    for await (const batch of table.batches()) rows.push(...batch);
    expect(table.schema.map(({ name: column }) => column)).toEqual([
      'event_time',
      'label',
      'user_id',
      'asked',
      'amount',
      'spend1h',
      'spend7d',
      'share',
      'scaled',
      'split',
    ]);
    // Rows as they come, each beside what the door says of its instant.
    for (const index of [0, 1, 199, 5_000, 59_999]) {
      const [at, , user, asked, amount, spend1h, spend7d, share] = rows[index]!;
      const asOf = new Date(at as number).toISOString();
      const { user: found } = await ask<{ user: Record<string, Record<string, unknown>> }>(
        fstore.url,
        'query ($id: ID!, $asOf: DateTime) { user(id: $id) { newest(asOf: $asOf) { amount } spending(asOf: $asOf) { spend1h spend7d } } }',
        { id: user, asOf },
      );
      expect({ amount, spend1h, spend7d }).toEqual({ ...found.newest, ...found.spending });
      expect(share).toEqual(asked === null || !spend7d ? null : (asked as number) / (spend7d as number));
    }
    const { risk } = await ask<{ risk: Record<string, unknown> }>(
      fstore.url,
      '{ risk(userId: "u1") { serviceVersion scaled spend7d } }',
    );
    const { min, max } = job.result.transformers['scaled@1']!;
    expect(risk).toEqual({
      serviceVersion: 2,
      spend7d: risk.spend7d,
      scaled: risk.spend7d === null ? null : ((risk.spend7d as number) - min) / (max - min),
    });
  }, 120_000);

  test('goes on after a kill -9, and ends in the same bytes', async () => {
    const options = ['training-set', 'risk', spine, '--format', 'csv'];
    const whole = await fstoreCommand(...options);
    const { id } = await fstoreCommand(...options, '--no-wait');
    const jobOf = async () => (await (await fetch(`${fstore.url}/api/v1/training-sets/${id}`)).json()) as Answer;
    // Half of the parts are done, and kept.
    await eventually(async () => expect((await jobOf()).checkpoint?.finishedParts).toBeGreaterThanOrEqual(1), {
      timeoutMs: 60_000,
      everyMs: 20,
    });
    fstore.process.kill('SIGKILL');
    await fstore.process.exited;
    fstore = await platform.start();
    await eventually(async () => expect((await jobOf()).status).toBe('SUCCEEDED'), { timeoutMs: 90_000 });
    const job = await jobOf();
    expect(job.attempts).toBeGreaterThanOrEqual(1);
    expect(job.result.sha256).toBe(whole.result.sha256);
    const file = Buffer.from(await (await fetch(`${fstore.url}/api/v1/training-sets/${id}/data`)).arrayBuffer());
    expect(createHash('sha256').update(file).digest('hex')).toBe(whole.result.sha256);
    const manifest = await (await fetch(`${fstore.url}/api/v1/training-sets/${id}/manifest`)).json();
    expect(manifest).toMatchObject({ trainingSet: id, service: 'risk', rows: ROWS, sha256: whole.result.sha256 });
  }, 180_000);

  test('of the events of a source, of a SELECT and of rows in the request is the same', async () => {
    const finished = async (id: string): Promise<Answer['result'] & { rows: number }> => {
      const jobOf = async () => (await (await fetch(`${fstore.url}/api/v1/training-sets/${id}`)).json()) as Answer;
      await eventually(async () => expect(await jobOf()).toMatchObject({ status: 'SUCCEEDED' }), { timeoutMs: 60_000 });
      return (await jobOf()).result as Answer['result'] & { rows: number };
    };
    const create = async (input: Record<string, unknown>) => {
      const mutation = 'mutation ($input: TrainingSetInput!) { createTrainingSet(input: $input) }';
      const { createTrainingSet } = await ask<{ createTrainingSet: string }>(fstore.url, mutation, {
        input: { service: 'plain', timestamp: 'at', format: 'csv', before: true, ...input },
      });
      return finished(createTrainingSet);
    };
    await apply(fstore.url, [{ kind: 'featureService', name: 'plain', features: ['spending'] }]);
    const bySource = await create({ source: 'payments' });
    expect(bySource.rows).toBe(EVENTS);
    const rows = events.slice(0, 100);
    const byRows = await create({ rows });
    const sql = `SELECT user_id, amount, at FROM json_to_recordset('${JSON.stringify(rows)}')
      AS payments(user_id text, amount float8, at timestamptz) ORDER BY at; -- the first ones`;
    const bySql = await create({ sql });
    expect(bySql.sha256).toBe(byRows.sha256);
    const { id } = await fstoreCommand(
      'training-set',
      'plain',
      '--source',
      'payments',
      '--timestamp',
      'at',
      '--format',
      'csv',
      '--before',
    );
    expect((await finished(id)).sha256).toBe(bySource.sha256);
    const mutation = 'mutation ($input: TrainingSetInput!) { createTrainingSet(input: $input) }';
    for (const [input, message] of [
      [{ service: 'plain' }, 'there are no examples'],
      [{ service: 'plain', source: 'nothing' }, 'there is no source nothing'],
    ] as const) {
      await expect(ask(fstore.url, mutation, { input })).rejects.toThrow(message);
    }
    for (const refused of ['DROP TABLE x', 'SELECT * FROM nowhere', 'SELECT 1; DELETE FROM x']) {
      await expect(ask(fstore.url, mutation, { input: { service: 'plain', sql: refused } })).rejects.toThrow(
        'BAD_REQUEST',
      );
    }
  }, 120_000);

  test.each([
    ['?service=nothing', 'user_id,event_time,asked\n', 404, 'SERVICE_UNKNOWN', 'service'],
    ['?service=risk&format=xlsx', 'user_id,event_time,asked\n', 400, 'BAD_REQUEST', 'format'],
    ['?service=risk&test=2', 'user_id,event_time,asked\n', 400, 'BAD_REQUEST', 'split.test'],
    ['?service=risk', '', 400, 'BAD_REQUEST', 'body'],
  ])('is refused for %s with its field', async (query, body, status, code, field) => {
    const response = await fetch(`${fstore.url}/api/v1/training-sets${query}`, { method: 'POST', body: body || null });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code, field } });
  });

  test('of a spine that does not fit fails with the row and the column', async () => {
    for (const [content, message] of [
      ['user_id,event_time\nu1,2026-01-01T00:00:00Z\n', 'has no column asked'],
      ['user_id,event_time,asked\nu1,yesterday,1\n', 'row 1, column event_time is TIMESTAMP'],
      ['user_id,event_time,asked\n,2026-01-01T00:00:00Z,1\n', 'row 1 of the spine: user_id is no join key'],
    ]) {
      const posted = await fetch(`${fstore.url}/api/v1/training-sets?service=risk`, { method: 'POST', body: content! });
      const { id } = (await posted.json()) as { id: string };
      await eventually(
        async () => {
          const job = (await (await fetch(`${fstore.url}/api/v1/training-sets/${id}`)).json()) as Answer;
          expect(job).toMatchObject({ status: 'FAILED', error: { message: expect.stringContaining(message!) } });
        },
        { timeoutMs: 20_000 },
      );
      expect((await fetch(`${fstore.url}/api/v1/training-sets/${id}/data`)).status).toBe(409);
    }
  }, 60_000);
});
