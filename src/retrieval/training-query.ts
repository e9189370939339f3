/**
 * The built-in point-in-time join: adds a service's features to rows of a spine.
 *
 * Job: runs one statement for each view, all views at once, for a batch of rows. Then applies the same vector plan that
 * serves online.
 * Boundary: knows neither files nor jobs.
 *
 * Invariants
 * 1. The result has one row for each row of the spine, in the same order, including duplicates and equal instants.
 * 2. A value is what the same entity showed at the row's instant: event time ≤ the instant (or < it, on request), TTL
 *    applied.
 */
import { type EntityKey, readKey } from '../definition/entity-key.js';
import type { FeatureValue, KeyType } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import type { OfflineStore, PointInTimeOptions, StoredRow } from '../store/offline-store.js';
import { ExpressionWork } from '../transformation/expression-budget.js';
import { rowAt } from './feature-row.js';
import { mapInTurns } from './row-turns.js';
import type { RequestData, VectorPlan } from './vector-plan.js';

/** A row of a spine in the form that the join needs. */
export interface SpineRow {
  /** Values of the plan's join keys, by name. */
  readonly keys: Readonly<Record<string, FeatureValue>>;
  /** The row's instant, in milliseconds since 1970. */
  readonly at: number;
  readonly request: RequestData;
}

/**
 * Returns the features of each row in the order of the plan's columns, before transformation. `first` is the number of
 * spine rows before this batch.
 */
export async function joinFeatures(
  plan: VectorPlan,
  offline: OfflineStore,
  spine: readonly SpineRow[],
  first: number,
  options: PointInTimeOptions,
): Promise<FeatureValue[][]> {
  const instants = spine.map(({ at }) => at);
  const stored = await Promise.all(
    plan.views.map(async (view) => offline.valuesAt(view, await keysOf(view, spine, first), instants, options)),
  );
  return vectorsOf(plan, spine, stored);
}

/**
 * Returns the features of each row from the stored rows: for each view of the plan, one stored row for each row of the
 * spine.
 */
export async function vectorsOf(
  plan: VectorPlan,
  spine: readonly SpineRow[],
  stored: readonly (readonly (StoredRow | null)[])[],
): Promise<FeatureValue[][]> {
  const convert = ({ at, request }: SpineRow, index: number): FeatureValue[] => {
    const rows = plan.views.map((view, place) => rowAt(view, stored[place]![index] ?? null, at));
    // A row has the budget of a request that reads one vector.
    const work = new ExpressionWork();
    return plan.columns.map((column) => column.untransformed(rows, request, work));
  };
  return mapInTurns(spine, convert, plan.columns.every(({ pinned }) => pinned) ? undefined : 1);
}

/**
 * Returns a view's key for each row of a spine. Throws KEY_INVALID, naming the row (counted from 1) and the column.
 */
export async function keysOf(view: ViewVersion, spine: readonly SpineRow[], first: number): Promise<EntityKey[]> {
  const types = view.keys.map(({ type }): KeyType => type);
  return mapInTurns(spine, ({ keys }, index) => {
    const read = readKey(
      types,
      view.keys.map(({ name }) => keys[name] ?? null),
    );
    if (read.ok) return read.key;
    const field = view.keys[read.part]!.name;
    throw new FStoreError(
      'KEY_INVALID',
      `row ${first + index + 1} of the spine: ${field} is no join key: ${read.reason}`,
      { field },
    );
  });
}
