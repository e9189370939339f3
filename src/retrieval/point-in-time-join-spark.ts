/**
 * The point-in-time join by Spark. One run joins the whole spine with the history of all views and writes its result as
 * lines, in one folder for each part. The spine alone determines which rows a part has and in which order. A row
 * without a line has found no value.
 *
 * Invariants
 * 1. Only lines of a complete run are read: its folder is renamed when the run has ended. Every run starts with a
 *    folder of its own.
 * 2. Finalizing states, applying TTLs and computing on-demand features is the code of all other reads.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { aggregationPlan } from '../aggregation/tile-set.js';
import { distinctWindows } from '../aggregation/window-set.js';
import { type FeatureValue, readValue, type ValueType } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import type { RunEngineJoin } from '../store/engine-join.js';
import type { StoredRow } from '../store/offline-store.js';
import type { TableColumn, TableRow } from '../tabular/table-schema.js';
import { openTableWriter } from '../tabular/table-writer.js';
import type { JoinWork, PointInTimeJoin } from './point-in-time-join.js';
import { keysOf, vectorsOf } from './training-query.js';
import type { VectorPlan } from './vector-plan.js';

/** Folder with the lines of a complete run, in the folder of its work. */
const JOINED = 'joined';
const UNFINISHED = 'spark-';

/** Returns the join that Spark executes. `run` is null if this process has no Spark. */
export function createSparkJoin(run: RunEngineJoin | null): PointInTimeJoin {
  return {
    begin: async (work) => {
      const joined = join(work.folder, JOINED);
      if (work.plan.views.length > 0 && !(await stat(joined).catch(() => null))) await runJoin(work, joined, run);
      return {
        join: async (part, rows) => {
          work.signal.throwIfAborted();
          const stored = await readPart(work.plan, join(joined, `part=${part}`), rows.length, part * work.partRows);
          return vectorsOf(work.plan, rows, stored);
        },
      };
    },
  };
}

async function runJoin(work: JoinWork, joined: string, run: RunEngineJoin | null): Promise<void> {
  const { plan, folder, before, partRows, signal, report } = work;
  if (!run) {
    throw new FStoreError('ENGINE_UNAVAILABLE', 'the training set is joined by Spark, and this worker has none', {
      field: 'engine',
    });
  }
  for (const left of await readdir(folder)) {
    if (left.startsWith(UNFINISHED)) await rm(join(folder, left), { recursive: true, force: true });
  }
  const name = `${UNFINISHED}${randomUUID()}`;
  const own = join(folder, name);
  await mkdir(own);
  try {
    const spine = join(own, 'spine.parquet');
    if ((await writeSpine(work, spine)) === 0) return;
    report({ done: 0, total: null, note: 'Spark starts' });
    const views = plan.views.map((view) => ({ view, keys: view.keys.map((key) => placeOf(plan, key.name)) }));
    await run({ name, spine, output: join(own, JOINED), partRows, before, views }, signal, report);
    await rename(join(own, JOINED), joined);
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

const placeOf = (plan: VectorPlan, key: string): number => plan.joins.findIndex(({ name }) => name === key);

/** Writes the instants and keys of the spine as a Parquet file for the run. Returns the number of rows. */
async function writeSpine({ plan, spine, signal, report }: JoinWork, path: string): Promise<number> {
  const columns: TableColumn[] = [
    { name: 'o', type: 'INT64' },
    { name: 'at', type: 'INT64' },
    ...plan.joins.map((_, index): TableColumn => ({ name: `k${index}`, type: 'STRING' })),
  ];
  const writer = await openTableWriter(path, 'parquet', columns);
  let ordinal = 0;
  try {
    for await (const rows of spine()) {
      signal.throwIfAborted();
      const texts = rows.map(() => new Array<string | null>(plan.joins.length).fill(null));
      for (const view of plan.views) {
        const places = view.keys.map((key) => placeOf(plan, key.name));
        for (const [row, { parts }] of (await keysOf(view, rows, ordinal)).entries()) {
          for (const [part, place] of places.entries()) texts[row]![place] = parts[part]!;
        }
      }
      await writer.write(rows.map(({ at }, row): TableRow => [BigInt(ordinal + row), BigInt(at), ...texts[row]!]));
      ordinal += rows.length;
      report({ done: ordinal, total: null, note: 'reading the spine' });
    }
    await writer.close();
  } finally {
    await writer.discard();
  }
  return ordinal;
}

/**
 * One line of Spark's result for row `o` and view `w`: the newest event (`t` is its time, `v` its values), or the
 * states of window `x`.
 */
interface Line {
  readonly o: number;
  readonly w: number;
  readonly t?: number;
  readonly v?: Readonly<Record<string, unknown>>;
  readonly x?: number;
  readonly s?: Readonly<Record<string, unknown>>;
}

/** Returns the row that each row of a part has found in each view, or null. */
async function readPart(
  plan: VectorPlan,
  folder: string,
  rows: number,
  first: number,
): Promise<readonly (readonly (StoredRow | null)[])[]> {
  const found = plan.views.map((view) => new FoundRows(view, rows));
  // A part in which no row has found a value has no folder.
  const files = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const file of files.filter((name) => name.startsWith('part-'))) {
    const lines = createInterface({ input: createReadStream(join(folder, file), 'utf8') });
    for await (const text of lines) {
      const line = JSON.parse(text) as Line;
      found[line.w]!.add(line.o - first, line);
    }
  }
  return found.map((view) => view.rows());
}

/**
 * Builds the rows of one view from their lines. States are finalized as they are read, because they are larger than
 * their results.
 */
class FoundRows {
  readonly #view: ViewVersion;
  readonly #times: (number | null)[];
  readonly #values: FeatureValue[][];
  readonly #windows: readonly { readonly features: readonly number[] }[];

  constructor(view: ViewVersion, rows: number) {
    const { aggregation } = view;
    this.#view = view;
    this.#times = new Array<number | null>(rows).fill(null);
    this.#windows = aggregation ? distinctWindows(aggregation) : [];
    // The values of windows without events.
    const none = aggregation ? view.features.map((_, feature) => this.#finish(feature, {})) : [];
    this.#values = this.#times.map(() => [...none]);
  }

  add(row: number, { t, v, x, s = {} }: Line): void {
    const values = this.#values[row]!;
    if (x === undefined) this.#times[row] = t!;
    else for (const feature of this.#windows[x]!.features) values[feature] = this.#finish(feature, s);
    if (v) values.push(...this.#view.columns.map(({ type }, index) => readJson(type, v[`c${index}`])));
  }

  rows(): (StoredRow | null)[] {
    return this.#times.map((eventTime, row) =>
      eventTime === null ? null : { eventTime, sequence: 0, values: this.#values[row]! },
    );
  }

  #finish(feature: number, states: NonNullable<Line['s']>): FeatureValue {
    const { aggregators, features } = aggregationPlan(this.#view.aggregation!);
    const { aggregate } = features[feature]!;
    const { parts, finalize } = aggregators[aggregate]!;
    return finalize(parts.map((type, part) => readJson(type, states[`a${aggregate}_${part}`])));
  }
}

function readJson(type: ValueType, json: unknown): FeatureValue {
  const read = readValue(type, json);
  if (!read.ok) throw new FStoreError('ENGINE_FAILED', `Spark has written what is no ${type}: ${read.reason}`);
  return read.value;
}
