/**
 * Views on Spark compared with the same views on the built-in engine: a Kafka stream, and tables of PostgreSQL of
 * growing length.
 *
 *   node --import tsx bench/spark/run.ts [--quick] [--part stream,batch] [--engine builtin,spark] [--events 300000]
 *     [--rows 10000,100000,1000000,10000000] [--seconds 20] [--json <file>]
 *
 * README.md beside this file says what is measured and what is not.
 */
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import { startServers } from '../../test/harness/server-pool.js';
import { sparkEnvironment } from '../../test/harness/spark-home.js';
import { endpointVariables, type ServerName } from '../../test/harness/test-server.js';
import { createPlatform, type Platform } from '../../test/system/platform.js';
import { type BatchReport, measureBatch } from './batch.js';
import { ENGINES } from './processes.js';
import { measureStream, type StreamReport } from './stream.js';

const SERVERS: readonly ServerName[] = ['redis', 'postgres', 'mongo', 'kafka'];
const PROCESSES = ['fstore', 'spark', 'postgres', 'redis', 'kafka'];

function readOptions() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      part: { type: 'string', default: 'stream,batch' },
      engine: { type: 'string', default: ENGINES.join(',') },
      events: { type: 'string' },
      rows: { type: 'string' },
      seconds: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const { quick } = values;
  return {
    parts: values.part.split(','),
    engines: ENGINES.filter((name) => values.engine.split(',').includes(name)),
    rows: (values.rows ?? (quick ? '10000,100000' : '10000,100000,1000000,10000000')).split(',').map(Number),
    stream: {
      events: Number(values.events ?? (quick ? 50_000 : 300_000)),
      seconds: Number(values.seconds ?? (quick ? 5 : 20)),
      users: 10_000,
      loads: [0, 1_000],
      warmup: quick ? 10 : 30,
    },
    json: values.json ?? null,
  };
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
const cost = (cpu: Readonly<Record<string, number>>, name: string): string => (cpu[name] ?? 0).toFixed(3);

function describeStream(reports: readonly StreamReport[]): string {
  const rates = table(
    ['engine', 'events/s', ...PROCESSES.map((name) => `${name} CPU ms/event`), 'values'],
    reports.map(({ engine, eventsPerSecond, cpuMsPerEvent, checked, wrong }) => [
      ...[engine, whole(eventsPerSecond), ...PROCESSES.map((name) => cost(cpuMsPerEvent, name))],
      wrong.length === 0 ? `${checked} right` : `${wrong.length} WRONG`,
    ]),
  );
  const latencies = table(
    ['engine', 'load events/s', 'Redis p50 / p99 ms', 'GraphQL', 'subscription', 'samples', 'unseen'],
    reports.flatMap(({ engine, freshness }) =>
      freshness.map(({ load, doors, unseen }) => [
        ...[engine, whole(load)],
        ...[doors.redis, doors.graphql, doors.subscription].map(({ p50, p99 }) => `${whole(p50)} / ${whole(p99)}`),
        ...[`${doors.graphql.samples}`, `${unseen}`],
      ]),
    ),
  );
  return `${rates}\n\n${latencies}`;
}

function describeBatch(reports: readonly BatchReport[]): string {
  return table(
    ['rows', 'engine', 'seconds', 'rows/s', ...PROCESSES.map((name) => `${name} CPU ms/row`), 'values'],
    reports.map(({ rows, engine, seconds, rowsPerSecond, cpuMsPerRow, wrong }) => [
      ...[whole(rows), engine, seconds.toFixed(1), whole(rowsPerSecond)],
      ...PROCESSES.map((name) => cost(cpuMsPerRow, name)),
      wrong.length === 0 ? 'right' : `${wrong.length} WRONG`,
    ]),
  );
}

async function main(): Promise<number> {
  const options = readOptions();
  const spark = await sparkEnvironment();
  const pool = await startServers({ only: SERVERS });
  const stream: StreamReport[] = [];
  const batch: BatchReport[] = [];
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => reject(new Error(signal)));
  });
  const on = async <T>(work: (platform: Platform) => Promise<T>): Promise<T> => {
    const platform = await createPlatform('servers');
    try {
      return await Promise.race([work(platform), interrupted]);
    } finally {
      await platform.drop();
    }
  };
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  try {
    for (const name of SERVERS) process.env[endpointVariables[name]] = pool.endpoints[name];
    process.env.FSTORE_TEST_KAFKA_SESSION_TIMEOUT ??= pool.origins.kafka === 'native' ? '2s' : '6s';
    process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1';
    const brokers = pool.endpoints.kafka!.split(',');
    const kafka = new Kafka({ clientId: 'spark-bench', brokers, logLevel: logLevel.NOTHING });
    for (const engine of options.parts.includes('stream') ? options.engines : []) {
      const report = await on((platform) => measureStream(engine, options.stream, platform, spark, kafka));
      say(`stream, ${engine}: ${whole(report.eventsPerSecond)} events/s`);
      stream.push(report);
    }
    for (const rows of options.parts.includes('batch') ? options.rows : []) {
      for (const engine of options.engines) {
        const report = await on((platform) => measureBatch(engine, rows, platform, spark));
        say(`batch, ${engine}: ${whole(rows)} rows in ${report.seconds.toFixed(1)} s`);
        batch.push(report);
      }
    }
    const machine = {
      ...{ cpus: cpus().length, model: cpus()[0]?.model, memoryGb: Math.round(totalmem() / 1e9) },
      ...{ node: process.version, servers: pool.versions },
    };
    const text = [stream.length > 0 ? describeStream(stream) : '', batch.length > 0 ? describeBatch(batch) : ''];
    process.stdout.write(`${text.filter(Boolean).join('\n\n')}\n\n${JSON.stringify(machine)}\n`);
    if (options.json) writeFileSync(options.json, `${JSON.stringify({ machine, options, stream, batch }, null, 2)}\n`);
  } finally {
    await pool.stop();
  }
  const wrong = [...stream, ...batch].flatMap((report) => report.wrong);
  for (const one of wrong.slice(0, 20)) say(`wrong: ${one}`);
  return wrong.length > 0 ? 1 : 0;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${(error as Error).stack}\n`);
    process.exit(1);
  },
);
