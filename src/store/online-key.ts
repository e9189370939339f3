import { createHash } from 'node:crypto';
import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';

/** What of a view names its keys. */
type NamedView = Pick<ViewVersion, 'entity' | 'id'>;

/** 48 bits: that two of 100,000 view versions share one is as likely as 1 in 50,000; the packed value's stamp would tell them apart. */
const HASH_BYTES = 6;

/** Ends of keys, by project and view. */
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
 * The key of one packed value: `fs:{` entity `}` and a hash of project and view version, because in Redis a long name is paid for once for
 * each value. The part in braces is the hash tag of a Redis Cluster: all views of one entity lie in one slot, so one command
 * answers for all of them.
 */
export function onlineKey(project: string, view: NamedView, key: EntityKey): string {
  return `fs:{${key.text}${endOf(project, view)}`;
}

/** The key of an entity's tiles, in the slot of its values. */
export function tileKey(project: string, view: NamedView, key: EntityKey): string {
  return `${onlineKey(project, view, key)}:t`;
}
