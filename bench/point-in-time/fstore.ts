/**
 * FStore in the point-in-time benchmark. `load` writes the peers' files to history through the offline store's port.
 * The other verbs are contenders and print one JSON line. `join` returns rows in memory, as the peers do; `job` builds
 * a training set from file to file.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { entityKey } from '../../src/definition/entity-key.js';
import { resolveViewMeaning } from '../../src/definition/meaning.js';
import type { ServiceType } from '../../src/definition/service-type.js';
import type { FeatureValue } from '../../src/definition/value-type.js';
import { resolveView, type ViewVersion } from '../../src/definition/view-version.js';
import { createBuiltinJoin } from '../../src/retrieval/point-in-time-join-builtin.js';
import { joinFeatures } from '../../src/retrieval/training-query.js';
import { buildTrainingSet } from '../../src/retrieval/training-set.js';
import { createVectorPlan } from '../../src/retrieval/vector-plan.js';
import type { OfflineStore } from '../../src/store/offline-store.js';
import { connectPostgresOfflineStore } from '../../src/store/offline-store-postgres.js';
import { readTable } from '../../src/tabular/table-reader.js';

const [verb = '', folder = '', url = ''] = process.argv.slice(2);
const NAMES = Array.from({ length: 10 }, (_, index) => `f${index}`);
const WINDOWS = ['1h', '6h', '24h', '3d', '7d', '30d'];
const LONG_AGO = Date.UTC(2025, 0, 1);

function viewOf(name: string, definition: Record<string, unknown>): ViewVersion {
  const view = { kind: 'featureView' as const, name, entity: 'user', source: name, ttl: '60d', ...definition };
  const columns = Object.fromEntries([...NAMES, 'amount'].map((column) => [column, 'FLOAT64' as const]));
  const schema = { user_id: 'STRING' as const, event_timestamp: 'TIMESTAMP' as const, ...columns };
  const { meaning } = resolveViewMeaning(
    view,
    new Map([['user', { joinKeys: [{ name: 'user_id', type: 'STRING' as const }] }]]),
    new Map([[name, { schema, timestamp: 'event_timestamp', topic: name }]]),
  );
  const fingerprint = createHash('md5').update(name).digest('hex').slice(0, 16);
  return resolveView(
    { kind: 'featureView', name, version: 1, fingerprint, definition: view, meaning: meaning!, active: true },
    true,
  );
}

const facts = viewOf('facts', { features: NAMES });
const spending = viewOf('events', {
  aggregations: [
    { name: 'spend', function: 'sum', column: 'amount', windows: WINDOWS },
    { name: 'events', function: 'count', column: 'amount', windows: WINDOWS },
  ],
});

async function load(store: OfflineStore, view: ViewVersion, limit: number): Promise<void> {
  await store.prepare([view]);
  const schema = [
    { name: 'user_id', type: 'STRING' as const },
    { name: 'event_timestamp', type: 'TIMESTAMP' as const },
    ...view.columns.map(({ name, type }) => ({ name, type })),
  ];
  const table = await readTable(join(folder, `${view.name}.parquet`), { schema, batchSize: 20_000 });
  const at = (name: string): number => table.schema.findIndex((column) => column.name === name);
  const [key, time, columns] = [at('user_id'), at('event_timestamp'), view.columns.map(({ name }) => at(name))];
  let offset = 0;
  const started = performance.now();
  for await (const batch of table.batches()) {
    const rows = batch.map((row, index) => ({
      offset: BigInt(offset + index),
      key: entityKey([row[key] as string]),
      eventTime: row[time] as number,
      values: columns.map((column) => row[column] ?? null),
      arrivedAt: LONG_AGO,
    }));
    const place = { revision: 1, consumer: 'bench', source: view.name, topic: view.name, partition: 0 };
    offset += batch.length;
    await store.commit({
      ...place,
      nextOffset: BigInt(offset),
      events: [],
      rows: [{ view, rows }],
      deadLetters: [],
      now: Date.now(),
    });
    if (offset % 500_000 < 20_000)
      console.error(`${view.name}: ${offset} rows, ${Math.round((performance.now() - started) / 1000)} s`);
    if (offset >= limit) break;
  }
  await table.close();
}

function serviceOver(view: ViewVersion): ServiceType {
  const features = view.features.map(({ name }) => ({ field: name, view: view.name, version: 1, feature: name }));
  return {
    name: 's',
    version: 1,
    typeName: 'S',
    queryField: 's',
    features,
    request: [],
    description: undefined,
    owner: undefined,
  };
}

async function contend(store: OfflineStore, view: ViewVersion, job: boolean): Promise<void> {
  const plan = createVectorPlan(serviceOver(view), new Map([[view.id, view]]));
  const spine = join(folder, 'spine.parquet');
  let peakRss = 0;
  const watch = setInterval(() => {
    peakRss = Math.max(peakRss, process.memoryUsage.rss());
  }, 20);
  const [started, cpu] = [performance.now(), process.cpuUsage()];
  let [rows, nulls, checksum] = [0, 0, 0];
  const sum = (values: readonly FeatureValue[]): void => {
    for (const value of values) {
      if (value === null) nulls += 1;
      else checksum += Number(value);
    }
  };
  if (job) {
    const own = mkdtempSync(join(tmpdir(), 'fstore-bench-'));
    const options = { spine, spineFormat: 'parquet', timestamp: 'event_timestamp', format: 'parquet' } as const;
    const rest = { before: false, known: false, split: null, fit: false };
    const run = { signal: new AbortController().signal, finishedParts: 0, report: () => {} };
    const built = await buildTrainingSet(plan, { ...options, ...rest }, own, createBuiltinJoin(store), run);
    rows = built.rows;
    for (const { origin, statistics } of built.columns) {
      if (origin === 'spine') continue;
      nulls += statistics.nulls;
      checksum += (statistics.mean ?? 0) * (built.rows - statistics.nulls);
    }
    rmSync(own, { recursive: true });
  } else {
    const schema = [
      { name: 'user_id', type: 'STRING' as const },
      { name: 'event_timestamp', type: 'TIMESTAMP' as const },
    ];
    const table = await readTable(spine, { schema, batchSize: 5_000 });
    const pending: Promise<FeatureValue[][]>[] = [];
    for await (const batch of table.batches()) {
      const asked = batch.map(([user, at]) => ({ keys: { user_id: user! }, at: at as number, request: {} }));
      pending.push(joinFeatures(plan, store, asked, rows, { patient: true }));
      rows += batch.length;
      // Two statements at a time, one for each core that PostgreSQL may use.
      if (pending.length >= 2) for (const row of await pending.shift()!) sum(row);
    }
    for (const answer of pending) for (const row of await answer) sum(row);
  }
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  clearInterval(watch);
  const report = {
    rows,
    nulls,
    checksum: Math.round(checksum * 1000) / 1000,
    seconds: Math.round(seconds * 1000) / 1000,
  };
  console.log(
    JSON.stringify({ ...report, cpuSeconds: (user + system) / 1e6, peakRssMb: Math.round(peakRss / 2 ** 20) }),
  );
}

const store = await connectPostgresOfflineStore({ url, project: 'bench', writeTimeout: 600_000 });
try {
  if (verb === 'load') {
    const [, , , , , rowsLimit = '1e12', eventsLimit = '1e12'] = process.argv;
    await load(store, facts, Number(rowsLimit));
    await load(store, spending, Number(eventsLimit));
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query('VACUUM ANALYZE');
    await client.end();
  } else await contend(store, verb.includes('windows') ? spending : facts, verb.endsWith('job'));
} finally {
  await store.close();
}
