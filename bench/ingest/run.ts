/**
 * The costs of the ingest path: Kafka → `fstore worker` → PostgreSQL and Redis → online value, for views of 1, 4 and 12
 * windows.
 *
 *   node --import tsx bench/ingest/run.ts [--quick] [--windows 1,4,12] [--users 10000] [--history 10] [--seconds 20]
 *     [--rate <events/s>] [--profile <folder>] [--main dist/main.js] [--json <file>]
 *
 * README.md beside this file says what is measured and what is not.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { entityKey } from '../../src/definition/entity-key.js';
import { onlineKey, tileKey } from '../../src/store/online-key.js';
import { type RunningProcess, startProcess, whenReady } from '../../test/harness/child-process.js';
import { eventually } from '../../test/harness/eventually.js';
import { startServers } from '../../test/harness/server-pool.js';
import { endpointVariables, type ServerName } from '../../test/harness/test-server.js';
import { apply } from '../../test/system/graphql-door.js';
import { createPlatform, type Platform } from '../../test/system/platform.js';
import { type Freshness, type Latency, measureFreshness } from './freshness.js';
import { type CpuSeconds, cpuSeconds, listenerOf, memoryMb } from './meter.js';
import { PostgresCost, type StatementCost, type TableCost } from './postgres-cost.js';
import { ProducerProcess } from './producer-process.js';
import { describeProfile, type ProfileSummary, summarizeProfile } from './profile.js';
import { findWrong } from './value-check.js';
import {
  definitionsOf,
  describeView,
  eventJson,
  featuresOf,
  HISTORY_SPAN,
  MEASURED,
  type ProducedEvent,
  SOURCE,
  WINDOW_COUNTS,
} from './views.js';

interface Options {
  readonly windows: readonly number[];
  readonly users: number;
  /** Events of each user before the measurement, over the last seven days. */
  readonly history: number;
  readonly seconds: number;
  /** Events a second while saturated; null for 1.5 times the rate at which the worker drained its backlog. */
  readonly rate: number | null;
  readonly profile: string | null;
  readonly main: string;
  readonly json: string | null;
}

/** What the processes did between two samples. */
interface Stretch {
  readonly events: number;
  readonly seconds: number;
  readonly eventsPerSecond: number;
  /** CPU milliseconds of each process for one event. `machine` is the time of all CPUs, including other processes. */
  readonly cpuMsPerEvent: Readonly<Record<string, number>>;
  /** CPUs kept busy by processes that are not part of the bench. */
  readonly othersBusy: number;
}

interface FreshnessAtLoad extends Freshness {
  /** Events a second besides the probes. */
  readonly load: number;
  readonly backlogAtEnd: number;
  /** CPUs kept busy meanwhile, by the worker and by processes that are not part of the bench. */
  readonly workerBusy: number;
  readonly othersBusy: number;
}

interface WindowReport {
  readonly windows: number;
  readonly view: string;
  /** The worker alone works on a backlog: the producer is silent. */
  readonly drain: Stretch;
  /** The producer is faster than the worker, on the same machine. */
  readonly saturated: Stretch & {
    readonly producedPerSecond: number;
    readonly backlogAtEnd: number;
    /** Milliseconds from the last acknowledged event until the values of the last users were right. */
    readonly lastEventOnlineMs: number;
  };
  readonly freshness: readonly FreshnessAtLoad[];
  readonly workerMemoryMb: { readonly now: number; readonly peak: number };
  readonly eventsPerCommit: number | null;
  readonly redisBytesPerUser: { readonly values: number; readonly tiles: number };
  readonly statements: readonly StatementCost[];
  readonly tables: readonly TableCost[];
  readonly profile: ProfileSummary | null;
  readonly check: { readonly users: number; readonly values: number; readonly wrong: readonly string[] };
}

const PROBES = 200;
/** Shares of the sustained rate at which freshness is measured: probes alone, and half the load. */
const FRESHNESS_SHARES = [0, 0.5];
const CHECKED = 200;
const SAMPLE_EVERY = 150;
/** A worker commits four partitions in parallel, 2,000 events each. So progress moves in steps of 8,000 events. */
const MIN_BACKLOG = 50_000;
const SERVERS: readonly ServerName[] = ['redis', 'postgres', 'mongo', 'kafka'];

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      windows: { type: 'string' },
      users: { type: 'string' },
      history: { type: 'string' },
      seconds: { type: 'string' },
      rate: { type: 'string' },
      quick: { type: 'boolean', default: false },
      profile: { type: 'string' },
      main: { type: 'string', default: 'dist/main.js' },
      json: { type: 'string' },
    },
  });
  const { quick } = values;
  const windows = (values.windows ?? WINDOW_COUNTS.join(',')).split(',').map(Number);
  for (const count of windows) describeView(count);
  return {
    windows,
    users: Number(values.users ?? (quick ? 1_000 : 10_000)),
    history: Number(values.history ?? (quick ? 3 : 10)),
    seconds: Number(values.seconds ?? (quick ? 4 : 20)),
    rate: values.rate === undefined ? null : Number(values.rate),
    profile: values.profile === undefined ? null : resolve(values.profile),
    main: resolve(values.main),
    json: values.json ?? null,
  };
}

interface Sample {
  readonly at: number;
  /** Events that the worker's consumer group has committed. */
  readonly committed: number;
  readonly cpu: CpuSeconds;
}

/** One measured system: the two FStore processes on the servers, and the producer. */
class Road {
  readonly #options: Options;
  readonly #platform: Platform;
  readonly #admin: Admin;
  readonly #group: string;
  readonly topic: string;
  readonly producer: ProducerProcess;
  readonly #servers: Readonly<Record<string, number | null>>;
  #started = 0;
  #serve: RunningProcess | null = null;
  #worker: RunningProcess | null = null;
  /** The log of a worker that ended by itself. */
  #ended: string | null = null;
  url = '';

  constructor(options: Options, platform: Platform, admin: Admin) {
    const { project, environment } = platform;
    this.#options = options;
    this.#platform = platform;
    this.#admin = admin;
    this.topic = `${project}.${SOURCE}`;
    this.#group = `fstore.${project}.${SOURCE}`;
    const portOf = (address: string): number | null =>
      listenerOf(Number(/:(\d+)(?:\D|$)/.exec(address.replace(/^\w+:\/\/(?:[^@/]*@)?/, ''))?.[1]));
    this.#servers = {
      postgres: portOf(environment.FSTORE_POSTGRES_URL!),
      redis: portOf(environment.FSTORE_REDIS_URL!),
      kafka: portOf(environment.FSTORE_KAFKA_BROKERS!),
      mongo: portOf(environment.FSTORE_MONGO_URL!),
    };
    this.producer = new ProducerProcess(environment.FSTORE_KAFKA_BROKERS!.split(','), this.topic, options.users);
  }

  get workerPid(): number {
    return this.#worker!.pid;
  }

  async startServe(): Promise<void> {
    this.#serve = this.#start(['serve', '--without-worker']);
    this.url = await whenReady(this.#serve, async () => {
      const address = /^GraphQL +(http:\S+)\/graphql$/m.exec(this.#serve!.logTail(10_000))?.[1];
      if (!address) throw new Error('it has not announced itself yet');
      return address;
    });
  }

  /** Starts the worker without waiting for it. With a folder, profiles its CPU. */
  startWorker(profile: string | null = null): void {
    const profiling = ['--cpu-prof', '--cpu-prof-interval=500', `--cpu-prof-dir=${profile}`];
    this.#worker = this.#start(['worker'], profile === null ? [] : profiling);
    this.#ended = null;
    const worker = this.#worker;
    void worker.exited.then(() => {
      if (this.#worker === worker) this.#ended = worker.logTail();
    });
  }

  async stopWorker(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    await worker?.stop();
  }

  async stop(): Promise<void> {
    this.producer.stop();
    await Promise.all([this.#worker?.stop(), this.#serve?.stop()]);
  }

  async sample(): Promise<Sample> {
    const offsets = await this.#admin.fetchOffsets({ groupId: this.#group, topics: [this.topic] });
    const committed = (offsets[0]?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
    const roots = { worker: this.#worker?.pid ?? null, serve: this.#serve?.pid ?? null, producer: this.producer.pid };
    return { at: Date.now(), committed, cpu: cpuSeconds({ ...roots, ...this.#servers, bench: process.pid }) };
  }

  /** Waits until the worker's group has committed `total` events, and samples its progress. */
  async until(total: number, timeoutSeconds: number): Promise<Sample[]> {
    const samples: Sample[] = [];
    for (const deadline = Date.now() + timeoutSeconds * 1000; ; await delay(SAMPLE_EVERY)) {
      const sample = await this.sample();
      samples.push(sample);
      if (sample.committed >= total) return samples;
      if (this.#ended !== null) throw new Error(`the worker has ended\n${this.#ended}`);
      if (Date.now() < deadline) continue;
      const tail = this.#worker?.logTail() ?? '';
      throw new Error(`${sample.committed} of ${total} events were processed in ${timeoutSeconds} s\n${tail}`);
    }
  }

  #start(arguments_: readonly string[], node: readonly string[] = []): RunningProcess {
    this.#started += 1;
    return startProcess(process.execPath, [...node, this.#options.main, ...arguments_], {
      env: { ...this.#platform.environment, FSTORE_LOG_LEVEL: 'warn' },
      logFile: join(this.#platform.folder, `ingest-${this.#started}.log`),
    });
  }
}

/** Returns the CPU seconds between two samples, by process, and those of processes that are not part of the bench. */
function spentBetween(first: Sample, last: Sample): { seconds: number; cpu: CpuSeconds; others: number } {
  const spent = Object.entries(last.cpu)
    .filter(([name]) => first.cpu[name] !== undefined)
    .map(([name, value]) => [name, value - first.cpu[name]!] as const);
  const cpu = Object.fromEntries(spent);
  const ours = spent.reduce((sum, [name, value]) => (name === 'machine' ? sum : sum + value), 0);
  return { seconds: (last.at - first.at) / 1000, cpu, others: (cpu.machine ?? 0) - ours };
}

/** Summarizes the time between the first and the last step that the group made within these samples. */
function stretchOf(samples: readonly Sample[]): Stretch {
  const steps = samples.filter((one, index) => index > 0 && one.committed !== samples[index - 1]!.committed);
  const [first, last] = [steps[0], steps.at(-1)];
  if (!first || !last || first === last) throw new Error('too few commits to measure: take more --seconds');
  const events = last.committed - first.committed;
  const { seconds, cpu, others } = spentBetween(first, last);
  return {
    events,
    seconds,
    eventsPerSecond: events / seconds,
    cpuMsPerEvent: Object.fromEntries(Object.entries(cpu).map(([name, value]) => [name, (value * 1000) / events])),
    othersBusy: others / seconds,
  };
}

async function redisBytes(
  redisUrl: string,
  project: string,
  users: number,
): Promise<{ values: number; tiles: number }> {
  const redis = new Redis(redisUrl);
  try {
    const mean = async (keyOf: typeof onlineKey): Promise<number> => {
      const sizes = await Promise.all(
        Array.from({ length: Math.min(users, 100) }, (_, user) =>
          redis.memory('USAGE', keyOf(project, MEASURED, entityKey([`u${user}`]))),
        ),
      );
      const known = sizes.filter((size): size is number => typeof size === 'number');
      return known.reduce((sum, size) => sum + size, 0) / known.length;
    };
    return { values: await mean(onlineKey), tiles: await mean(tileKey) };
  } finally {
    redis.disconnect();
  }
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function measure(windows: number, options: Options, platform: Platform, kafka: Kafka): Promise<WindowReport> {
  const { users, history, seconds } = options;
  const admin = kafka.admin();
  await admin.connect();
  const road = new Road(options, platform, admin);
  const probes = kafka.producer({ allowAutoTopicCreation: false });
  const cost = await PostgresCost.open(platform.environment.FSTORE_POSTGRES_URL!);
  const probeUsers = Array.from({ length: PROBES }, (_, index) => `probe${index}`);
  const probeEvents: ProducedEvent[] = [];
  try {
    await road.startServe();
    await apply(road.url, definitionsOf(windows));
    road.startWorker();
    let total = users * history;
    note(`${windows} windows: ${total} events of history`);
    // The worker creates the topic.
    await eventually(async () => {
      if (!(await admin.listTopics()).includes(road.topic)) throw new Error('there is no topic yet');
    });
    await road.producer.produce({ count: total, rate: null, spread: HISTORY_SPAN });
    const preload = await road.until(total, 600);
    const pace = total / ((preload.at(-1)!.at - preload[0]!.at) / 1000);
    note(`  taken in at ${pace.toFixed(0)} events/s`);

    await road.stopWorker();
    const backlog = Math.max(MIN_BACKLOG, Math.ceil(pace * seconds));
    await road.producer.produce({ count: backlog, rate: null, spread: 0 });
    if (options.profile) mkdirSync(join(options.profile, `${windows}`), { recursive: true });
    await cost.reset();
    road.startWorker(options.profile && join(options.profile, `${windows}`));
    const draining = await road.until(total + backlog, 600);
    // The steady part: without the start of the process, and without the end, when partitions run dry one after the
    // other.
    const drain = stretchOf(
      draining.filter(({ committed }) => committed >= total + backlog * 0.15 && committed <= total + backlog * 0.9),
    );
    total += backlog;
    note(`  drained at ${drain.eventsPerSecond.toFixed(0)} events/s`);
    // Read them while they still are the statements of a saturated worker.
    const statements = await cost.statements(12).catch(() => []);

    const rate = options.rate ?? Math.ceil(drain.eventsPerSecond * 1.5);
    const count = rate * seconds;
    const samples: Sample[] = [];
    let producing = true;
    const watching = (async () => {
      for (; producing; await delay(SAMPLE_EVERY)) samples.push(await road.sample());
    })();
    const produced = await road.producer.produce({ count, rate, spread: 0 });
    producing = false;
    await watching;
    const warm = produced.startedAt + (produced.endedAt - produced.startedAt) * 0.2;
    const steady = stretchOf(samples.filter(({ at }) => at >= warm));
    total += count;
    const backlogAtEnd = total - samples.at(-1)!.committed;
    const workerMemoryMb = memoryMb(road.workerPid);
    await road.until(total, 600);
    const events = await road.producer.events(platform.folder);
    const last = [...new Set(produced.lastUsers)];
    await eventually(
      async () => {
        const wrong = await findWrong(road.url, windows, last, events);
        if (wrong.length > 0) throw new Error(`not online: ${wrong.slice(0, 3).join('; ')}`);
      },
      { timeoutMs: 30_000, everyMs: 10 },
    );
    const saturated = {
      ...steady,
      producedPerSecond: count / ((produced.endedAt - produced.startedAt) / 1000),
      backlogAtEnd,
      lastEventOnlineMs: Date.now() - produced.endedAt,
    };
    note(`  saturated: ${steady.eventsPerSecond.toFixed(0)} events/s, backlog ${backlogAtEnd}`);

    let profile: ProfileSummary | null = null;
    if (options.profile) {
      const folder = join(options.profile, `${windows}`);
      await road.stopWorker();
      const file = readdirSync(folder).find((name) => name.endsWith('.cpuprofile'));
      if (!file) throw new Error('the worker has left no profile');
      profile = summarizeProfile(join(folder, file), 30);
      road.startWorker();
    }

    await probes.connect();
    for (const user of probeUsers) probeEvents.push({ user, amount: 1, eventTime: Date.now() });
    const first = probeEvents.map((event, index) => ({ key: event.user, value: eventJson(event, index) }));
    await probes.send({ topic: road.topic, messages: first });
    total += probeEvents.length;
    await road.until(total, 60);
    const freshness: FreshnessAtLoad[] = [];
    for (const share of FRESHNESS_SHARES) {
      const load = Math.floor(steady.eventsPerSecond * share);
      // Longer than the probes: the load begins two seconds before them and lasts until they end.
      const loaded = load * (seconds + 5);
      const loading = road.producer.produce({ count: loaded, rate: load, spread: 0 });
      // The rejection is handled at `await loading` below; this prevents it from counting as unhandled until then.
      loading.catch(() => {});
      await delay(2_000);
      const sentBefore = probeEvents.length;
      const before = await road.sample();
      const seen = await measureFreshness(
        {
          ...{ project: platform.project, url: road.url, redisUrl: platform.environment.FSTORE_REDIS_URL! },
          ...{ producer: probes, topic: road.topic, users: probeUsers, seconds, perSecond: 20 },
        },
        probeEvents,
      );
      const { seconds: lasted, cpu, others } = spentBetween(before, await road.sample());
      await loading;
      total += loaded + probeEvents.length - sentBefore;
      const lag = total - (await road.sample()).committed;
      const busy = { workerBusy: (cpu.worker ?? 0) / lasted, othersBusy: others / lasted };
      freshness.push({ ...seen, load, backlogAtEnd: lag, ...busy });
      note(`  fresh at ${load} events/s: GraphQL p50 ${seen.doors.graphql.p50} ms, p99 ${seen.doors.graphql.p99} ms`);
      await road.until(total, 300);
    }

    const all = [...events, ...(await road.producer.events(platform.folder)), ...probeEvents];
    if (all.length !== total) throw new Error(`${total} events were produced, ${all.length} are remembered`);
    const chosen = Array.from({ length: CHECKED }, () => `u${Math.floor(Math.random() * users)}`);
    const checked = [...new Set([...chosen, ...probeUsers.slice(0, 20)])];
    let wrong: string[] = [];
    // The group's offset is committed after the values are online, but a worker that has just refreshed may need a
    // moment.
    await eventually(
      async () => {
        wrong = await findWrong(road.url, windows, checked, all);
        if (wrong.length > 0) throw new Error('values differ');
      },
      { timeoutMs: 5_000 },
    ).catch(() => {});

    const commits = statements.find(({ query }) => /UPDATE \S+consumed_offsets/.test(query))?.calls;
    return {
      windows,
      view: describeView(windows),
      drain,
      saturated,
      freshness,
      workerMemoryMb,
      eventsPerCommit: commits ? backlog / commits : null,
      redisBytesPerUser: await redisBytes(platform.environment.FSTORE_REDIS_URL!, platform.project, users),
      statements,
      tables: await cost.tables(),
      profile,
      check: { users: checked.length, values: checked.length * featuresOf(windows).length, wrong },
    };
  } finally {
    await road.stop();
    await probes.disconnect();
    await cost.close();
    const topics = (await admin.listTopics()).filter((name) => name.includes(platform.project));
    await admin.deleteTopics({ topics }).catch(() => {});
    await admin.disconnect();
  }
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}

function describe(reports: readonly WindowReport[]): string {
  const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
  const latency = ({ p50, p99 }: Latency): string => `${whole(p50)} / ${whole(p99)}`;
  const cpu = ({ cpuMsPerEvent }: Stretch, name: string): string => cpuMsPerEvent[name]?.toFixed(3) ?? '?';
  const processes = ['worker', 'postgres', 'redis', 'kafka', 'serve', 'producer', 'bench'];
  return [
    ...reports.map(({ windows, view }) => `${windows} windows: ${view}`),
    '',
    table(
      [
        'windows',
        'drained events/s',
        'sustained events/s',
        'backlog at end',
        'last online after',
        'worker MB now / peak',
        'events a commit',
        'check',
      ],
      reports.map((one) => [
        ...[`${one.windows}`, whole(one.drain.eventsPerSecond), whole(one.saturated.eventsPerSecond)],
        ...[whole(one.saturated.backlogAtEnd), `${whole(one.saturated.lastEventOnlineMs)} ms`],
        `${one.workerMemoryMb.now} / ${one.workerMemoryMb.peak}`,
        one.eventsPerCommit === null ? '?' : whole(one.eventsPerCommit),
        one.check.wrong.length === 0 ? `${one.check.values} values right` : `${one.check.wrong.length} WRONG`,
      ]),
    ),
    '',
    'CPU milliseconds an event, with a backlog and a silent producer | while the producer saturates',
    table(
      ['windows', ...processes, 'others busy (CPUs)'],
      reports.flatMap(({ windows, drain, saturated }) => [
        [`${windows} drain`, ...processes.map((name) => cpu(drain, name)), drain.othersBusy.toFixed(2)],
        [`${windows} saturated`, ...processes.map((name) => cpu(saturated, name)), saturated.othersBusy.toFixed(2)],
      ]),
    ),
    '',
    'Freshness with probes alone and at half the sustained rate, ms from produce, p50 / p99',
    table(
      [
        'windows',
        'load events/s',
        'Kafka has it',
        'Redis',
        'GraphQL',
        'subscription',
        'samples',
        'unseen',
        'backlog at end',
        'worker busy (CPUs)',
        'others busy (CPUs)',
      ],
      reports.flatMap(({ windows, freshness: loads }) =>
        loads.map((freshness) => [
          ...[`${windows}`, whole(freshness.load), latency(freshness.acknowledged), latency(freshness.doors.redis)],
          ...[latency(freshness.doors.graphql), latency(freshness.doors.subscription)],
          ...[`${freshness.doors.redis.samples}`, `${freshness.unseen}`, whole(freshness.backlogAtEnd)],
          ...[freshness.workerBusy.toFixed(2), freshness.othersBusy.toFixed(2)],
        ]),
      ),
    ),
    ...reports.flatMap(({ windows, statements, tables, redisBytesPerUser, profile }) => [
      '',
      `${windows} windows: Redis bytes a user: values ${whole(redisBytesPerUser.values)}, tiles ${whole(redisBytesPerUser.tiles)}`,
      'Statements while the backlog was drained',
      ...statements.map(
        (one) =>
          `  ${(one.share * 100).toFixed(1).padStart(5)} %  ${one.meanMs.toFixed(2).padStart(8)} ms × ${one.calls}, ${one.rowsPerCall.toFixed(0)} rows, ${one.walKbPerCall.toFixed(0)} kB WAL  ${one.query.slice(0, 110)}`,
      ),
      'Tables at the end',
      ...tables.map(
        (one) =>
          `  ${one.megabytes.toFixed(1).padStart(7)} MB  ${one.table}: ${one.rows} rows, ${one.inserted} inserted, ${one.updated} updated, HOT ${one.hotShare === null ? '–' : `${(one.hotShare * 100).toFixed(0)} %`}`,
      ),
      ...(profile ? ['The worker (drain and saturation)', describeProfile(profile)] : []),
    ]),
    '',
  ].join('\n');
}

async function main(): Promise<number> {
  const options = readOptions();
  const pool = await startServers({ only: SERVERS });
  const reports: WindowReport[] = [];
  // The servers end with this process, but databases must be dropped before that.
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => reject(new Error(signal)));
  });
  try {
    for (const name of SERVERS) process.env[endpointVariables[name]] = pool.endpoints[name];
    if (pool.origins.kafka === 'native') process.env.FSTORE_TEST_KAFKA_SESSION_TIMEOUT ??= '2s';
    process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1';
    const kafka = new Kafka({
      clientId: 'ingest-bench',
      brokers: pool.endpoints.kafka!.split(','),
      logLevel: logLevel.NOTHING,
    });
    let settings: Record<string, string> = {};
    for (const windows of options.windows) {
      const platform = await createPlatform('servers');
      try {
        const cost = await PostgresCost.open(platform.environment.FSTORE_POSTGRES_URL!);
        settings = await cost.settings();
        await cost.close();
        reports.push(await Promise.race([measure(windows, options, platform, kafka), interrupted]));
      } finally {
        await platform.drop();
      }
    }
    const machine = {
      ...{
        cpus: cpus().length,
        model: cpus()[0]?.model,
        memoryGb: Math.round(totalmem() / 1e9),
        node: process.version,
      },
      ...{ servers: pool.versions, origins: pool.origins, postgres: settings },
    };
    process.stdout.write(`${describe(reports)}\n${JSON.stringify(machine)}\n`);
    const { main: _, profile: __, json: ___, ...shown } = options;
    if (options.json) writeFileSync(options.json, `${JSON.stringify({ machine, options: shown, reports }, null, 2)}\n`);
  } finally {
    await pool.stop();
  }
  const wrong = reports.flatMap(({ check }) => check.wrong);
  for (const one of wrong.slice(0, 20)) note(`wrong: ${one}`);
  return wrong.length > 0 ? 1 : 0;
}

main().then(
  (code) => process.exit(code),
  (failure) => {
    process.stderr.write(`${failure instanceof Error ? failure.stack : String(failure)}\n`);
    process.exit(1);
  },
);
