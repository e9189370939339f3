/**
 * The serving benchmark: requests a second, latency and CPU of FStore, a raw server, Mercurius, Apollo Server and
 * Feast. All of them give the same answers from the same Redis.
 *
 *   node --import tsx bench/serving/run.ts [--contenders fstore,raw,mercurius,apollo,feast,feast2]
 *     [--workloads one10,…] [--rounds 3] [--seconds 5] [--warmup 1] [--connections 1,16,64] [--entities 100000]
 *     [--minutes 40] [--main dist/main.js] [--out results.json]
 *
 * NOTES.md beside this file says what is measured and what is not.
 */
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { checkAnswers } from './answer-check.js';
import { Bench } from './bench.js';
import { summarize } from './cell.js';
import { drawChart } from './chart.js';
import { CONTENDERS, type Contender, type ContenderName, startContender } from './contender.js';
import { describe } from './report.js';
import { buildContenders, feastPrograms, installPackages } from './tools.js';
import { WORKLOADS, type Workload, workloadNamed } from './workload.js';
import { createWorld, loadFeast, loadFragments, loadFStore, type World, writeTables } from './world.js';

/** The smallest table must contain the unusual entities that are compared. */
const MIN_ENTITIES = 1_000;

interface Options {
  readonly contenders: readonly ContenderName[];
  readonly workloads: readonly Workload[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
  readonly connections: readonly number[];
  readonly entities: number;
  /** Time limit of the whole run, which shortens each load; null for no limit. */
  readonly minutes: number | null;
  readonly main: string;
  readonly out: string | null;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      contenders: { type: 'string', default: CONTENDERS.join(',') },
      workloads: { type: 'string', default: WORKLOADS.map(({ name }) => name).join(',') },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '5' },
      warmup: { type: 'string', default: '1' },
      connections: { type: 'string', default: '1,16,64' },
      entities: { type: 'string', default: '100000' },
      minutes: { type: 'string' },
      main: { type: 'string', default: 'dist/main.js' },
      out: { type: 'string' },
    },
  });
  const contenders = values.contenders.split(',');
  const unknown = contenders.find((name) => !(CONTENDERS as readonly string[]).includes(name));
  if (unknown !== undefined) throw new Error(`no contender "${unknown}"; there are ${CONTENDERS.join(', ')}`);
  const entities = Number(values.entities);
  if (!(entities >= MIN_ENTITIES)) throw new Error(`--entities is at least ${MIN_ENTITIES}`);
  return {
    contenders: contenders as ContenderName[],
    workloads: values.workloads.split(',').map(workloadNamed),
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    warmup: Number(values.warmup),
    connections: values.connections.split(',').map(Number),
    entities,
    minutes: values.minutes === undefined ? null : Number(values.minutes),
    main: resolve(values.main),
    out: values.out === undefined ? null : resolve(values.out),
  };
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function load(world: World, { contenders, entities, main }: Options): Promise<void> {
  const files = await writeTables(world, entities);
  if (contenders.includes('fstore')) await loadFStore(world, main, say);
  if (contenders.some((name) => ['raw', 'mercurius', 'apollo'].includes(name)))
    await loadFragments(world, entities, say);
  if (contenders.some((name) => name.startsWith('feast'))) await loadFeast(world, files, say);
}

async function measure(world: World, options: Options, contenders: readonly Contender[], started: number) {
  for (const workload of options.workloads) {
    for (const contender of contenders) await checkAnswers(contender, workload, options.entities);
  }
  say(`all contenders answer all ${options.workloads.length} workloads alike`);
  const { rounds, connections, entities } = options;
  const times = { measuredMs: options.seconds * 1000, warmupMs: options.warmup * 1000 };
  const bench = new Bench(world, contenders, { rounds, connections, entities, ...times });
  try {
    for (const [index, workload] of options.workloads.entries()) {
      if (options.minutes !== null) {
        const left = started + options.minutes * 60_000 - performance.now();
        const { measuredMs } = bench.fitInto(left / (options.workloads.length - index));
        say(`${workload.name}: ${Math.round(left / 1_000)} s are left, ${Math.round(measuredMs)} ms for each load`);
      }
      await bench.runClosed(workload);
      await bench.runOpen(workload);
    }
  } finally {
    bench.stop();
  }
  return bench.cells;
}

function machineOf(world: World) {
  const [cpu] = cpus();
  const hardware = { cpus: cpus().length, model: cpu?.model, memoryGb: Math.round(totalmem() / 1e9) };
  return { ...hardware, node: process.version, servers: world.pool.versions, origins: world.pool.origins };
}

async function main(): Promise<void> {
  const options = readOptions();
  const started = performance.now();
  // The servers end with this process, but databases must be dropped before that.
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => reject(new Error(signal)));
  });
  interrupted.catch(() => {});
  await installPackages();
  const build = await buildContenders();
  if (options.contenders.some((name) => name.startsWith('feast'))) await feastPrograms();
  const world = await createWorld();
  const contenders: Contender[] = [];
  try {
    await Promise.race([load(world, options), interrupted]);
    for (const name of options.contenders) contenders.push(await startContender(world, name, options.main, build));
    const cells = await Promise.race([measure(world, options, contenders, started), interrupted]);
    const machine = machineOf(world);
    const { main: _, out, workloads, ...shown } = options;
    const settings = { ...shown, workloads: workloads.map(({ name }) => name) };
    const summaries = summarize(cells);
    const text = describe(summaries, machine, settings);
    process.stdout.write(text);
    say(`${((performance.now() - started) / 60_000).toFixed(1)} minutes`);
    if (out === null) return;
    const base = out.replace(/\.json$/, '');
    writeFileSync(`${base}.json`, `${JSON.stringify({ machine, settings, cells, summaries }, null, 2)}\n`);
    writeFileSync(`${base}.md`, text);
    writeFileSync(`${base}.svg`, drawChart(summaries));
  } finally {
    await Promise.all(contenders.map(({ running }) => running.stop()));
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
