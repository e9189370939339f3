/** How a view that begins later reads the events that its source has had until then. */
import type { SourceMeaning } from '../definition/definition-record.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { ViewFill } from '../store/offline-store.js';
import { checkEvent, parseEventJson, rowOf } from './event-decoder.js';
import type { SourceContract } from './source-contract.js';

/** The fill of a view that a query computes: it begins with its engine, which reads what the topic still holds. */
export function queryFill(view: ViewVersion): ViewFill {
  return { view, read: null };
}

/**
 * The fill of one view. Of a logged event only the columns that the view needs are looked at, so that a column which the
 * source has lost, gained or changed since does not cost the view its history; an event without them is passed over.
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
    // Whatever is in the log was accepted when it came.
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
