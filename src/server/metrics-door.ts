/** `GET /metrics` for Prometheus: the freshness of sources and views, and the resources that this process uses. */
import type { FastifyInstance } from 'fastify';
import type { Freshness, SourceReport } from '../materialization/freshness.js';
import type { Snapshot } from '../registry/snapshot.js';
import { expressionWatch } from '../retrieval/expression-watch.js';
import type { RequestServices } from '../schema/request-context.js';
import { METRICS_CONTENT_TYPE, type Metric, type MetricType, metricsText, type Sample } from './metrics-text.js';

/**
 * How long to wait for the freshness, in milliseconds. Half of Prometheus' ten seconds, so that a hanging store does
 * not suppress the other metrics.
 */
const PATIENCE = 5_000;

const seconds = (time: number | null): number | null => (time === null ? null : time / 1_000);
const MEASURES: readonly [name: string, type: MetricType, help: string, read: (one: Freshness) => number | null][] = [
  ['lag_events', 'gauge', 'Events that wait in the event bus.', ({ lag }) => lag],
  ['newest_event_timestamp_seconds', 'gauge', 'Newest event time that was taken in.', ({ newest }) => seconds(newest)],
  ['intake_timestamp_seconds', 'gauge', 'When something was last taken in.', ({ movedAt }) => seconds(movedAt)],
  ['rows_per_minute', 'gauge', 'Events of the last minute.', ({ perMinute }) => perMinute],
  ['events_total', 'counter', 'Events that were taken in.', ({ events }) => events],
  ['dead_letters_total', 'counter', 'Events that became dead letters.', ({ unusable }) => unusable],
];

function measured(of: string, all: readonly { readonly labels: Sample['labels']; readonly freshness: Freshness }[]) {
  return MEASURES.map(([name, type, help, read]): Metric => {
    const samples = all.map(({ labels, freshness }) => ({ labels, value: read(freshness) }));
    return { name: `fstore_${of}_${name}`, type, help, samples };
  });
}

function freshnessMetrics(snapshot: Snapshot, reports: ReadonlyMap<string, SourceReport>): Metric[] {
  const sources = [...reports].map(([source, { source: freshness }]) => ({ labels: { source }, freshness }));
  const views = [...reports.values()].flatMap((report) =>
    [...report.views].flatMap(([id, freshness]) => {
      const view = snapshot.views.get(id);
      if (!view) return [];
      return [{ labels: { view: view.name, version: `${view.version}`, engine: freshness.engine }, freshness }];
    }),
  );
  return [...measured('source', sources), ...measured('view', views)];
}

function processMetrics({ revision }: Snapshot, fresh: boolean): Metric[] {
  const one = (name: string, type: MetricType, help: string, value: number): Metric => {
    return { name, type, help, samples: [{ labels: {}, value }] };
  };
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  return [
    one('fstore_freshness_up', 'gauge', 'Whether freshness could be read; 0: its metrics are left out.', fresh ? 1 : 0),
    one('fstore_registry_revision', 'gauge', 'Revision of the registry that this process serves.', revision),
    one('process_cpu_seconds_total', 'counter', 'CPU time of this process.', (user + system) / 1e6),
    one('process_resident_memory_bytes', 'gauge', 'Resident memory of this process.', rss),
    one('nodejs_heap_size_used_bytes', 'gauge', 'Used heap of this process.', heapUsed),
  ];
}

/** Counters of the requests that this process has served. */
export interface ServingCounts {
  readonly lane: { readonly answered: number; readonly passed: number; readonly plans: number } | null;
  readonly load: { readonly inFlight: number; readonly shed: number };
  /** Whether this process follows the registry; if not, it serves the last known definitions. */
  readonly isRegistryFollowed: () => boolean;
  /** Returns how many workers are alive. Rejects if its store does not answer. */
  readonly countWorkers: () => Promise<number>;
}

function servingMetrics({ lane, load, isRegistryFollowed }: ServingCounts, { query }: RequestServices): Metric[] {
  const { hits, misses, corrupted, onlineFailures, offlineFailures } = query.counts;
  const counter = (name: string, help: string, value: number): Metric => {
    return { name: `fstore_${name}`, type: 'counter', help, samples: [{ labels: {}, value }] };
  };
  const lanes = [
    { labels: { lane: 'fast' }, value: lane?.answered ?? 0 },
    { labels: { lane: 'graphql' }, value: lane?.passed ?? null },
  ];
  return [
    {
      name: 'fstore_plain_requests_total',
      type: 'counter',
      help: 'GraphQL requests in the form that the fast lane takes, by what answered them.',
      samples: lanes,
    },
    counter('read_plans_total', 'Operations that the fast lane has compiled.', lane?.plans ?? 0),
    counter('online_hits_total', 'Values that the online store answered.', hits),
    counter('online_misses_total', 'Values that the offline store was asked for.', misses),
    counter('online_corrupted_total', 'Entries of the online store that were no values.', corrupted),
    counter('online_failures_total', 'Calls of the online store that failed.', onlineFailures),
    counter('offline_failures_total', 'Calls of the offline store that failed.', offlineFailures),
    counter('expression_budget_exceeded_total', 'Expressions that exceeded their budget.', expressionWatch.exceeded),
    counter('requests_shed_total', 'Requests that were refused for lack of room.', load.shed),
    {
      name: 'fstore_registry_followed',
      type: 'gauge',
      help: 'Whether this process follows the registry; 0: it serves the last known definitions.',
      samples: [{ labels: {}, value: isRegistryFollowed() ? 1 : 0 }],
    },
    {
      name: 'fstore_requests_in_flight',
      type: 'gauge',
      help: 'Requests that are under way.',
      samples: [{ labels: {}, value: load.inFlight }],
    },
  ];
}

/** Registers `GET /metrics`. Values are measured on request; concurrent requests share one measurement. */
export function registerMetrics(app: FastifyInstance, services: RequestServices, serving: ServingCounts): void {
  let underWay: Promise<Metric[] | null> | null = null;
  const read = async (snapshot: Snapshot): Promise<Metric[] | null> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, PATIENCE, null);
    });
    const reports = services.freshness.of(snapshot, [...snapshot.sources.keys()]).catch(() => null);
    const found = await Promise.race([reports, late]);
    clearTimeout(timer);
    return found && freshnessMetrics(snapshot, found);
  };
  app.get('/metrics', async (_, reply) => {
    const snapshot = services.snapshot();
    underWay ??= read(snapshot).finally(() => {
      underWay = null;
    });
    const [fresh, workers] = await Promise.all([underWay, serving.countWorkers().catch(() => null)]);
    return reply.type(METRICS_CONTENT_TYPE).send(
      metricsText([
        ...processMetrics(snapshot, fresh !== null),
        ...servingMetrics(serving, services),
        {
          name: 'fstore_workers_alive',
          type: 'gauge',
          help: 'Workers that gave a sign of life within the last 15 seconds.',
          samples: [{ labels: {}, value: workers }],
        },
        ...(fresh ?? []),
      ]),
    );
  });
}
