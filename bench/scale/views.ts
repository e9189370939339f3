/**
 * The costs of views, by their number: start of a server, a schema swap as requests see it, introspection, SDL and
 * memory.
 *
 *   node --import tsx bench/scale/views.ts [--views 100,500,1000,2000,5000] [--features 20] [--swaps 5]
 *     [--out views.json]
 *
 * README.md beside this file says what is measured. Needs a build (`npm run build`).
 */
import { request as send } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { apply, ask } from '../../test/system/graphql-door.js';
import { createPlatform, type FStoreProcess } from '../../test/system/platform.js';
import { memoryMb } from '../ingest/meter.js';
import { CpuClock } from '../measure/cpu-clock.js';
import { drawLines } from '../measure/line-chart.js';
import { short, table, whole } from '../measure/markdown.js';
import { machineOf, report, say, withServers } from './world.js';

interface ViewsReport {
  readonly views: number;
  /** Milliseconds unless the name says otherwise. Figures of swaps are medians. */
  readonly firstApply: number;
  readonly start: number;
  readonly apply: number;
  readonly visible: number;
  readonly applyingBlock: number;
  readonly followingBlock: number;
  /** CPU milliseconds of each replica for one more view. Unlike the times, they do not depend on other processes. */
  readonly applyingCpu: number;
  readonly followingCpu: number;
  readonly introspection: number;
  readonly introspectionKb: number;
  readonly sdl: number;
  readonly sdlKb: number;
  readonly startedMb: number;
  readonly residentMb: number;
  readonly peakMb: number;
  readonly heapMb: number;
}

const INTROSPECTION = `{ __schema { types { kind name description fields(includeDeprecated: true) { name description isDeprecated
  args { name type { ...T } defaultValue } type { ...T } } inputFields { name type { ...T } } enumValues { name } possibleTypes { name } } } }
  fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }`;
const PROBE_MS = 2;
/** How often the bench checks whether a swap is visible, in milliseconds. */
const LOOK_MS = 2;

function definitionsOf(views: number, features: number): unknown[] {
  const columns = Object.fromEntries(Array.from({ length: features }, (_, index) => [`f${index}`, 'FLOAT64']));
  const entity = { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] };
  const schema = { user_id: 'STRING', event_time: 'TIMESTAMP', ...columns };
  const source = { kind: 'source', name: 'events', schema, timestamp: 'event_time', stream: {} };
  return [entity, source, ...Array.from({ length: views }, (_, index) => viewOf(index, features))];
}

function viewOf(index: number, features: number): Record<string, unknown> {
  const names = Array.from({ length: features }, (_, feature) => `f${feature}`);
  return { kind: 'featureView', name: `view_${index}`, entity: 'user', source: 'events', features: names };
}

function timed<T>(work: () => Promise<T>): Promise<{ ms: number; value: T }> {
  const since = performance.now();
  return work().then((value) => ({ ms: performance.now() - since, value }));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function isHealthy(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = send(`${url}/health`, { agent: false }, (response) => {
      response.resume();
      response.on('end', resolve);
    });
    outgoing.on('error', reject).end();
  });
}

/** Requests /health again and again. The longest answer shows how long the event loop was blocked. */
class Probe {
  #longest = 0;
  #isRunning = true;
  readonly #running: Promise<void>;

  constructor(url: string) {
    this.#running = this.#run(url);
  }

  async stop(): Promise<number> {
    this.#isRunning = false;
    await this.#running;
    return this.#longest;
  }

  async #run(url: string): Promise<void> {
    while (this.#isRunning) {
      const { ms } = await timed(() => isHealthy(url));
      this.#longest = Math.max(this.#longest, ms);
      await delay(PROBE_MS);
    }
  }
}

async function textOf(url: string, query: string): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) });
  const text = await response.text();
  if (!text.startsWith('{"data":{')) throw new Error(text.slice(0, 300));
  return text;
}

/** Adds a view at one replica and waits until the other answers a query on it. */
async function swap(one: FStoreProcess, other: FStoreProcess, index: number, features: number) {
  const clock = new CpuClock({ one: one.process.pid, other: other.process.pid });
  const cpuBefore = clock.read();
  const probes = [new Probe(one.url), new Probe(other.url)];
  const since = performance.now();
  await apply(one.url, [viewOf(index, features)]);
  const applied = performance.now() - since;
  const query = `{ user(id: "u") { view${index} { status } } }`;
  const body = JSON.stringify({ query });
  const headers = { 'content-type': 'application/json' };
  while (true) {
    const response = await fetch(`${other.url}/graphql`, { method: 'POST', headers, body });
    if ((await response.text()).startsWith('{"data"')) break;
    await delay(LOOK_MS);
  }
  const visible = performance.now() - since;
  const [applying = 0, following = 0] = await Promise.all(probes.map((probe) => probe.stop()));
  const cpu = CpuClock.between(cpuBefore, clock.read());
  const [applyingCpu, followingCpu] = [(cpu.one ?? 0) * 1_000, (cpu.other ?? 0) * 1_000];
  return { apply: applied, visible, applying, following, applyingCpu, followingCpu };
}

async function heapMb(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Math.round(Number(/^nodejs_heap_size_used_bytes (\S+)/m.exec(text)?.[1]) / 1e6);
}

async function measure(
  views: number,
  features: number,
  swaps: number,
  keep: (platform: Awaited<ReturnType<typeof createPlatform>>) => void,
): Promise<ViewsReport> {
  const platform = await createPlatform('servers');
  keep(platform);
  const serve = { arguments: ['serve', '--without-worker'] };
  const first = await platform.start(serve);
  const filled = await timed(() => apply(first.url, definitionsOf(views, features)));
  say(`${views} views: first apply ${whole(filled.ms)} ms`);
  await first.process.stop();

  const started = await timed(() => platform.start(serve));
  const one = started.value;
  await textOf(one.url, '{ user(id: "u") { view0 { status } } }');
  const { now: startedMb } = memoryMb(one.process.pid);
  const other = await platform.start(serve);
  say(`${views} views: start ${whole(started.ms)} ms, ${startedMb} MB`);

  const done: Awaited<ReturnType<typeof swap>>[] = [];
  for (let index = 0; index < swaps; index += 1) done.push(await swap(one, other, views + index, features));
  const introspection = await timed(() => textOf(one.url, INTROSPECTION));
  const sdl = await timed(() => textOf(one.url, '{ _service { sdl } }'));
  const { now, peak } = memoryMb(one.process.pid);
  const found = {
    views,
    firstApply: filled.ms,
    start: started.ms,
    apply: median(done.map((each) => each.apply)),
    visible: median(done.map((each) => each.visible)),
    applyingBlock: median(done.map((each) => each.applying)),
    followingBlock: median(done.map((each) => each.following)),
    applyingCpu: median(done.map((each) => each.applyingCpu)),
    followingCpu: median(done.map((each) => each.followingCpu)),
    introspection: introspection.ms,
    introspectionKb: introspection.value.length / 1e3,
    sdl: sdl.ms,
    sdlKb: sdl.value.length / 1e3,
    ...{ startedMb, residentMb: now, peakMb: peak, heapMb: await heapMb(one.url) },
  };
  say(JSON.stringify(found));
  const { project } = await ask<{ project: { revision: number } }>(other.url, '{ project { revision } }');
  if (project.revision !== swaps + 1) throw new Error(`revision ${project.revision} after ${swaps} swaps`);
  await Promise.all([one.process.stop(), other.process.stop()]);
  return found;
}

function describe(reports: readonly ViewsReport[], machine: object, features: number): string {
  const heads = ['views', 'first apply ms', 'start ms', 'apply of one view ms', 'queryable at the other replica ms'];
  const more = [
    'block, applying ms',
    'block, following ms',
    'CPU, applying ms',
    'CPU, following ms',
    'introspection ms',
    'MB',
    '_service ms',
    'MB',
    'RSS started MB',
  ];
  const rows = reports.map((one) => [
    ...[one.views, one.firstApply, one.start, one.apply, one.visible, one.applyingBlock, one.followingBlock].map(whole),
    ...[one.applyingCpu, one.followingCpu].map(whole),
    ...[whole(one.introspection), short(one.introspectionKb / 1e3), whole(one.sdl), short(one.sdlKb / 1e3)],
    ...[one.startedMb, one.residentMb, one.peakMb, one.heapMb].map(whole),
  ]);
  return [
    `# Views × ${features} features`,
    `Machine: \`${JSON.stringify(machine)}\``,
    table([...heads, ...more, 'RSS at end MB', 'RSS peak MB', 'heap MB'], rows),
    '',
  ].join('\n\n');
}

function draw(reports: readonly ViewsReport[]): string {
  const line = (name: string, of: (one: ViewsReport) => number) => ({
    name,
    points: reports.map((one) => [one.views, of(one)] as const),
  });
  const times = [
    line('first apply', (one) => one.firstApply),
    line('start', (one) => one.start),
    line('apply of one view', (one) => one.apply),
    line('block, applying', (one) => one.applyingBlock),
    line('block, following', (one) => one.followingBlock),
    line('CPU, applying', (one) => one.applyingCpu),
  ];
  const asked = [line('introspection', (one) => one.introspection), line('_service', (one) => one.sdl)];
  const memory = [
    line('RSS started', (one) => one.startedMb),
    line('RSS peak', (one) => one.peakMb),
    line('heap', (one) => one.heapMb),
  ];
  const panels = [
    { title: 'Start and swap, ms', lines: times },
    { title: 'Schema asked for, ms', lines: asked },
    { title: 'Memory, MB', lines: memory },
  ];
  return drawLines(panels, 'views');
}

const { values } = parseArgs({
  options: {
    views: { type: 'string', default: '100,500,1000,2000,5000' },
    features: { type: 'string', default: '20' },
    swaps: { type: 'string', default: '5' },
    out: { type: 'string' },
  },
});
const features = Number(values.features);
await withServers(async (keep, pool) => {
  const reports: ViewsReport[] = [];
  for (const views of values.views.split(',').map(Number)) {
    reports.push(await measure(views, features, Number(values.swaps), keep));
  }
  const machine = machineOf(pool);
  report(values.out, { machine, reports }, describe(reports, machine, features), draw(reports));
});
