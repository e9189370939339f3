import { createHash } from 'node:crypto';
import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';

/** The parts of a view that its keys depend on. */
type NamedView = Pick<ViewVersion, 'entity' | 'id'>;

/**
 * 48 bits: among 100,000 view versions, the probability that two share a hash is about 1 in 50,000. The stamp of packed
 * values would still tell them apart.
 */
const HASH_BYTES = 6;

/** Suffixes of keys, by project and view. */
const ends = new WeakMap<NamedView, { readonly project: string; readonly end: string }>();

function endOf(project: string, view: NamedView): string {
  const known = ends.get(view);
  if (known?.project === project) return known.end;
  const hash = createHash('sha256')
    .update(JSON.stringify([project, view.entity, view.id]))
    .digest();
  const end = `}${hash.toString('base64url', 0, HASH_BYTES)}`;
  ends.set(view, { project, end });
  return end;
}

/**
 * Returns the key of one packed value: `fs:{` entity `}` and a hash of project and view version. The hash replaces
 * their names, because Redis stores the key once for each value. The part in braces is the hash tag of a Redis Cluster:
 * values of one entity in all views lie in one slot, so one command reads all of them.
 */
export function onlineKey(project: string, view: NamedView, key: EntityKey): string {
  return `fs:{${key.text}${endOf(project, view)}`;
}

/** Returns the key of an entity's tiles, in the slot of its values. */
export function tileKey(project: string, view: NamedView, key: EntityKey): string {
  return `${onlineKey(project, view, key)}:t`;
}
