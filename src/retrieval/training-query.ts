/**
 * The point-in-time join: rows of a spine in, the same rows with the service's features out.
 *
 * Job: for a batch of spine rows one statement for each view, all views at once; then the vector plan that serves online.
 * Boundary: knows no files and no jobs.
 *
 * Invariants
 * 1. As many rows come out as went in, in their order, duplicates and equal instants included.
 * 2. A value is what the same entity showed at the row's instant: event time ≤ the instant (or < it, if asked for), TTL applied.
 */
import { type EntityKey, readKey } from '../definition/entity-key.js';
import type { FeatureValue, KeyType } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import type { OfflineStore, PointInTimeOptions, StoredRow } from '../store/offline-store.js';
import { rowAt } from './feature-row.js';
import type { RequestData, VectorPlan } from './vector-plan.js';

/** A row of a spine, as the join needs it. */
export interface SpineRow {
  /** Values of the plan's join keys, by name. */
  readonly keys: Readonly<Record<string, FeatureValue>>;
  /** The instant, milliseconds since 1970. */
  readonly at: number;
  readonly request: RequestData;
}

/** The features of each row, in the order of the plan's columns, before transformations; `first`: how many rows came before. */
export async function joinFeatures(
  plan: VectorPlan,
  offline: OfflineStore,
  spine: readonly SpineRow[],
  first: number,
  options: PointInTimeOptions,
): Promise<FeatureValue[][]> {
  const instants = spine.map(({ at }) => at);
  const stored = await Promise.all(
    plan.views.map((view) => offline.valuesAt(view, keysOf(view, spine, first), instants, options)),
  );
  return vectorsOf(plan, spine, stored);
}

/** The same of what was found: for each view of the plan, what each row of the spine has found there. */
export function vectorsOf(
  plan: VectorPlan,
  spine: readonly SpineRow[],
  stored: readonly (readonly (StoredRow | null)[])[],
): FeatureValue[][] {
  return spine.map(({ at, request }, index) => {
    const rows = plan.views.map((view, place) => rowAt(view, stored[place]![index] ?? null, at));
    return plan.columns.map((column) => column.untransformed(rows, request));
  });
}

/** The key of a view in each row of a spine. Throws KEY_INVALID, which names the row (from 1) and the column. */
export function keysOf(view: ViewVersion, spine: readonly SpineRow[], first: number): EntityKey[] {
  const types = view.keys.map(({ type }): KeyType => type);
  return spine.map(({ keys }, index) => {
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
