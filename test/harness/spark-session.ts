/** An engine driver for tests. Its runs share one Spark, because starting Spark takes as long as twenty runs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { EngineDriver, EngineEnd } from '../../src/materialization/engine-driver.js';
import { SINK_VARIABLE } from '../../src/materialization/table-input.js';
import { repositoryRoot } from './server-cache.js';
import { sparkEnvironment } from './spark-home.js';

interface Ended {
  readonly event: string;
  readonly code?: string;
  readonly message?: string;
  readonly field?: string | null;
}

/** A started Spark that executes plans. */
export interface SparkSession extends EngineDriver {
  close(): Promise<void>;
}

const SETTINGS = [
  'spark.ui.enabled=false',
  'spark.sql.session.timeZone=UTC',
  'spark.driver.extraJavaOptions=-Duser.timezone=UTC',
  'spark.driver.memory=768m',
  'spark.driver.host=127.0.0.1',
  'spark.driver.bindAddress=127.0.0.1',
  'spark.sql.shuffle.partitions=2',
];

/**
 * Starts Spark. `sinkUrl` is the PostgreSQL that it writes to; `environment` holds further variables that plans name.
 * Runs execute one after the other.
 */
export async function startSparkSession(
  sinkUrl: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<SparkSession> {
  const spark = await sparkEnvironment();
  const folder = await mkdtemp(join(tmpdir(), 'fstore-spark-'));
  const { FSTORE_SPARK_HOME: home = '', FSTORE_SPARK_PYTHON: python = '', FSTORE_SPARK_JARS: jars = '' } = spark;
  // Started by Python instead of spark-submit, which would consume standard input itself.
  const submit = [
    ...['--master', 'local[2]', '--jars', jars, '--driver-class-path', jars.split(',').join(delimiter)],
    ...SETTINGS.flatMap((setting) => ['--conf', setting]),
    'pyspark-shell',
  ];
  const harness = join(repositoryRoot, 'test', 'harness', 'spark_session.py');
  const child = spawn(python, [harness, join(repositoryRoot, 'spark')], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ...spark,
      ...environment,
      SPARK_HOME: home,
      PYSPARK_PYTHON: python,
      PYSPARK_DRIVER_PYTHON: python,
      PYSPARK_SUBMIT_ARGS: submit.join(' '),
      SPARK_LOCAL_IP: '127.0.0.1',
      PYTHONDONTWRITEBYTECODE: '1',
      [SINK_VARIABLE]: sinkUrl,
    },
  });
  const log = join(folder, 'spark.log');
  child.stderr.pipe(createWriteStream(log));
  let settle: (end: EngineEnd) => void = () => {};
  const started = new Promise<EngineEnd>((resolve) => {
    settle = resolve;
  });
  let hear: Parameters<EngineDriver['run']>[2] = () => {};
  const failed = ({ code = 'SPARK_FAILED', message = 'Spark has ended', field = null }: Partial<Ended>): EngineEnd => {
    return { outcome: 'failed', code, message, field, log };
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('{')) return;
    const told = JSON.parse(line) as Ended & { rows?: number; note?: string };
    if (told.event === 'progress') {
      hear({ progress: { done: told.rows ?? 0, total: null, note: told.note ?? '' } });
    } else if (told.event === 'fenced') settle({ outcome: 'fenced' });
    else if (told.event === 'done') settle({ outcome: 'stopped' });
    else if (told.event === 'failed') settle(failed(told));
  });
  child.on('close', () => settle(failed({})));
  if ((await started).outcome === 'failed') throw new Error(`Spark does not start: ${log}`);
  let count = 0;
  let last: Promise<unknown> = Promise.resolve();
  const run: EngineDriver['run'] = (plan, _, listener) => {
    const ended = last.then(async () => {
      count += 1;
      const file = join(folder, `${count}.json`);
      await writeFile(file, JSON.stringify(plan));
      hear = listener;
      return new Promise<EngineEnd>((resolve) => {
        settle = resolve;
        if (child.exitCode !== null) settle(failed({}));
        else child.stdin.write(`${file}\n`);
      });
    });
    last = ended;
    return ended;
  };
  return { run, close: () => close(child, folder) };
}

async function close(child: ChildProcess, folder: string): Promise<void> {
  const ended = new Promise((resolve) => child.once('close', resolve));
  if (child.exitCode === null && child.pid) {
    process.kill(-child.pid, 'SIGKILL');
    await ended;
  }
  await rm(folder, { recursive: true, force: true });
}
