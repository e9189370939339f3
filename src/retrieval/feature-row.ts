import type { FeatureValue } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { StoredRow } from '../store/offline-store.js';

/** Why a feature has the value that it has. */
export type FeatureStatus = 'PRESENT' | 'NULL_VALUE' | 'NOT_FOUND' | 'OUTSIDE_MAX_AGE' | 'FORBIDDEN' | 'UNAVAILABLE';

/** The features of one view for one entity at one instant. `values` is null unless `status` is PRESENT. */
export interface FeatureRow {
  readonly status: Exclude<FeatureStatus, 'NULL_VALUE'>;
  /** Milliseconds since 1970; null if there is no row. */
  readonly eventTime: number | null;
  readonly values: readonly FeatureValue[] | null;
}

const NOT_FOUND: FeatureRow = { status: 'NOT_FOUND', eventTime: null, values: null };
export const UNAVAILABLE: FeatureRow = { status: 'UNAVAILABLE', eventTime: null, values: null };

/** False for a row that lies in the future of `at`, or whose windows have moved on by then. */
export function holdsAt(row: StoredRow | null, at: number): boolean {
  if (!row) return true;
  return row.holds ? row.holds.from <= at && at < row.holds.until : row.eventTime <= at;
}

/** What a stored row shows at instant `at`: a value exactly as old as its TTL still holds. */
export function rowAt(view: ViewVersion, row: StoredRow | null, at: number): FeatureRow {
  if (!row) return NOT_FOUND;
  if (view.ttl !== null && row.eventTime < at - view.ttl) {
    return { status: 'OUTSIDE_MAX_AGE', eventTime: row.eventTime, values: null };
  }
  return { status: 'PRESENT', eventTime: row.eventTime, values: row.values };
}

/** The status of the feature at `index` of a row. */
export function featureStatus(row: FeatureRow, index: number): FeatureStatus {
  return row.status === 'PRESENT' && (row.values?.[index] ?? null) === null ? 'NULL_VALUE' : row.status;
}
