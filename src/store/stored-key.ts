import type { ViewVersion } from '../definition/view-version.js';

/** Returns the history column of a join key: its own name, or `_key_…` if a column of the view has that name. */
export function storedKeyName(view: ViewVersion, key: string): string {
  return view.columns.some((one) => one.name === key) ? `_key_${key}` : key;
}
