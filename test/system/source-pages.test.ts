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
import { type H2Server, startH2Server } from '../harness/h2-server.js';
import { type SourcePage, sourcePages } from '../harness/source-pages.js';
import { type SparkEnvironment, sparkEnvironment } from '../harness/spark-home.js';
import { testServers } from '../harness/test-servers.js';
import { apply, ask } from './graphql-door.js';
import { openShell, type ShellResult } from './page-shell.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const run = promisify(execFile);

/** What only Spark writes. */
async function writeOrc(spark: SparkEnvironment, rows: string, path: string): Promise<void> {
  writeFileSync(`${path}.ndjson`, rows);
  const program = [
    'import sys',
    'from pyspark.sql import SparkSession, functions as F',
    "spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false').getOrCreate()",
    "frame = spark.read.json(sys.argv[1]).withColumn('at', F.to_timestamp('at'))",
    'frame.coalesce(1).write.orc(sys.argv[2])',
  ].join('\n');
  const env = { ...process.env, ...spark, SPARK_HOME: spark.FSTORE_SPARK_HOME, SPARK_LOCAL_IP: '127.0.0.1' };
  await run(spark.FSTORE_SPARK_PYTHON!, ['-c', program, `${path}.ndjson`, path], { env });
}

interface DeclaredSource {
  readonly kind: string;
  readonly name: string;
  readonly schema: Readonly<Record<string, ValueType>>;
  readonly batch?: Readonly<Record<string, string>>;
}

describe('the examples of docs/sources', () => {
  let platform: Platform;
  let fstore: FStoreProcess;
  let shell: (script: string) => Promise<ShellResult>;
  let warehouse: H2Server;
  let spark: SparkEnvironment;
  beforeAll(async () => {
    [platform, warehouse, spark] = await Promise.all([createPlatform('servers'), startH2Server(), sparkEnvironment()]);
    const environment = {
      ...spark,
      FSTORE_SPARK_JARS: `${spark.FSTORE_SPARK_JARS},${warehouse.jar}`,
      FSTORE_JDBC_WAREHOUSE_URL: warehouse.url,
      FSTORE_JDBC_WAREHOUSE_USER: warehouse.user,
      FSTORE_JDBC_WAREHOUSE_PASSWORD: warehouse.password,
      FSTORE_BATCH_FOLDER: platform.folder,
    };
    fstore = await platform.start({ environment });
    shell = await openShell(platform.folder, fstore.url, 250_000);
  }, 300_000);
  afterAll(async () => {
    await platform?.drop();
    await warehouse?.stop();
  });

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
    } else if (events && !page.block('sh')) {
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
    const inWarehouse = page.block('sql warehouse');
    if (inWarehouse) await warehouse.run(inWarehouse);
    const rows = page.block('json rows');
    if (rows && page.name === 'orc') await writeOrc(spark, rows, join(platform.folder, source!.batch!.orc!));
    else if (rows) {
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
    for (const file of ['event.json', 'events.ndjson']) writeFileSync(join(platform.folder, file), events ?? '');
    const commands = page.block('sh');
    if (commands) expect(await shell(commands)).toMatchObject({ code: 0 });
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
    300_000,
  );
});
