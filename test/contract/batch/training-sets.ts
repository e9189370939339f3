/** Training sets that Spark joins: the same as those of the built-in engine, row by row. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { entityKey } from '../../../src/definition/entity-key.js';
import type { ServiceType } from '../../../src/definition/service-type.js';
import type { FeatureValue, ValueType } from '../../../src/definition/value-type.js';
import type { EngineDriver } from '../../../src/materialization/engine-driver.js';
import { createEngineJoin } from '../../../src/materialization/engine-join-run.js';
import type { PointInTimeJoin } from '../../../src/retrieval/point-in-time-join.js';
import { createBuiltinJoin } from '../../../src/retrieval/point-in-time-join-builtin.js';
import { createSparkJoin } from '../../../src/retrieval/point-in-time-join-spark.js';
import {
  buildTrainingSet,
  type TrainingRun,
  type TrainingSetOptions,
  type TrainingSetResult,
} from '../../../src/retrieval/training-set.js';
import { createVectorPlan, type VectorPlan } from '../../../src/retrieval/vector-plan.js';
import type { NewRow } from '../../../src/store/offline-store.js';
import { readTable } from '../../../src/tabular/table-reader.js';
import type { TableColumn, TableRow } from '../../../src/tabular/table-schema.js';
import { openTableWriter } from '../../../src/tabular/table-writer.js';
import { everyAggregation, everyColumn, randomInstant, randomValue } from '../../unit/fakes/random-history.js';
import { seededRandom } from '../../unit/fakes/seeded-random.js';
import { batchOf, freshAggregationView, freshTopic, freshView } from '../store/offline-samples.js';
import { PROJECT } from '../store/postgres-platform.js';
import { expectSame } from '../store/same-values.js';
import { folder, NOW, PATIENCE, platform, spark } from './batch-scene.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const DAY = 86_400_000;
const ENTITIES = 200;
const ROWS = 1_000;
const KEYS = [
  { name: 'a', type: 'INT64' as const, column: 'a' },
  { name: 'b', type: 'STRING' as const, column: 'b' },
];
/** Besides one of every type: lists, a column whose name a join key has, and one that differs from another by the size of a letter. */
const columns: [string, ValueType][] = [
  ...everyColumn,
  ['texts', 'STRING[]'],
  ['moments', 'TIMESTAMP[]'],
  ['bigs', 'INT64[]'],
  ['a', 'INT32'],
  ['Double', 'FLOAT64'],
];
/** What lines and JSON may stumble over. */
const ODD = '\u2028\n\r\t\\"\u0001';
const spineSchema: TableColumn[] = [
  { name: 'label', type: 'BOOL' },
  { name: 'b', type: 'STRING' },
  { name: 'event_time', type: 'TIMESTAMP' },
  { name: 'a', type: 'INT64' },
];
const options: TrainingSetOptions = {
  spine: '',
  spineFormat: 'parquet',
  timestamp: 'event_time',
  format: 'arrow',
  before: false,
  known: false,
  split: { by: 'row', test: 0.3, seed: 1 },
  fit: false,
  partRows: 300,
};

/** (1, 23) and (12, 3) are one text, and two entities. */
function partsOf(entity: number): [string, string] {
  const index = entity + 1;
  return index % 2 ? [`${index}`, `${index}3`] : [`${index}${index + 1}`, '3'];
}

/** Writes random histories and a spine over them. */
async function openHistories(): Promise<VectorPlan> {
  const rowView = { ...freshView(columns, KEYS as never), id: 'newest@1', name: 'newest', ttl: 30 * DAY };
  const windows = { ...freshAggregationView(everyColumn, everyAggregation, KEYS), id: 'windows@1', name: 'windows' };
  await platform.store.prepare([rowView, windows]);
  const random = seededRandom(seed);
  const rows: NewRow[] = [];
  const times = new Map<number, number[]>();
  for (let entity = 0; entity < ENTITIES; entity += 1) {
    const base = randomInstant(random, NOW);
    const own: number[] = [];
    times.set(entity, own);
    for (let count = random.below(12); count > 0; count -= 1) {
      const eventTime = Math.min(NOW, base + random.below(4) * random.below(3) * random.below(10 * DAY));
      const values = columns.map(([, type]): FeatureValue => {
        if (random.below(6) === 0) return null;
        if (type === 'STRING' && random.below(5) === 0) return ODD;
        if (!type.endsWith('[]')) return randomValue(random, type);
        const element = type.slice(0, -2) as ValueType;
        return Array.from({ length: random.below(3) }, () => randomValue(random, element)) as FeatureValue;
      });
      rows.push({ offset: 0n, key: entityKey(partsOf(entity)), eventTime, values });
      own.push(eventTime);
    }
  }
  random.shuffle(rows);
  const numbered = rows.map((row, at) => ({ ...row, offset: BigInt(at) }));
  const place = (name: string): number => columns.findIndex(([column]) => column === name);
  const aggregated = numbered.map((row) => ({
    ...row,
    values: windows.columns.map(({ name }) => row.values[place(name)]!),
  }));
  const histories = [
    { view: rowView, rows: numbered },
    { view: windows, rows: aggregated },
  ];
  await platform.store.commit({ ...batchOf(freshTopic(), histories), now: NOW });

  const edges = [0, 0, -1, 1, 3_600_000, DAY - 1, DAY, DAY + 1, 30 * DAY, 30 * DAY + 1];
  const spine = Array.from({ length: ROWS }, (): TableRow => {
    const entity = random.below(ENTITIES + 5);
    const [a, b] = partsOf(entity);
    const own = times.get(entity) ?? [];
    const near = own[random.below(Math.max(1, own.length))] ?? NOW;
    return [random.below(2) === 0, b, Math.min(NOW, near + edges[random.below(edges.length)]!), BigInt(a)];
  });
  spine.push(...spine.slice(0, 50));
  const writer = await openTableWriter(join(folder, 'spine.parquet'), 'parquet', spineSchema);
  await writer.write(spine);
  await writer.close();

  const features = [rowView, windows].flatMap((view) =>
    view.features.map(({ name }) => ({
      field: view === rowView ? `newest${name}` : name,
      view: view.name,
      version: 1,
      feature: name,
    })),
  );
  const service: ServiceType = {
    name: 's',
    version: 1,
    typeName: 'S',
    queryField: 's',
    description: undefined,
    owner: undefined,
    request: [],
    features,
  };
  return createVectorPlan(
    service,
    new Map([
      ['newest@1', rowView],
      ['windows@1', windows],
    ]),
  );
}

interface Built {
  readonly result: TrainingSetResult;
  readonly rows: readonly TableRow[];
}

function expectSameRows(got: Built, wanted: Built): void {
  expect(got.rows).toHaveLength(wanted.rows.length);
  for (const [index, row] of wanted.rows.entries()) {
    expectSame({ features: got.result.columns } as never, got.rows[index]!, row, `of row ${index} (seed ${seed})`);
  }
}

async function readSet(own: string): Promise<TableRow[]> {
  const table = await readTable(join(own, 'data.arrow'), {});
  const rows: TableRow[] = [];
  for await (const batch of table.batches()) rows.push(...batch);
  await table.close();
  return rows;
}

/** Declares the tests. */
export function trainingSets(): void {
  describe(`a training set that Spark joins (seed ${seed})`, () => {
    const sparkJoin = (driver: EngineDriver = spark): PointInTimeJoin =>
      createSparkJoin(createEngineJoin({ driver, project: PROJECT }));
    const run = (notes: string[] = [], signal = new AbortController().signal): TrainingRun => ({
      signal,
      finishedParts: 0,
      report: ({ note = '' }) => notes.push(note),
    });
    let plan: VectorPlan | null = null;
    const build = async (name: string, joiner: PointInTimeJoin, before = false, work = run()): Promise<Built> => {
      plan ??= await openHistories();
      const own = join(folder, name);
      const result = await buildTrainingSet(
        plan,
        { ...options, spine: join(folder, 'spine.parquet'), before },
        own,
        joiner,
        work,
      );
      return { result, rows: await readSet(own) };
    };

    test.each([false, true])(
      'has each row of its spine, in order, with the values of the built-in engine (strictly before: %s)',
      async (before) => {
        const notes: string[] = [];
        const wanted = await build(`builtin_${before}`, createBuiltinJoin(platform.store), before);
        const got = await build(`spark_${before}`, sparkJoin(), before, run(notes));
        expect(got.rows).toHaveLength(ROWS + 50);
        expect(got.result.columns.map(({ name, type }) => [name, type])).toEqual(
          wanted.result.columns.map(({ name, type }) => [name, type]),
        );
        expectSameRows(got, wanted);
        expect(notes).toContain('Spark starts');
        expect(await readdir(join(folder, `spark_${before}`))).toEqual(['data.arrow', 'manifest.json']);
        // Without values the comparison would say nothing.
        const nulls = got.result.columns.filter(({ statistics }) => statistics.nulls === ROWS + 50);
        expect(nulls).toEqual([]);
      },
      PATIENCE,
    );

    test(
      'whose run dies begins again, and one that was joined does not',
      async () => {
        const dead: EngineDriver = {
          run: async () => ({ outcome: 'failed', code: 'SPARK_FAILED', message: 'killed', field: null, log: 'log' }),
        };
        await expect(build('again', sparkJoin(dead))).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
        const abort = new AbortController();
        const stopped = run([], abort.signal);
        const report: TrainingRun['report'] = (_, parts) => parts === 1 && abort.abort(new Error('stopped'));
        await expect(build('again', sparkJoin(), false, { ...stopped, report })).rejects.toThrow('stopped');
        const parts = await readdir(join(folder, 'again', 'parts'));
        expect(parts.filter((name) => name.startsWith('spark-'))).toEqual([]);
        // What was joined needs no Spark any more.
        expectSameRows(
          await build('again', sparkJoin(dead)),
          await build('builtin_again', createBuiltinJoin(platform.store)),
        );
      },
      PATIENCE,
    );

    test('needs a Spark where it is joined', async () => {
      await expect(build('none', createSparkJoin(null))).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
    });
  });
}
