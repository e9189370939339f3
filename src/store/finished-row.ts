import { aggregationPlan, finishValues, type TileSet } from '../aggregation/tile-set.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { StoredRow } from './offline-store.js';

/**
 * Finalizes an entity's tiles at instant `at` (milliseconds since 1970), which must not be before any of their events.
 */
export function finishRow(view: ViewVersion, set: TileSet, at: number): StoredRow {
  const { values, until } = finishValues(aggregationPlan(view.aggregation!), set.tiles, at);
  return { eventTime: set.eventTime, sequence: set.version, values, holds: { from: at, until } };
}
