import type { ViewVersion } from '../definition/view-version.js';

/** Name of the column of a view's history that holds a join key: its own, or `_key_…` where a column of the view has that name. */
export function storedKeyName(view: ViewVersion, key: string): string {
  return view.columns.some((one) => one.name === key) ? `_key_${key}` : key;
}
