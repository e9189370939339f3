/**
 * Subscriptions on one API process: how many of 1,000 updates a second arrive, how late, and at what cost.
 *
 *   node --import tsx bench/scale/subscriptions.ts [--subscriptions 100,1000,10000] [--rate 1000] [--seconds 20]
 *     [--devices 1000] [--out subscriptions.json]
 *
 * README.md beside this file says what is measured. Needs a build (`npm run build`).
 */
import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import { eventually } from '../../test/harness/eventually.js';
import { deviceId, TICK_DEFINITIONS, tickOf } from '../../test/harness/subscription-fleet.js';
import { apply } from '../../test/system/graphql-door.js';
import { createPlatform, type Platform } from '../../test/system/platform.js';
import { memoryMb } from '../ingest/meter.js';
import { CpuClock } from '../measure/cpu-clock.js';
import { drawLines } from '../measure/line-chart.js';
import { short, table, whole } from '../measure/markdown.js';
import type { FleetOrder, FleetReport } from './subscriber-process.js';
import { machineOf, report, say, withServers } from './world.js';

interface Settings {
  readonly rate: number;
  readonly seconds: number;
  readonly devices: number;
  readonly brokers: readonly string[];
}

interface SubscriptionsReport extends Pick<FleetReport, 'faults' | 'latency'> {
  readonly subscriptions: number;
  readonly sockets: number;
  /** Updates that were sent, and values that subscribers would have received if each update were delivered. */
  readonly sent: number;
  readonly due: number;
  readonly received: number;
  /** Milliseconds from the last update until every subscriber had the newest value of all its devices. */
  readonly settled: number;
  /** CPUs kept busy. */
  readonly serverCores: number;
  readonly workerCores: number;
  readonly fleetCores: number;
  /** RSS of the API process, once a second, in megabytes. */
  readonly resident: readonly number[];
  readonly openMs: number;
}

/** With more subscriptions than this, each socket carries several. */
const MAX_SOCKETS = 500;
const TICK_MS = 10;
const SETTLE_MS = 120_000;

class FleetProcess {
  readonly #child: ChildProcess;

  constructor() {
    const file = fileURLToPath(new URL('subscriber-process.ts', import.meta.url));
    // JSON would turn NaN into null.
    this.#child = fork(file, { execArgv: ['--import', 'tsx'], serialization: 'advanced' });
  }

  tell(order: FleetOrder): Promise<FleetReport | null> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error('the subscribers have ended'));
      this.#child.once('exit', onExit);
      this.#child.once('message', ({ answer, error }: { answer: FleetReport | null; error?: string }) => {
        this.#child.off('exit', onExit);
        if (error) reject(new Error(error));
        else resolve(answer);
      });
      this.#child.send(order);
    });
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }
}

/** Sends updates to the bus like an external producer: one device after the other, evenly over time. */
async function produce(
  topic: string,
  { rate, seconds, devices, brokers }: Settings,
  newest: Map<string, number>,
): Promise<number> {
  const kafka = new Kafka({ clientId: 'scale-bench', brokers: [...brokers], logLevel: logLevel.ERROR });
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  const since = performance.now();
  let sent = 0;
  while (sent < rate * seconds) {
    const due = Math.min(rate * seconds, Math.floor((rate * (performance.now() - since)) / 1_000));
    const messages = Array.from({ length: due - sent }, (_, index) => {
      const device = (sent + index) % devices;
      const n = (newest.get(deviceId(device)) ?? 0) + 1;
      newest.set(deviceId(device), n);
      return { key: deviceId(device), value: JSON.stringify(tickOf(device, n, Date.now())) };
    });
    sent = due;
    if (messages.length > 0) await producer.send({ topic, messages });
    await delay(TICK_MS);
  }
  await producer.disconnect();
  return sent;
}

async function measure(
  subscriptions: number,
  settings: Settings,
  keep: (platform: Platform) => void,
): Promise<SubscriptionsReport> {
  const platform = await createPlatform('servers');
  keep(platform);
  const server = await platform.start({ arguments: ['serve', '--without-worker'] });
  const worker = await platform.start({ arguments: ['worker'] });
  await apply(server.url, TICK_DEFINITIONS);
  const topic = `${platform.project}.ticks`;
  const newest = new Map<string, number>();
  // After this the worker owns its partitions, and all code has run once.
  await produce(topic, { ...settings, seconds: 2 }, newest);
  const fleet = new FleetProcess();
  try {
    const { devices } = settings;
    const sockets = Math.min(subscriptions, MAX_SOCKETS);
    const opening = performance.now();
    await fleet.tell({ kind: 'open', url: server.url, subscriptions, sockets, devices });
    const openMs = performance.now() - opening;
    await produce(topic, { ...settings, seconds: 3 }, newest);
    await allNewest(fleet, newest);
    await fleet.tell({ kind: 'measure' });
    const clock = new CpuClock({ server: server.process.pid, worker: worker.process.pid });
    const before = clock.read();
    const resident: number[] = [];
    const sample = setInterval(() => resident.push(memoryMb(server.process.pid).now), 1_000);
    const since = performance.now();
    const sent = await produce(topic, settings, newest);
    const elapsed = (performance.now() - since) / 1_000;
    const cpu = CpuClock.between(before, clock.read());
    const atEnd = await fleet.tell({ kind: 'report', newest: [...newest] });
    const settling = performance.now();
    const last = await allNewest(fleet, newest);
    const settled = performance.now() - settling;
    clearInterval(sample);
    await fleet.tell({ kind: 'close' });
    const found = {
      ...{ subscriptions, sockets, sent, due: dueOf(subscriptions, settings, sent), received: last.received, settled },
      ...{ latency: last.latency, faults: last.faults, resident, openMs },
      serverCores: (cpu.server ?? 0) / elapsed,
      workerCores: (cpu.worker ?? 0) / elapsed,
      fleetCores: atEnd!.cpu / elapsed,
    };
    say(JSON.stringify(found));
    return found;
  } finally {
    fleet.stop();
    await server.process.stop();
    await worker.process.stop();
  }
}

/** Resolves when every subscriber has the newest value of all its devices. */
function allNewest(fleet: FleetProcess, newest: ReadonlyMap<string, number>): Promise<FleetReport> {
  return eventually(
    async () => {
      const found = await fleet.tell({ kind: 'report', newest: [...newest] });
      if (found!.missing > 0) throw new Error(`${found!.missing} newest values are missing`);
      return found!;
    },
    { timeoutMs: SETTLE_MS },
  );
}

/**
 * Returns how many values subscribers should receive. A device's subscribers are those assigned to it in turn, and the
 * one that subscribes to all.
 */
function dueOf(subscriptions: number, { devices }: Settings, sent: number): number {
  const perDevice = (subscriptions - 1) / devices;
  return Math.round(sent * (perDevice + 1));
}

function describe(
  reports: readonly SubscriptionsReport[],
  machine: object,
  { rate, seconds, devices }: Settings,
): string {
  const heads = [
    'subscriptions',
    'sockets',
    'values due/s',
    'received/s',
    'share',
    'p50 ms',
    'p99 ms',
    'p99.9 ms',
    'all newest after ms',
  ];
  const more = ['API CPUs', 'worker CPUs', 'subscribers CPUs', 'RSS MB first / most / last', 'wrong'];
  const rows = reports.map((one) => [
    ...[whole(one.subscriptions), whole(one.sockets), whole(one.due / seconds), whole(one.received / seconds)],
    ...[
      `${short((100 * one.received) / one.due)} %`,
      short(one.latency.p50),
      short(one.latency.p99),
      short(one.latency.p999),
    ],
    ...[whole(one.settled), short(one.serverCores), short(one.workerCores), short(one.fleetCores)],
    ...[`${one.resident[0]} / ${Math.max(...one.resident)} / ${one.resident.at(-1)}`, `${one.faults.length}`],
  ]);
  return [
    `# Subscriptions, ${rate} updates/s of ${devices} devices for ${seconds} s`,
    `Machine: \`${JSON.stringify(machine)}\``,
    table([...heads, ...more], rows),
    '',
  ].join('\n\n');
}

function draw(reports: readonly SubscriptionsReport[]): string {
  const memory = reports.map(({ subscriptions, resident }) => ({
    name: `${subscriptions} subscriptions`,
    points: resident.map((value, second) => [second + 1, value] as const),
  }));
  return drawLines([{ title: 'RSS of the API process, MB', lines: memory }], 'seconds');
}

const { values } = parseArgs({
  options: {
    subscriptions: { type: 'string', default: '100,1000,10000' },
    rate: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '20' },
    devices: { type: 'string', default: '1000' },
    out: { type: 'string' },
  },
});
await withServers(async (keep, pool) => {
  const settings: Settings = {
    rate: Number(values.rate),
    seconds: Number(values.seconds),
    devices: Number(values.devices),
    brokers: pool.endpoints.kafka!.split(','),
  };
  const reports: SubscriptionsReport[] = [];
  for (const count of values.subscriptions.split(',').map(Number)) reports.push(await measure(count, settings, keep));
  const machine = machineOf(pool);
  report(values.out, { machine, settings: values, reports }, describe(reports, machine, settings), draw(reports));
  if (reports.some(({ faults }) => faults.length > 0)) throw new Error('subscribers were told something wrong');
});
