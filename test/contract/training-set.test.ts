/** Training sets over real history: what is in them, and that a run which was stopped ends in the same bytes. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { entityKey } from '../../src/definition/entity-key.js';
import type { ServiceType } from '../../src/definition/service-type.js';
import type { FeatureValue, ScalarValue } from '../../src/definition/value-type.js';
import type { ViewVersion } from '../../src/definition/view-version.js';
import { createBuiltinJoin } from '../../src/retrieval/point-in-time-join-builtin.js';
import { buildTrainingSet, type TrainingRun, type TrainingSetOptions } from '../../src/retrieval/training-set.js';
import { createVectorPlan, type VectorPlan } from '../../src/retrieval/vector-plan.js';
import type { NewRow } from '../../src/store/offline-store.js';
import { readTable } from '../../src/tabular/table-reader.js';
import { TABLE_FORMATS, type TableColumn, type TableFormat, type TableRow } from '../../src/tabular/table-schema.js';
import { openTableWriter } from '../../src/tabular/table-writer.js';
import { type NaiveEvent, naiveValues } from '../unit/fakes/naive-aggregation.js';
import { everyAggregation, everyColumn, randomInstant, randomValue } from '../unit/fakes/random-history.js';
import { seededRandom } from '../unit/fakes/seeded-random.js';
import { type OfflinePlatform, offlinePlatforms } from './store/offline-platform.js';
import { batchOf, freshAggregationView, freshTopic, freshView } from './store/offline-samples.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const DAY = 86_400_000;
const NOW = Date.UTC(2026, 5, 1, 12);
const ENTITIES = 300;
const ROWS = 2_000;
const KEYS = [
  { name: 'a', type: 'INT64' as const, column: 'a' },
  { name: 'b', type: 'STRING' as const, column: 'b' },
];

let platform: OfflinePlatform;
let folder: string;
let plan: VectorPlan;
let rowView: ViewVersion;
let windows: ViewVersion;
let spine: TableRow[];
const histories = new Map<string, NaiveEvent[]>();
const spineSchema: TableColumn[] = [
  { name: 'label', type: 'BOOL' },
  { name: 'b', type: 'STRING' },
  { name: 'event_time', type: 'TIMESTAMP' },
  { name: 'a', type: 'INT64' },
  { name: 'amount', type: 'FLOAT64' },
];
const idle: TrainingRun = { signal: new AbortController().signal, finishedParts: 0, report: () => {} };

/** (1, 23) and (12, 3) are one text, and two entities. */
function partsOf(entity: number): [string, string] {
  const index = entity + 1;
  return index % 2 ? [`${index}`, `${index}3`] : [`${index}${index + 1}`, '3'];
}

function serviceOver(views: readonly ViewVersion[]): ServiceType {
  const features = views.flatMap((view) =>
    view.features.map(({ name }) => ({ field: name, view: view.name, version: view.version, feature: name })),
  );
  const pin = { view: rowView.name, version: 1, feature: 'double' };
  const computed = {
    name: 'ratio',
    type: 'FLOAT64' as const,
    expression: 'request.amount / newest.double',
    inputs: [
      { name: 'request.amount', type: 'FLOAT64' as const, pin: null },
      { name: 'newest.double', type: 'FLOAT64' as const, pin },
    ],
  };
  const transformed = {
    source: pin,
    input: 'FLOAT64' as const,
    type: 'FLOAT64' as const,
    options: { type: 'standard' as const },
    parameters: null,
  };
  return {
    name: 's',
    version: 1,
    typeName: 'S',
    queryField: 's',
    description: undefined,
    owner: undefined,
    request: [{ name: 'amount', type: 'FLOAT64' }],
    features: [
      ...features,
      { field: 'ratio', onDemand: 'o@1', computed },
      { field: 'scaled', transformer: 't@1', transformed },
    ],
  };
}

beforeAll(async () => {
  const [[, open]] = offlinePlatforms as [(typeof offlinePlatforms)[number]];
  platform = await open();
  folder = mkdtempSync(join(tmpdir(), 'fstore-training-'));
  rowView = { ...freshView([...everyColumn], KEYS as never), id: 'newest@1', name: 'newest', ttl: 30 * DAY };
  windows = { ...freshAggregationView(everyColumn, everyAggregation, KEYS), id: 'windows@1', name: 'windows' };
  await platform.store.prepare([rowView, windows]);
  plan = createVectorPlan(
    serviceOver([rowView, windows]),
    new Map([
      ['newest@1', rowView],
      ['windows@1', windows],
    ]),
  );
  const random = seededRandom(seed);
  const rows: NewRow[] = [];
  for (let entity = 0; entity < ENTITIES; entity += 1) {
    const key = entityKey(partsOf(entity));
    const base = randomInstant(random, NOW);
    const events: NaiveEvent[] = [];
    histories.set(key.text, events);
    for (let count = random.below(12); count > 0; count -= 1) {
      const eventTime = Math.min(NOW, base + random.below(4) * random.below(3) * random.below(10 * DAY));
      const values = everyColumn.map(([, type]) => (random.below(6) ? randomValue(random, type) : null));
      rows.push({ offset: 0n, key, eventTime, values });
      events.push({
        eventTime,
        sequence: rows.length,
        values: Object.fromEntries(everyColumn.map(([name], at) => [name, values[at] as ScalarValue | null])),
      });
    }
  }
  const numbered = rows.map((row, at) => ({ ...row, offset: BigInt(at) }));
  const aggregated = numbered.map((row) => {
    const values = windows.columns.map(({ name }) => row.values[everyColumn.findIndex(([column]) => column === name)]!);
    return { ...row, values };
  });
  const batch = batchOf(freshTopic(), [
    { view: rowView, rows: numbered },
    { view: windows, rows: aggregated },
  ]);
  await platform.store.commit({ ...batch, now: NOW });
  spine = Array.from({ length: ROWS }, (): TableRow => {
    const [a, b] = partsOf(random.below(ENTITIES + 5));
    const events = histories.get(entityKey([a, b]).text) ?? [];
    const near = events[random.below(Math.max(1, events.length))]?.eventTime ?? NOW;
    const at = Math.min(NOW, near + [0, 0, -1, 1, DAY, 30 * DAY, 30 * DAY + 1][random.below(7)]!);
    return [random.below(2) === 0, b, at, BigInt(a), random.below(5) ? random.below(100) / 4 : null];
  });
  // Equal rows stay as many as they were.
  spine.push(...spine.slice(0, 50));
}, 60_000);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await platform?.close();
});

let sets = 0;
async function spineFile(format: TableFormat): Promise<string> {
  const path = join(folder, `spine${sets}.${format}`);
  const writer = await openTableWriter(path, format, spineSchema);
  await writer.write(spine);
  await writer.close();
  return path;
}

async function optionsOf(
  format: TableFormat,
  extra: Partial<TrainingSetOptions> = {},
): Promise<[string, TrainingSetOptions]> {
  sets += 1;
  const own = join(folder, `set${sets}`);
  const spineFormat = extra.spineFormat ?? 'parquet';
  const shared = { timestamp: 'event_time', before: false, known: false, split: null, fit: true, partRows: 500 };
  return [own, { ...shared, format, spine: await spineFile(spineFormat), ...extra, spineFormat }];
}

async function readSet(own: string, format: TableFormat) {
  const table = await readTable(join(own, `data.${format}`), {});
  const rows: TableRow[] = [];
  for await (const batch of table.batches()) rows.push(...batch);
  await table.close();
  return { names: table.schema.map(({ name }) => name), rows };
}

const sha256 = (own: string, format: TableFormat): string =>
  createHash('sha256')
    .update(readFileSync(join(own, `data.${format}`)))
    .digest('hex');

function expectSame(actual: FeatureValue, expected: FeatureValue, place: string): void {
  const close =
    typeof actual === 'number' &&
    typeof expected === 'number' &&
    Math.abs(actual - expected) <= 1e-9 * Math.abs(expected);
  const show = (value: FeatureValue): string =>
    JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}n` : one));
  if (!close && show(actual) !== show(expected))
    throw new Error(`${place}: ${show(actual)} instead of ${show(expected)} (seed ${seed})`);
}

describe(`a training set (seed ${seed})`, () => {
  test.each([false, true])(
    'has each row of its spine, in order, with the values that the oracle says (strictly before: %s)',
    async (before) => {
      const [own, options] = await optionsOf('arrow', { before });
      const result = await buildTrainingSet(plan, options, own, createBuiltinJoin(platform.store), idle);
      expect(result.rows).toBe(spine.length);
      const { names, rows } = await readSet(own, 'arrow');
      expect(rows.map((row) => row.slice(0, spineSchema.length))).toEqual(spine);
      const indexOf = (name: string) => names.indexOf(name);
      for (const [index, row] of rows.entries()) {
        const [, b, time, a, amount] = spine[index] as [boolean, string, number, bigint, number | null];
        const events = histories.get(entityKey([`${a}`, b]).text) ?? [];
        const seen = events.filter(({ eventTime }) => (before ? eventTime < time : eventTime <= time));
        const newest = seen.reduce<NaiveEvent | null>((best, one) => {
          return !best ||
            one.eventTime > best.eventTime ||
            (one.eventTime === best.eventTime && one.sequence > best.sequence)
            ? one
            : best;
        }, null);
        const holds = newest && newest.eventTime >= time - 30 * DAY ? newest : null;
        const place = `row ${index}`;
        for (const [name] of everyColumn)
          expectSame(row[indexOf(name)]!, holds?.values[name] ?? null, `${place} ${name}`);
        const double = (holds?.values.double ?? null) as number | null;
        const ratio = amount === null || double === null || double === 0 ? null : amount / double;
        expectSame(row[indexOf('ratio')]!, ratio, `${place} ratio`);
        const expected = seen.length > 0 ? naiveValues(windows.aggregation!, events, time, before) : null;
        for (const [feature, { name }] of windows.features.entries()) {
          expectSame(row[indexOf(name)]!, expected?.[feature] ?? null, `${place} ${name}`);
        }
      }
    },
    60_000,
  );

  test.each(TABLE_FORMATS)(
    'from a spine in %s is the same, and the same again',
    async (spineFormat) => {
      const [own, options] = await optionsOf('csv', { spineFormat });
      const [other, again] = await optionsOf('csv', { spineFormat: 'parquet', partRows: 1_234 });
      const first = await buildTrainingSet(plan, options, own, createBuiltinJoin(platform.store), idle);
      const second = await buildTrainingSet(plan, again, other, createBuiltinJoin(platform.store), idle);
      expect(first.sha256).toBe(second.sha256);
      expect(first.sha256).toBe(sha256(own, 'csv'));
      expect(JSON.parse(readFileSync(join(own, 'manifest.json'), 'utf8'))).toMatchObject({
        rows: spine.length,
        sha256: first.sha256,
      });
    },
    60_000,
  );

  test.each(TABLE_FORMATS)(
    'as %s that is stopped on the way goes on, and ends in the same bytes',
    async (format) => {
      const [own, options] = await optionsOf(format);
      const whole = await buildTrainingSet(plan, options, own, createBuiltinJoin(platform.store), idle);
      const [stopped, again] = await optionsOf(format);
      const abort = new AbortController();
      let finishedParts = 0;
      const asked: number[] = [];
      const counting = Object.create(platform.store, {
        valuesAt: {
          value: (...args: Parameters<typeof platform.store.valuesAt>) => {
            asked.push(args[1].length);
            return platform.store.valuesAt(...args);
          },
        },
      }) as typeof platform.store;
      const run = {
        signal: abort.signal,
        finishedParts: 0,
        report: (_: unknown, parts: number) => {
          finishedParts = parts;
          if (parts === 3) abort.abort(new Error('stopped'));
        },
      };
      await expect(buildTrainingSet(plan, again, stopped, createBuiltinJoin(counting), run)).rejects.toThrow('stopped');
      expect(finishedParts).toBe(3);
      asked.length = 0;
      const rest = await buildTrainingSet(plan, again, stopped, createBuiltinJoin(counting), {
        ...idle,
        finishedParts,
      });
      expect(rest).toEqual(whole);
      expect(sha256(stopped, format)).toBe(sha256(own, format));
      // What was joined is not joined again: both views, for the rows that were left.
      expect(asked.reduce((sum, count) => sum + count, 0)).toBe(2 * (spine.length - 3 * 500));
    },
    60_000,
  );

  test('fits its transformers on the train split alone', async () => {
    const [own, options] = await optionsOf('arrow', { split: { by: 'entity', test: 0.3, seed: 5 } });
    const result = await buildTrainingSet(plan, options, own, createBuiltinJoin(platform.store), idle);
    const { names, rows } = await readSet(own, 'arrow');
    const column = (name: string) => rows.map((row) => row[names.indexOf(name)]!);
    const [split, doubles, scaled] = [
      column('split'),
      column('double') as (number | null)[],
      column('scaled') as (number | null)[],
    ];
    const train = doubles.filter((value, index): value is number => value !== null && split[index] === 'train');
    const mean = train.reduce((sum, value) => sum + value, 0) / train.length;
    const deviation = Math.sqrt(train.reduce((sum, value) => sum + (value - mean) ** 2, 0) / train.length);
    for (const [index, value] of doubles.entries()) {
      if (value === null) expect(scaled[index]).toBeNull();
      else expect(scaled[index]).toBeCloseTo((value - mean) / deviation, 9);
    }
    expect(result.split).toEqual({
      train: split.filter((one) => one === 'train').length,
      test: split.filter((one) => one === 'test').length,
    });
    expect(result.split!.test / rows.length).toBeGreaterThan(0.15);
    const sides = new Map(spine.map(([, b, , a], index) => [`${a} ${b}`, split[index]]));
    for (const [index, [, b, , a]] of spine.entries()) expect(split[index]).toBe(sides.get(`${a} ${b}`));
    expect(result).toMatchObject({ fitted: ['t@1'], views: ['newest@1', 'windows@1'] });
  }, 60_000);

  test('without what its transformers need is refused before anything is read', async () => {
    const [own, options] = await optionsOf('csv', { fit: false });
    await expect(buildTrainingSet(plan, options, own, createBuiltinJoin(platform.store), idle)).rejects.toMatchObject({
      code: 'TRANSFORMER_UNFITTED',
    });
  });
});
