import type { FeatureValue } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { StoredRow } from '../store/offline-store.js';

/** PRESENT, or the reason why a feature has no value. */
export type FeatureStatus = 'PRESENT' | 'NULL_VALUE' | 'NOT_FOUND' | 'OUTSIDE_MAX_AGE' | 'FORBIDDEN' | 'UNAVAILABLE';

/** The features of one view for one entity at one instant. `values` is null unless `status` is PRESENT. */
export interface FeatureRow {
  readonly status: Exclude<FeatureStatus, 'NULL_VALUE'>;
  /** Milliseconds since 1970; null if there is no row. */
  readonly eventTime: number | null;
  readonly values: readonly FeatureValue[] | null;
}

const NOT_FOUND: FeatureRow = { status: 'NOT_FOUND', eventTime: null, values: null };
/** The row of an entity that no store could be asked about. */
export const UNAVAILABLE: FeatureRow = { status: 'UNAVAILABLE', eventTime: null, values: null };

/**
 * Returns whether `row` is the current value at `at`. False if the row is newer than `at`, or if its windows have moved
 * on.
 */
export function holdsAt(row: StoredRow | null, at: number): boolean {
  if (!row) return true;
  return row.holds ? row.holds.from <= at && at < row.holds.until : row.eventTime <= at;
}

/** Returns the features of a stored row at instant `at`. A value whose age equals its TTL is still valid. */
export function rowAt(view: ViewVersion, row: StoredRow | null, at: number): FeatureRow {
  if (!row) return NOT_FOUND;
  if (view.ttl !== null && row.eventTime < at - view.ttl) {
    return { status: 'OUTSIDE_MAX_AGE', eventTime: row.eventTime, values: null };
  }
  return { status: 'PRESENT', eventTime: row.eventTime, values: row.values };
}

/** Returns the status of the feature at `index` of a row. */
export function featureStatus(row: FeatureRow, index: number): FeatureStatus {
  return row.status === 'PRESENT' && (row.values?.[index] ?? null) === null ? 'NULL_VALUE' : row.status;
}
