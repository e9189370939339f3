import type { AggregationMeaning } from '../definition/definition-record.js';
import type { Window } from '../definition/window.js';

/** The windows of a view, each once, in the order in which its features name them. */
export function distinctWindows({ features }: AggregationMeaning): Window[] {
  return [...new Map(features.map(({ length, hop }) => [`${length} ${hop}`, { length, hop }])).values()];
}
