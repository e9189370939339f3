/**
 * Measures the cost of replacing the schema: how long it blocks the event loop, and how the heap grows.
 *
 *   node --expose-gc --import tsx bench/schema-swap.ts [views] [features] [swaps]
 *
 * Measured is the work of one replica between learning of a revision and serving it: index the snapshot, build, check,
 * and publish to a started Apollo Server. Loading the revision from the registry is not measured.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { ApolloServer } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import type { DefinitionRecord } from '../src/definition/definition-record.js';
import { parseDefinitions, planDefinitions } from '../src/definition/plan.js';
import { createSnapshot } from '../src/registry/snapshot.js';
import { buildControlSchema, reservedNames } from '../src/schema/control/control-schema.js';
import { LiveSchema } from '../src/schema/live-schema.js';
import { OperationCheck } from '../src/schema/operation-check.js';
import { computation } from '../src/transformation/computation.js';

/** The result of a run; times in milliseconds, heap in megabytes. */
export interface SwapReport {
  readonly views: number;
  readonly features: number;
  readonly swaps: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** The longest time for which each swap blocked the event loop. */
  readonly blockP50Ms: number;
  readonly blockMaxMs: number;
  readonly heapAfterWarmUpMb: number;
  readonly heapAtEndMb: number;
}

function definitionsOf(views: number, features: number): unknown[] {
  const columns = Object.fromEntries(Array.from({ length: features }, (_, index) => [`f${index}`, 'FLOAT64']));
  return [
    {
      kind: 'entity',
      name: 'user',
      joinKeys: [{ name: 'user_id', type: 'STRING' }],
      graphql: { type: 'User', key: 'id' },
    },
    {
      kind: 'source',
      name: 'events',
      schema: { user_id: 'STRING', event_time: 'TIMESTAMP', ...columns },
      timestamp: 'event_time',
      stream: {},
    },
    ...Array.from({ length: views }, (_, index) => ({
      kind: 'featureView',
      name: `view${index}`,
      entity: 'user',
      source: 'events',
      features: Object.keys(columns),
    })),
  ];
}

const heapMb = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1_000_000;
};

/** Replaces the schema `swaps` times, with one changed view each time. Returns the costs. */
export async function measureSwaps(views: number, features: number, swaps: number): Promise<SwapReport> {
  const control = buildControlSchema();
  const reserved = reservedNames(control);
  const planned = planDefinitions([], parseDefinitions(definitionsOf(views, features)), {
    prune: false,
    retire: [],
    reserved,
    computation,
  });
  let snapshot = createSnapshot({ project: 'bench', revision: 1, records: planned.records });
  const live = new LiveSchema(
    control,
    snapshot,
    new OperationCheck({ maxDepth: 12, maxAliases: 100, maxTokens: 10_000 }),
  );
  const apollo = new ApolloServer({
    gateway: live.gateway(),
    plugins: [
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
    ],
  });
  await apollo.start();

  const times: number[] = [];
  const blocks: number[] = [];
  const warmUp = Math.min(50, Math.floor(swaps / 4));
  let heapAfterWarmUpMb = 0;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  for (let swap = 0; swap < swaps; swap += 1) {
    // As the registry returns them: every record is a new object, and one of them has changed.
    const records = JSON.parse(JSON.stringify(snapshot.records)) as DefinitionRecord[];
    const changed = records.findIndex((record) => record.name === `view${swap % Math.min(views, 20)}`);
    const record = records[changed]!;
    records[changed] = { ...record, definition: { ...record.definition, description: `change ${swap}` } };
    if (swap === warmUp) heapAfterWarmUpMb = heapMb();
    await turn();
    delay.reset();
    delay.enable();
    const start = performance.now();
    snapshot = createSnapshot({ project: 'bench', revision: snapshot.revision + 1, records }, snapshot);
    const indexed = performance.now() - start;
    await live.publish(snapshot);
    if (swap >= warmUp) times.push(performance.now() - start);
    if (swap >= warmUp) blocks.push(Math.max(indexed, delay.max / 1e6));
  }
  await apollo.executeOperation({ query: '{ user(id: "1") { view0 { f0 } } }' }).catch(() => {});
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const report = {
    views,
    features,
    swaps,
    medianMs: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    blockP50Ms: blocks.toSorted((a, b) => a - b)[Math.floor(blocks.length / 2)] ?? 0,
    blockMaxMs: Math.max(...blocks),
    heapAfterWarmUpMb,
    heapAtEndMb: heapMb(),
  };
  await apollo.stop();
  return report;
}

if (process.argv[1]?.endsWith('schema-swap.ts')) {
  const [views = 1_000, features = 20, swaps = 2_000] = process.argv.slice(2).map(Number);
  process.stdout.write(`${JSON.stringify(await measureSwaps(views, features, swaps), null, 2)}\n`);
}
