/** Files of rows: a hostile one is refused with a code, does not hold up other requests, and shows nothing that is not data. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { eventually } from '../harness/eventually.js';
import { apply, post } from '../system/graphql-door.js';
import { type AttackedServer, maxStallMs, residentBytes, startAttackedServer, watchStall } from './attacked-server.js';

const SECRET = 'THE_PASSWORD=hunter2hunter2';
/** What a refusal may cost in memory: one reading's own limit is 1 GiB, and none of these comes near it. */
const MAX_GROWTH = 600_000_000;

interface Refusal {
  readonly code: string | undefined;
  readonly text: string;
}

/** One form only: files are read by the same code on every store and lane. */
describe('a server with a hostile file', () => {
  let server: AttackedServer;
  const inFolder = (name: string): string => join(server.platform.folder, name);
  beforeAll(async () => {
    server = await startAttackedServer({ platform: 'embedded', fastLane: true });
    await apply(server.url, [
      { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] },
      {
        kind: 'source',
        name: 'payments',
        schema: { user_id: 'STRING', amount: 'FLOAT64', at: 'TIMESTAMP' },
        timestamp: 'at',
        stream: {},
      },
      { kind: 'featureView', name: 'payment', entity: 'user', source: 'payments', features: ['amount'] },
      { kind: 'featureService', name: 'risk', features: ['payment'] },
    ]);
    writeFileSync(inFolder('.env'), `${SECRET}\n`);
    writeFileSync(inFolder('notes.txt'), `${SECRET}\n`);
    mkdirSync(inFolder('.hidden'));
    writeFileSync(inFolder('.hidden/a.csv'), `${SECRET}\n1\n`);
    symlinkSync('/etc/passwd', inFolder('link.csv'));
    symlinkSync('.env', inFolder('dotted.csv'));
    symlinkSync('/etc', inFolder('etc'));
    mkdirSync(inFolder('folder.csv'));
    execFileSync('mkfifo', [inFolder('pipe.csv')]);
  }, 120_000);
  afterAll(() => server?.close());

  /** Checks a file; what is refused comes back as an error or as a finding of a declared source. */
  async function check(input: Record<string, unknown>): Promise<Refusal> {
    const query = `mutation ($input: SourceCheckInput!) {
      checkSource(input: $input) { columns { name } findings { severity code message } }
    }`;
    const answer = await post<{ checkSource: { findings: { severity: string; code: string }[] }[] }>(
      server.url,
      query,
      {
        input: { sample: 100, ...input },
      },
    );
    const text = JSON.stringify(answer);
    const found = answer.data?.checkSource[0]?.findings.find(({ severity }) => severity === 'error');
    return { code: answer.errors?.[0]?.extensions.code ?? found?.code, text };
  }

  const declared = (batch: Record<string, unknown>) => ({
    definitions: [{ kind: 'source', name: 'spy', schema: { k: 'STRING', at: 'TIMESTAMP' }, timestamp: 'at', batch }],
  });

  test.each([
    ['.env'],
    ['.hidden/a.csv'],
    ['../data/password'],
    ['/etc/passwd'],
    ['link.csv'],
    ['dotted.csv'],
    ['etc/passwd'],
    ['folder.csv'],
    ['pipe.csv'],
    ['notes.txt'],
    ['nowhere.csv'],
  ])(
    'the file %s is not read, declared or not',
    async (path) => {
      for (const input of [{ file: path }, declared({ csv: path })]) {
        const { code, text } = await check(input);
        expect(['BAD_REQUEST', 'SOURCE_UNREADABLE']).toContain(code);
        expect(text).not.toContain('hunter2');
        expect(text).not.toContain('root:');
        expect(text).not.toContain('"spine"');
      }
    },
    30_000,
  );

  test('an error names the missing column and does not show the header', async () => {
    writeFileSync(inFolder('secret.csv'), `${SECRET},K\n1,2\n`);
    const { text } = await check(declared({ csv: 'secret.csv' }));
    expect(text).toContain('secret.csv has no column k; it has 2 columns, of which K may be meant');
  }, 30_000);

  /** Files that a check refuses, by what is too large or too deep in them. */
  const hostile: readonly [string, string, () => string | Uint8Array, string][] = [
    [
      'a header of 100,000 columns',
      'wide.csv',
      () => `${Array.from({ length: 100_000 }, (_, at) => `c${at}`)}\n1\n`,
      'TABLE_TOO_LARGE',
    ],
    ['a quote that is never closed', 'quote.csv', () => `a,b\n"${'x'.repeat(40_000_000)}`, 'TABLE_TOO_LARGE'],
    ['a record of endless small cells', 'record.csv', () => `a,b\n${'x,'.repeat(5_000_000)}`, 'TABLE_TOO_LARGE'],
    ['a line of 100 MB', 'line.ndjson', () => `{"a":"${'x'.repeat(100_000_000)}"}`, 'TABLE_TOO_LARGE'],
    [
      'a line that is 100,000 deep',
      'deep.ndjson',
      () => `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
      'SOURCE_UNREADABLE',
    ],
    [
      'objects that are 100,000 deep',
      'objects.ndjson',
      () => `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
      'SOURCE_UNREADABLE',
    ],
    [
      'lines with 20,000 different field names',
      'names.ndjson',
      () => Array.from({ length: 100 }, (_, line) => namesOf(line)).join('\n'),
      'TABLE_TOO_LARGE',
    ],
    ['a page of five million equal values', 'page.parquet', equalValues, 'TABLE_TOO_LARGE'],
    [
      'a text of two megabytes',
      'text.parquet',
      () => parquet([{ name: 'a', data: ['x'.repeat(2_000_000)] }]),
      'TABLE_TOO_LARGE',
    ],
    [
      'a footer that is longer than the file',
      'footer.parquet',
      () => Buffer.from('PAR1\xff\xff\xff\x7fPAR1', 'latin1'),
      'SOURCE_UNREADABLE',
    ],
    [
      'bytes that are not Arrow',
      'bytes.arrow',
      () => Buffer.from(`ARROW1\0\0${'\xff'.repeat(1_000)}ARROW1`, 'latin1'),
      'SOURCE_UNREADABLE',
    ],
  ];

  test.each(hostile)(
    '%s is refused soon, while other requests are answered',
    async (_, name, content, code) => {
      writeFileSync(inFolder(name), content());
      const before = await residentBytes(server.process.pid);
      const { result, stallMs } = await watchStall(server.url, () => check({ file: name }));
      expect({ code: result.code, name }).toEqual({ code, name });
      expect(stallMs).toBeLessThan(maxStallMs());
      expect((await residentBytes(server.process.pid)) - before).toBeLessThan(MAX_GROWTH);
    },
    60_000,
  );

  /** Uploads a spine and waits for the end of its job. */
  async function train(
    body: string | Uint8Array<ArrayBuffer>,
    format: string,
  ): Promise<{ status: string; code?: string }> {
    const address = `${server.url}/api/v1/training-sets`;
    const query = `service=risk&spineFormat=${format}&format=csv`;
    const headers = { 'content-type': 'application/octet-stream' };
    const response = await fetch(`${address}?${query}`, { method: 'POST', headers, body });
    const { id } = (await response.json()) as { id: string };
    return eventually(
      async () => {
        const job = (await (await fetch(`${address}/${id}`)).json()) as {
          status: string;
          error: { code: string } | null;
        };
        expect(['SUCCEEDED', 'FAILED']).toContain(job.status);
        return { status: job.status, ...(job.error ? { code: job.error.code } : {}) };
      },
      { timeoutMs: 60_000 },
    );
  }

  test('a spine that is too large fails its job, and leaves nothing on the disk', async () => {
    const sets = join(server.platform.folder, '..', 'data', 'training-sets');
    const columns = Array.from({ length: 100_000 }, (_, at) => `c${at}`);
    for (const [body, format] of [
      [`user_id,event_time,${columns}\nu1,2026-01-01T00:00:00Z\n`, 'csv'],
      [`user_id,event_time\n"${'x'.repeat(10_000_000)}`, 'csv'],
      [equalValues(), 'parquet'],
    ] as const) {
      const { result, stallMs } = await watchStall(server.url, () => train(body, format));
      expect(result).toEqual({ status: 'FAILED', code: 'TABLE_TOO_LARGE' });
      expect(stallMs).toBeLessThan(maxStallMs());
    }
    expect(readdirSync(sets)).toEqual([]);
  }, 90_000);

  test('a large spine that is legal is joined while other requests are answered', async () => {
    const lines = Array.from({ length: 100_000 }, (_, at) => `u${at},2026-01-01T00:00:00Z,${at},some text ${at}`);
    const body = `user_id,event_time,label,note\n${lines.join('\n')}\n`;
    const before = await residentBytes(server.process.pid);
    const { result, stallMs } = await watchStall(server.url, () => train(body, 'csv'));
    expect(result).toMatchObject({ status: 'SUCCEEDED' });
    expect(stallMs).toBeLessThan(maxStallMs());
    expect((await residentBytes(server.process.pid)) - before).toBeLessThan(MAX_GROWTH);
  }, 120_000);
});

function parquet(columnData: Parameters<typeof parquetWriteBuffer>[0]['columnData']): Uint8Array<ArrayBuffer> {
  return new Uint8Array(parquetWriteBuffer({ columnData, pageSize: 2_000_000_000, rowGroupSize: 10_000_000 }));
}

/** A line of 200 fields, whose names no other line has. */
function namesOf(line: number): string {
  return JSON.stringify(Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`c${line}_${at}`, 1])));
}

let page: Uint8Array<ArrayBuffer> | undefined;

/** Two columns of five million equal values, each in one page. */
function equalValues(): Uint8Array<ArrayBuffer> {
  const data = new Int32Array(5_000_000);
  page ??= parquet([
    { name: 'user_id', data, type: 'INT32' },
    { name: 'event_time', data, type: 'INT32' },
  ]);
  return page;
}
