/**
 * Runs the job in `spark/` with spark-submit, in a process group of its own for each run.
 *
 * A Spark driver that outlives this process does no harm. It cannot seal anything once another run has begun; it
 * notices that and ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { EngineDriver, EngineEnd, EngineWord } from './engine-driver.js';
import type { EnginePlan } from './engine-plan.js';
import { isFrame } from './log-tail.js';
import { READ_VARIABLE, SINK_VARIABLE } from './table-input.js';

/** Where Spark is and how to run it. */
export interface SparkOptions {
  /** Folder of Spark, which contains bin/spark-submit. */
  readonly home: string;
  /** The Python interpreter of driver and executors; null for Spark's default. */
  readonly python: string | null;
  readonly master: string;
  /** Jars of the Kafka connector and of JDBC drivers. */
  readonly jars: readonly string[];
  /** Spark settings, which override those of FStore. */
  readonly settings: Readonly<Record<string, string>>;
  /** Folder for plans and logs. */
  readonly folder: string;
  /** URL of PostgreSQL as executors reach it. */
  readonly sinkUrl: string;
  /** The same with the read login; null: no query is read from it. */
  readonly readUrl: string | null;
}

const JOB = fileURLToPath(new URL('../../spark/fstore_job.py', import.meta.url));
/** Exit code of a run that another run has replaced; `spark/fstore_spark/job.py` uses the same. */
const FENCED = 75;
/** How long a run may take to stop by itself, in milliseconds. */
const GRACE = 10_000;
/** A password in a database URL. */
const IN_ADDRESS = /(\b(?:password|pwd)=)[^&;\s"']+/gi;
const JDBC_SECRET = /^FSTORE_JDBC_[A-Z0-9_]+_PASSWORD$/;

/** Settings for a single machine. Those of a cluster come from its own configuration and from `settings`. */
const LOCAL_SETTINGS: Readonly<Record<string, string>> = {
  'spark.driver.memory': '768m',
  'spark.driver.host': '127.0.0.1',
  'spark.driver.bindAddress': '127.0.0.1',
  'spark.sql.shuffle.partitions': '2',
};
const SETTINGS: Readonly<Record<string, string>> = {
  'spark.ui.enabled': 'false',
  'spark.sql.session.timeZone': 'UTC',
  // JDBC drivers interpret times without a zone in the default zone of Java.
  'spark.driver.extraJavaOptions': '-Duser.timezone=UTC',
  'spark.executor.extraJavaOptions': '-Duser.timezone=UTC',
  // An expression that a query cannot compute is null, because one odd event must not block all later ones.
  'spark.sql.ansi.enabled': 'false',
  // A query may read events and declared sources, but no files by path and no environment variables.
  'spark.sql.runSQLOnFiles': 'false',
  'spark.sql.variable.substitute': 'false',
};

/** Returns the Spark driver. It starts nothing before a run. */
export function createSparkDriver(options: SparkOptions): EngineDriver {
  return { run: (plan, signal, hear) => runSubmit(options, plan, signal, hear) };
}

async function runSubmit(
  options: SparkOptions,
  plan: EnginePlan,
  signal: AbortSignal,
  hear: (word: EngineWord) => void,
): Promise<EngineEnd> {
  const { home, folder, jars } = options;
  await mkdir(folder, { recursive: true });
  const title = plan.mode === 'trainingSet' ? plan.name : plan.stream;
  const epoch = plan.mode === 'trainingSet' ? '' : `-${plan.epoch}`;
  const name = `${title.replaceAll(/[^A-Za-z0-9._-]/g, '_')}${epoch}`;
  const planFile = join(folder, `${name}.plan.json`);
  const logFile = join(folder, `${name}.log`);
  await writeFile(planFile, JSON.stringify(plan), { mode: 0o600 });
  const settings = {
    ...SETTINGS,
    ...(options.master.startsWith('local') ? LOCAL_SETTINGS : {}),
    ...options.settings,
  };
  const child = spawn(
    join(home, 'bin', 'spark-submit'),
    [
      ...['--master', options.master, '--name', `fstore ${plan.sink.schema} ${title}`],
      ...(jars.length > 0 ? ['--jars', jars.join(','), '--driver-class-path', jars.join(delimiter)] : []),
      ...Object.entries(settings).flatMap(([key, value]) => ['--conf', `${key}=${value}`]),
      ...[JOB, '--plan', planFile],
    ],
    { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: environmentOf(options) },
  );
  return new Promise((resolve) => {
    const settle = (end: EngineEnd): void => void rm(planFile, { force: true }).finally(() => resolve(end));
    new SubmittedRun({ child, logFile, signal, hear, hide: hiderOf(options), settle }).follow();
  });
}

function environmentOf({ home, python, master, sinkUrl, readUrl }: SparkOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    SPARK_HOME: home,
    [SINK_VARIABLE]: sinkUrl,
    ...(readUrl === null ? {} : { [READ_VARIABLE]: readUrl }),
    ...(python ? { PYSPARK_PYTHON: python, PYSPARK_DRIVER_PYTHON: python } : {}),
    ...(master.startsWith('local') ? { SPARK_LOCAL_IP: '127.0.0.1' } : {}),
  };
}

/** Returns a function that removes the passwords of a run from its messages. */
function hiderOf({ sinkUrl, readUrl }: SparkOptions): (text: string) => string {
  const passwords = [sinkUrl, ...(readUrl === null ? [] : [readUrl])].map((url) => new URL(url).password);
  const given = Object.entries(process.env).flatMap(([name, value]) =>
    JDBC_SECRET.test(name) && value ? [value] : [],
  );
  const secrets = [...passwords, ...passwords.map(decodeURIComponent), ...given].filter((secret) => secret !== '');
  return (text) =>
    secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text.replaceAll(IN_ADDRESS, '$1***'));
}

/** A line of a run's standard output. */
interface Told {
  readonly event: string;
  readonly code?: string;
  readonly message?: string;
  readonly field?: string | null;
  readonly rows?: number;
  readonly note?: string;
}

interface FollowOptions {
  readonly child: ChildProcess;
  readonly logFile: string;
  readonly signal: AbortSignal;
  readonly hear: (word: EngineWord) => void;
  readonly hide: (text: string) => string;
  readonly settle: (end: EngineEnd) => void;
}

class SubmittedRun {
  readonly #options: FollowOptions;
  readonly #child: ChildProcess;
  #lastLine = '';
  #lastWord: Told | null = null;
  #force: NodeJS.Timeout | null = null;

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#child = options.child;
  }

  follow(): void {
    const { child, signal, logFile, hear, hide, settle } = this.#options;
    const log = createWriteStream(logFile, { mode: 0o600 });
    const stop = (): void => this.#stop();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    createInterface({ input: child.stdout! }).on('line', (line) => this.#read(line));
    createInterface({ input: child.stderr! }).on('line', (written) => {
      const line = hide(written);
      log.write(`${line}\n`);
      hear({ line });
      if (!isFrame(line)) this.#lastLine = line;
    });
    child.on('error', (error) => {
      this.#lastLine = error.message;
    });
    child.on('close', (code) => {
      signal.removeEventListener('abort', stop);
      if (this.#force) clearTimeout(this.#force);
      // Child processes of the driver may outlive it if it was killed.
      this.#kill('SIGKILL');
      log.end();
      settle(this.#endOf(code));
    });
  }

  #read(line: string): void {
    let told: Told | null;
    try {
      told = JSON.parse(line) as Told | null;
    } catch {
      // Spark itself writes to standard output too; ignore such lines.
      return;
    }
    if (told?.event === 'fenced' || told?.event === 'failed') this.#lastWord = told;
    if (told?.event === 'refused') this.#options.hear({ refused: told.message ?? '' });
    if (told?.event !== 'progress') return;
    const note = told.note ?? '';
    this.#options.hear({ progress: { done: told.rows ?? 0, total: null, note } });
  }

  #stop(): void {
    this.#kill('SIGTERM');
    this.#force ??= setTimeout(() => this.#kill('SIGKILL'), GRACE);
  }

  #kill(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // The process group no longer exists.
    }
  }

  #endOf(code: number | null): EngineEnd {
    const told = this.#lastWord;
    if (told?.event === 'fenced' || code === FENCED) return { outcome: 'fenced' };
    if (this.#options.signal.aborted) return { outcome: 'stopped' };
    return {
      outcome: 'failed',
      code: told?.code ?? 'SPARK_FAILED',
      message: this.#options.hide(told?.message ?? (this.#lastLine || `spark-submit ended with ${code}`)),
      field: told?.field ?? null,
      log: this.#options.logFile,
    };
  }
}
