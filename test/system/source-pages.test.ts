/** The examples of docs/sources, done as they stand there: what a page says that a query answers is what it answers. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import { readValue, type ValueType } from '../../src/definition/value-type.js';
import { parseEventJson } from '../../src/materialization/event-decoder.js';
import type { TableFormat } from '../../src/tabular/table-schema.js';
import { openTableWriter } from '../../src/tabular/table-writer.js';
import { eventually } from '../harness/eventually.js';
import { type SourcePage, sourcePages } from '../harness/source-pages.js';
import { testServers } from '../harness/test-servers.js';
import { apply, ask } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const run = promisify(execFile);

interface DeclaredSource {
  readonly kind: string;
  readonly name: string;
  readonly schema: Readonly<Record<string, ValueType>>;
  readonly batch?: Readonly<Record<string, string>>;
}

describe('the examples of docs/sources', () => {
  let platform: Platform;
  let fstore: FStoreProcess;
  beforeAll(async () => {
    platform = await createPlatform('servers');
    fstore = await platform.start({ environment: { FSTORE_BATCH_FOLDER: platform.folder } });
  }, 60_000);
  afterAll(() => platform?.drop());

  const linesOf = (text: string): string[] => text.trim().split('\n');

  async function provide(page: SourcePage): Promise<void> {
    const [source] = page.definitions.filter(({ kind }) => kind === 'source') as unknown as DeclaredSource[];
    const events = page.block('json events');
    if (events && page.name === 'kafka') {
      const producer = new Kafka({ brokers: testServers().kafkaBrokers, logLevel: logLevel.NOTHING }).producer();
      await producer.connect();
      const messages = linesOf(events).map((value) => ({ key: 'u1', value }));
      await producer.send({ topic: `${platform.project}.${source!.name}`, messages });
      await producer.disconnect();
    } else if (events) {
      const response = await fetch(`${fstore.url}/api/v1/sources/${source!.name}/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: `[${linesOf(events).join(',')}]`,
      });
      expect(response.status).toBe(202);
    }
    for (const format of ['csv', 'ndjson']) {
      const text = page.block(format);
      if (text) writeFileSync(join(platform.folder, source!.batch![format]!), text);
    }
    const rows = page.block('json rows');
    if (rows) {
      const [format, path] = Object.entries(source!.batch!)[0]!;
      const schema = Object.entries(source!.schema).map(([name, type]) => ({ name, type }));
      const writer = await openTableWriter(join(platform.folder, path), format as TableFormat, schema);
      const values = linesOf(rows).map((line) => {
        const row = parseEventJson(line) as Record<string, unknown>;
        return schema.map(({ name, type }) => {
          const read = readValue(type, row[name]);
          return read.ok ? read.value : null;
        });
      });
      await writer.write(values);
      await writer.close();
    }
    const sql = page.block('sql');
    if (sql) {
      const client = new pg.Client({ connectionString: platform.environment.FSTORE_POSTGRES_URL! });
      await client.connect();
      await client.query(sql);
      await client.end();
    }
    for (const [, name] of (page.block('sh') ?? '').matchAll(/^fstore materialize (\w+)$/gm)) {
      await run(process.execPath, ['dist/main.js', 'materialize', name!, '--url', fstore.url]);
    }
  }

  test.each(sourcePages().map((page) => [page.name, page] as const))(
    'of %s',
    async (_, page) => {
      await apply(fstore.url, page.definitions);
      await provide(page);
      const answer = JSON.parse(page.block('json answer')!) as unknown;
      await eventually(async () => expect(await ask(fstore.url, page.block('graphql')!)).toEqual(answer), {
        timeoutMs: 30_000,
      });
    },
    60_000,
  );
});
