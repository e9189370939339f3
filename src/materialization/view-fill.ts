/** How a view that begins later reads the earlier events of its source. */
import type { SourceMeaning } from '../definition/definition-record.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { ViewFill } from '../store/offline-store.js';
import { checkEvent, parseEventJson, rowOf } from './event-decoder.js';
import type { SourceContract } from './source-contract.js';

/** Returns the fill of a query view. It reads no logged events: its engine reads those that the topic still holds. */
export function queryFill(view: ViewVersion): ViewFill {
  return { view, read: null };
}

/**
 * Returns the fill of one view. Only the columns that the view needs are read from a logged event, so changes of other
 * columns do not cost the view its history. An event that lacks a needed column is skipped.
 */
export function viewFill(contract: SourceContract, view: ViewVersion): ViewFill {
  const { meaning, source } = contract;
  const needed = new Set([
    meaning.timestamp,
    ...view.keys.map((key) => key.column),
    ...view.columns.map((one) => one.column),
  ]);
  const schema: SourceMeaning['schema'] = Object.fromEntries(
    Object.entries(meaning.schema).filter(([column]) => needed.has(column)),
  );
  const narrow = {
    source,
    meaning: { ...meaning, schema },
    views: [view],
    format: null,
    // Events in the log passed the limits when they arrived.
    limits: { clockSkew: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY },
  };
  return {
    view,
    read: (payload) => {
      const columns = Object.entries(parseEventJson(payload) as object).filter(([column]) => needed.has(column));
      const checked = checkEvent(Object.fromEntries(columns), narrow, 0);
      return checked.ok ? rowOf(checked.event, view) : null;
    },
  };
}
