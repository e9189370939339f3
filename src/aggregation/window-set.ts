import type { AggregationMeaning } from '../definition/definition-record.js';
import type { Window } from '../definition/window.js';

/** Returns each distinct window of a view once, with the indexes of the features that use it. */
export function distinctWindows({ features }: AggregationMeaning): (Window & { readonly features: number[] })[] {
  const windows = new Map<string, Window & { readonly features: number[] }>();
  for (const [feature, { length, hop }] of features.entries()) {
    const key = `${length} ${hop}`;
    const window = windows.get(key) ?? { length, hop, features: [] };
    windows.set(key, window);
    window.features.push(feature);
  }
  return [...windows.values()];
}
