/**
 * Builds a training set. Its input is a spine: rows that each name an entity and an instant, often with a label. Each
 * row is joined with the features of a service as they were at that instant.
 *
 * Job: joins the spine part by part, so that memory stays flat and an interrupted run continues where it stopped. One
 * more pass transforms, splits, counts and writes the data file and a manifest that describes it.
 *
 * Invariants
 * 1. The set has exactly the rows of the spine, in their order. The columns of the spine come first, unchanged.
 * 2. A part that the checkpoint counts is complete on disk. A continued run produces the same bytes as an uninterrupted
 *    one.
 * 3. Transformers are fitted on the train split alone. Their parameters then transform all rows.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { camelCase } from '../definition/graphql-name.js';
import type { FittedParameters } from '../definition/transformer-options.js';
import type { ValueType } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import type { JobProgress } from '../store/job-store.js';
import { weightOf } from '../tabular/row-batch.js';
import { readTable } from '../tabular/table-reader.js';
import type { TableColumn, TableFormat, TableRow } from '../tabular/table-schema.js';
import { openTableWriter } from '../tabular/table-writer.js';
import { createFitter } from '../transformation/fitter.js';
import { createTransformer } from '../transformation/transformer.js';
import type { PointInTimeJoin } from './point-in-time-join.js';
import { eachInTurns, mapInTurns } from './row-turns.js';
import type { SpineRow } from './training-query.js';
import { type SplitName, splitOf, type TrainingSplit } from './training-split.js';
import { ColumnProfile, type ColumnStatistics } from './training-statistics.js';
import type { VectorColumn, VectorPlan } from './vector-plan.js';

/** Rows of one part. */
const PART_ROWS = 20_000;
/** Values of one part at most: parts of many columns have fewer rows. */
const PART_VALUES = 4_000_000;
/** Characters of the texts of one part at most, which is held in memory. */
const PART_CHARACTERS = 256 * 1_048_576;
const SPLIT_COLUMN = 'split';

/** What to build: the spine's file and how to join, split, transform and write it. */
export interface TrainingSetOptions {
  /** Path of the spine's file. */
  readonly spine: string;
  readonly spineFormat: TableFormat;
  /** Column of the spine that holds the instant of each row. */
  readonly timestamp: string;
  readonly format: TableFormat;
  /** True to join only events before the row's instant, and none at it. */
  readonly before: boolean;
  /** True to join only events that had arrived by the row's instant. */
  readonly known: boolean;
  readonly split: TrainingSplit | null;
  /** True to fit every transformer of the service on this set, including those that already have parameters. */
  readonly fit: boolean;
  /** Rows of one part; 20,000 by default. */
  readonly partRows?: number;
}

/** What the job runner provides for one run. */
export interface TrainingRun {
  readonly signal: AbortSignal;
  /** How many parts an earlier run has finished. */
  readonly finishedParts: number;
  report(progress: JobProgress, finishedParts: number): void;
}

/** The manifest of a finished training set. */
export interface TrainingSetResult {
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly columns: readonly (TableColumn & { readonly origin: string; readonly statistics: ColumnStatistics })[];
  readonly split: Readonly<Record<SplitName, number>> | null;
  /** Ids of the view versions that were read. */
  readonly views: readonly string[];
  /** Parameters of the transformers that were applied, by `name@version` of the transformer. */
  readonly transformers: Readonly<Record<string, FittedParameters>>;
  /** The transformers that were fitted on this set. */
  readonly fitted: readonly string[];
}

/** Returns the name of a training set's data file in its folder. */
export function dataFile(format: TableFormat): string {
  return `data.${format}`;
}

/**
 * Builds the training set of `plan` in `folder`, which may hold parts of an interrupted run. `run.signal` stops it
 * between two statements. Throws BAD_REQUEST or KEY_INVALID for an invalid spine, TRANSFORMER_UNFITTED, and errors of
 * stores and engines.
 */
export async function buildTrainingSet(
  plan: VectorPlan,
  options: TrainingSetOptions,
  folder: string,
  joiner: PointInTimeJoin,
  run: TrainingRun,
): Promise<TrainingSetResult> {
  const unfitted = plan.columns.filter(({ transformation }) => transformation && !transformation.parameters);
  if (unfitted.length > 0 && !options.fit) {
    const names = unfitted.map(({ transformation }) => transformation?.origin).join(', ');
    throw new FStoreError('TRANSFORMER_UNFITTED', `${names} of service ${plan.service.name}`, { field: 'fit' });
  }
  await mkdir(partFolder(folder), { recursive: true });
  const spine = await joinParts(plan, options, folder, joiner, run);
  const result = await finish(plan, options, folder, spine, run);
  await writeFile(join(folder, 'manifest.json'), `${JSON.stringify(result, null, 2)}\n`);
  await rm(partFolder(folder), { recursive: true, force: true });
  return result;
}

interface JoinedSpine {
  readonly schema: readonly TableColumn[];
  readonly features: readonly TableColumn[];
  readonly parts: number;
  readonly rows: number;
}

const partFolder = (folder: string): string => join(folder, 'parts');
const partFile = (folder: string, part: number): string =>
  join(partFolder(folder), `${`${part}`.padStart(6, '0')}.arrow`);

/** Joins the spine part by part; skips parts that an earlier run has finished. */
async function joinParts(
  plan: VectorPlan,
  options: TrainingSetOptions,
  folder: string,
  joiner: PointInTimeJoin,
  run: TrainingRun,
): Promise<JoinedSpine> {
  const declared = [
    ...plan.joins.map(({ name, type }): TableColumn => ({ name, type })),
    { name: options.timestamp, type: 'TIMESTAMP' as const },
    ...plan.request,
  ];
  const { spine: path, spineFormat: format, before, known } = options;
  const open = () => readTable(path, { format, schema: declared, extra: true, batchSize: PART_ROWS });
  // A job reads one file at a time, so that no two jobs wait for each other's turn.
  const { schema, rowCount, close } = await open();
  await close();
  const features = featureColumns(plan, schema);
  const reader = spineReader(plan, schema, options.timestamp);
  const width = schema.length + features.length;
  const size = options.partRows ?? Math.max(1, Math.min(PART_ROWS, Math.floor(PART_VALUES / width)));
  const join = await joiner.begin({
    ...{ plan, before, known, folder: partFolder(folder), partRows: size, signal: run.signal },
    spine: async function* () {
      const whole = await open();
      try {
        for await (const batch of whole.batches()) yield await mapInTurns(batch, reader);
      } finally {
        await whole.close();
      }
    },
    report: (progress) => run.report({ ...progress, total: progress.total ?? rowCount }, run.finishedParts),
  });
  const table = await open();
  try {
    let [part, rows] = [0, 0];
    for await (const batch of inParts(table.batches(), size)) {
      if (part >= run.finishedParts) {
        const joined = await join.join(part, await mapInTurns(batch, reader));
        const writer = await openTableWriter(`${partFile(folder, part)}.tmp`, 'arrow', [...schema, ...features]);
        try {
          await writer.write(await mapInTurns(batch, (row, index): TableRow => [...row, ...joined[index]!]));
          await writer.close();
        } finally {
          await writer.discard();
        }
        await rename(`${partFile(folder, part)}.tmp`, partFile(folder, part));
      }
      part += 1;
      rows += batch.length;
      run.report({ done: rows, total: rowCount, note: 'joining' }, part);
      run.signal.throwIfAborted();
    }
    return { schema, features, parts: part, rows };
  } finally {
    await table.close();
  }
}

/** Regroups rows into batches of exactly `size` rows; the last may be smaller. Throws TABLE_TOO_LARGE for too long texts. */
async function* inParts(
  batches: AsyncIterable<readonly TableRow[]>,
  size: number,
): AsyncGenerator<readonly TableRow[]> {
  let part: TableRow[] = [];
  let characters = 0;
  for await (const batch of batches) {
    for (const row of batch) {
      part.push(row);
      characters += weightOf(row);
      if (characters > PART_CHARACTERS) {
        const message = `${part.length} rows of the spine have more than ${PART_CHARACTERS} characters together`;
        throw new FStoreError('TABLE_TOO_LARGE', message, { field: 'spine' });
      }
      if (part.length < size) continue;
      yield part;
      part = [];
      characters = 0;
    }
  }
  if (part.length > 0) yield part;
}

/** Returns a function that converts a row of the spine's file into the form that the join needs. */
function spineReader(
  plan: VectorPlan,
  schema: readonly TableColumn[],
  timestamp: string,
): (row: TableRow, index: number) => SpineRow {
  const indexOf = (name: string): number => schema.findIndex((column) => column.name === name);
  const keys = plan.joins.map(({ name }) => ({ name, index: indexOf(name) }));
  const request = plan.request.map(({ name }) => ({ name, index: indexOf(name) }));
  const time = indexOf(timestamp);
  return (row, index) => {
    const at = row[time];
    if (typeof at !== 'number') {
      throw new FStoreError('BAD_REQUEST', `row ${index + 1} of a part of the spine has no ${timestamp}`, {
        field: timestamp,
      });
    }
    return {
      keys: Object.fromEntries(keys.map((one) => [one.name, row[one.index] ?? null])),
      at,
      request: Object.fromEntries(request.map((one) => [one.name, row[one.index] ?? null])),
    };
  };
}

/**
 * Returns the feature columns before transformation. A name that the spine already has is prefixed with `feature_`.
 */
function featureColumns(plan: VectorPlan, spine: readonly TableColumn[]): TableColumn[] {
  const taken = new Set(spine.map(({ name }) => name));
  if (taken.has(SPLIT_COLUMN)) {
    throw new FStoreError('BAD_REQUEST', `the spine has a column ${SPLIT_COLUMN}, which a training set adds`, {
      field: SPLIT_COLUMN,
    });
  }
  return plan.columns.map(({ field, type, transformation }) => {
    const name = taken.has(field) ? camelCase(`feature_${field}`) : field;
    return { name, type: transformation?.input ?? type };
  });
}

/** Reads all parts in order. */
async function* readParts(folder: string, parts: number): AsyncGenerator<readonly TableRow[]> {
  for (let part = 0; part < parts; part += 1) {
    const table = await readTable(partFile(folder, part), { format: 'arrow' });
    try {
      yield* table.batches();
    } finally {
      await table.close();
    }
  }
}

/** Fits transformers, then transforms, splits, counts and writes all rows. */
async function finish(
  plan: VectorPlan,
  options: TrainingSetOptions,
  folder: string,
  { schema, features, parts, rows }: JoinedSpine,
  run: TrainingRun,
): Promise<TrainingSetResult> {
  const total = rows;
  const splitRow = rowSplitter(plan, options, schema);
  const parameters = await fitTransformers(plan, options, folder, { schema, parts }, splitRow);
  const transforms = plan.columns.map(({ transformation }) => {
    if (!transformation) return null;
    return createTransformer(transformation.options, parameters.get(transformation.origin)!, transformation.input);
  });
  const columns: TableColumn[] = [
    ...schema,
    ...features.map(({ name }, index): TableColumn => ({ name, type: plan.columns[index]!.type })),
    ...(splitRow ? [{ name: SPLIT_COLUMN, type: 'STRING' as ValueType }] : []),
  ];
  const profiles = columns.map(({ type }) => new ColumnProfile(type));
  const counts = { train: 0, test: 0 };
  const path = join(folder, dataFile(options.format));
  const writer = await openTableWriter(`${path}.tmp`, options.format, columns);
  let ordinal = 0;
  let bytes = 0;
  try {
    for await (const batch of readParts(folder, parts)) {
      run.signal.throwIfAborted();
      const finished = await mapInTurns(batch, (row): TableRow => {
        const out = row.map((value, index) => {
          const transform = transforms[index - schema.length];
          return transform ? (transform.apply(value)[0] ?? null) : value;
        });
        const split = splitRow?.(row, ordinal);
        ordinal += 1;
        if (split) {
          counts[split] += 1;
          out.push(split);
        }
        for (const [index, value] of out.entries()) profiles[index]!.add(value);
        return out;
      });
      await writer.write(finished);
      run.report({ done: ordinal, total, note: 'writing' }, parts);
    }
    ({ bytes } = await writer.close());
  } finally {
    await writer.discard();
  }
  await rename(`${path}.tmp`, path);
  const origins = [...schema.map(() => 'spine'), ...plan.columns.map(({ origin }) => origin), 'split'];
  return {
    rows,
    bytes,
    sha256: await hashFile(path),
    columns: columns.map((column, index) => ({
      ...column,
      origin: origins[index]!,
      statistics: profiles[index]!.read(),
    })),
    split: splitRow ? counts : null,
    views: plan.views.map(({ id }) => id),
    transformers: Object.fromEntries(parameters),
    fitted: options.fit ? [...parameters.keys()] : [],
  };
}

type SplitRow = (row: TableRow, ordinal: number) => SplitName;

function rowSplitter(
  plan: VectorPlan,
  { split, timestamp }: TrainingSetOptions,
  schema: readonly TableColumn[],
): SplitRow | null {
  if (!split) return null;
  const indexOf = (name: string): number => schema.findIndex((column) => column.name === name);
  const [time, keys] = [indexOf(timestamp), plan.joins.map(({ name }) => indexOf(name))];
  return (row, ordinal) =>
    splitOf(split, ordinal, JSON.stringify(keys.map((key) => `${row[key]}`)), row[time] as number);
}

/** Returns the parameters of every transformer: the existing ones, or ones fitted on the train split. */
async function fitTransformers(
  plan: VectorPlan,
  options: TrainingSetOptions,
  folder: string,
  { schema, parts }: Pick<JoinedSpine, 'schema' | 'parts'>,
  splitRow: SplitRow | null,
): Promise<Map<string, FittedParameters>> {
  const transformed = plan.columns.flatMap((column, index) =>
    column.transformation ? [{ ...required(column), index: schema.length + index }] : [],
  );
  const parameters = new Map<string, FittedParameters>();
  if (!options.fit || transformed.length === 0) {
    for (const { origin, parameters: known } of transformed) if (known) parameters.set(origin, known);
    return parameters;
  }
  const fitters = transformed.map((one) => ({ ...one, fitter: createFitter(one.options, one.input, one.origin) }));
  let ordinal = 0;
  for await (const batch of readParts(folder, parts)) {
    await eachInTurns(batch, (row) => {
      const split = splitRow?.(row, ordinal);
      ordinal += 1;
      if (split !== 'test') for (const { fitter, index } of fitters) fitter.add(row[index] ?? null);
    });
  }
  for (const { origin, fitter } of fitters) parameters.set(origin, fitter.fit());
  return parameters;
}

function required({ transformation }: VectorColumn): NonNullable<VectorColumn['transformation']> {
  if (!transformation) throw new FStoreError('INTERNAL', 'a column without a transformation cannot be fitted');
  return transformation;
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
