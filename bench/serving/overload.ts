/**
 * Measures a server that is offered three times its capacity by clients that do not wait for each other.
 *
 *   node --import tsx bench/serving/overload.ts [--contender fstore] [--workload list100x10] [--seconds 60]
 *     [--factor 3] [--connections 4096] [--timeout 2] [--entities 100000] [--main dist/main.js] [--out overload.json]
 *
 * A closed load finds the server's capacity. Then the server gets half of that, then the overload, then half again,
 * without pauses.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { listenerOf } from '../ingest/meter.js';
import { short, table, whole } from '../measure/markdown.js';
import { checkAnswers } from './answer-check.js';
import { CONTENDERS, type ContenderName, startContender } from './contender.js';
import { TABLES, type Table } from './dataset.js';
import { GeneratorProcess } from './generator-process.js';
import type { LoadReport, PhaseReport, WindowReport } from './load.js';
import { buildContenders, installPackages } from './tools.js';
import { type Workload, workloadNamed } from './workload.js';
import { createWorld, loadFeast, loadFragments, loadFStore, type World, writeTables } from './world.js';

const CLOSED_CONNECTIONS = 64;
const CAPACITY_MS = 5_000;
const CALM_MS = 5_000;
const RECOVERY_MS = 15_000;
const WINDOW_MS = 100;
/**
 * A server has recovered after CALM_WINDOWS good windows in a row whose p99 is at most twice that of before, or 10 ms.
 */
const CALM_WINDOWS = 5;
const CALM_FACTOR = 2;
const CALM_FLOOR = 10;

interface Options {
  readonly contender: ContenderName;
  readonly workload: Workload;
  readonly seconds: number;
  readonly factor: number;
  readonly connections: number;
  readonly timeoutMs: number;
  readonly entities: number;
  readonly main: string;
  readonly out: string | null;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      contender: { type: 'string', default: 'fstore' },
      workload: { type: 'string', default: 'list100x10' },
      seconds: { type: 'string', default: '60' },
      factor: { type: 'string', default: '3' },
      connections: { type: 'string', default: '4096' },
      timeout: { type: 'string', default: '2' },
      entities: { type: 'string', default: '100000' },
      main: { type: 'string', default: 'dist/main.js' },
      out: { type: 'string' },
    },
  });
  const contender = CONTENDERS.find((name) => name === values.contender);
  if (!contender) throw new Error(`no contender "${values.contender}"; there are ${CONTENDERS.join(', ')}`);
  return {
    contender,
    workload: workloadNamed(values.workload),
    ...{ seconds: Number(values.seconds), factor: Number(values.factor), connections: Number(values.connections) },
    ...{ timeoutMs: Number(values.timeout) * 1000, entities: Number(values.entities), main: resolve(values.main) },
    out: values.out === undefined ? null : resolve(values.out),
  };
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function load(world: World, { contender, workload, entities, main }: Options): Promise<void> {
  const tables: readonly Table[] = TABLES.filter(({ views }) =>
    views.some(({ name }) => workload.views.includes(name) || name === 'profile'),
  );
  const files = await writeTables(world, entities, tables);
  if (contender === 'fstore') await loadFStore(world, main, say, tables);
  else if (contender.startsWith('feast')) await loadFeast(world, files, say, tables);
  else await loadFragments(world, entities, say);
}

/** Returns the milliseconds from the end of the overload until answers are as before; null if that did not happen. */
function recoveryOf({ phases, windows }: LoadReport): number | null {
  const before = phases.find(({ name }) => name === 'before')!;
  const limit = Math.max(CALM_FLOOR, before.latency.p99 * CALM_FACTOR);
  const after = windows.filter(({ phase }) => phase === 'after');
  const calm = ({ good, refused, failed, timedOut, p99 }: WindowReport): boolean =>
    good > 0 && refused + failed + timedOut === 0 && p99 <= limit;
  const first = after.findIndex((_, index) => {
    const next = after.slice(index, index + CALM_WINDOWS);
    return next.length === CALM_WINDOWS && next.every(calm);
  });
  return first < 0 ? null : after[first]!.at;
}

function rowOf(phase: PhaseReport, capacity: number): string[] {
  const seconds = phase.ms / 1000;
  return [
    ...[phase.name, whole(phase.offered / seconds), whole(phase.good / seconds), whole(phase.refused / seconds)],
    ...[whole(phase.failed / seconds), whole(phase.timedOut / seconds), short(phase.latency.p50)],
    ...[short(phase.latency.p99), `${whole((phase.good / seconds / capacity) * 100)} %`],
    ...[
      short((phase.cpu.server ?? 0) / seconds),
      short((phase.cpu.generator ?? 0) / seconds),
      short(phase.lateness.p99),
    ],
  ];
}

async function measure(world: World, options: Options): Promise<{ capacity: number; report: LoadReport }> {
  const { contender: name, workload, entities, connections, timeoutMs } = options;
  const contender = await startContender(world, name, options.main, await buildContenders());
  const generator = new GeneratorProcess();
  try {
    await checkAnswers(contender, workload, entities);
    const redis = listenerOf(Number(new URL(world.pool.endpoints.redis!).port));
    const target = {
      ...{ port: contender.port, door: contender.door, workload: workload.name, entities, seed: 5 },
      processes: { server: contender.running.pid, redis },
    };
    const warmupMs = CAPACITY_MS;
    const closed = await generator.run({
      ...{ kind: 'closed', ...target, connections: CLOSED_CONNECTIONS, warmupMs, measuredMs: CAPACITY_MS },
    });
    const capacity = (closed.phases[0]!.good / closed.phases[0]!.ms) * 1000;
    say(`capacity ${Math.round(capacity)}/s`);
    const phases = [
      { name: 'before', rate: capacity / 2, ms: CALM_MS },
      { name: 'overload', rate: capacity * options.factor, ms: options.seconds * 1000 },
      { name: 'after', rate: capacity / 2, ms: RECOVERY_MS },
    ];
    const report = await generator.run({
      kind: 'open',
      ...target,
      connections,
      timeoutMs,
      phases,
      windowMs: WINDOW_MS,
      // The CPUs belong to the server, because the server should be the bottleneck.
      isExact: false,
    });
    return { capacity, report };
  } finally {
    generator.stop();
    await contender.running.stop();
  }
}

async function main(): Promise<void> {
  const options = readOptions();
  await installPackages();
  const world = await createWorld();
  try {
    await load(world, options);
    const { capacity, report } = await measure(world, options);
    const recoveryMs = recoveryOf(report);
    const heads = [
      ...['phase', 'offered/s', '200/s', '503/s', 'failed/s', 'timed out/s', 'p50 of 200s ms', 'p99 of 200s ms'],
      ...['goodput / capacity', 'server CPUs', 'generator CPUs', 'generator late p99 ms'],
    ];
    const { contender, workload, factor, connections, timeoutMs } = options;
    const offered = `${workload.name}, capacity ${whole(capacity)}/s, ×${factor}, ${connections} connections, timeout ${timeoutMs} ms`;
    const recovery = recoveryMs === null ? `not within ${RECOVERY_MS / 1000} s` : `${recoveryMs} ms`;
    const rows = table(
      heads,
      report.phases.map((phase) => rowOf(phase, capacity)),
    );
    process.stdout.write(`${contender}, ${offered}\n\n${rows}\n\nRecovered ${recovery} after the overload ended.\n`);
    if (options.out) {
      const settings = { ...options, workload: workload.name };
      writeFileSync(options.out, `${JSON.stringify({ settings, capacity, recoveryMs, ...report }, null, 2)}\n`);
    }
  } finally {
    await world.drop();
  }
}

main().then(
  () => process.exit(0),
  (failure) => {
    process.stderr.write(`${failure instanceof Error ? failure.stack : String(failure)}\n`);
    process.exit(1);
  },
);
