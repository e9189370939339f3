import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';

/**
 * The key of one packed value. The part in braces is the hash tag of a Redis Cluster: all views of one entity lie in
 * one slot, so one command answers for all of them.
 */
export function onlineKey(project: string, view: ViewVersion, key: EntityKey): string {
  return `fs:{${project}|${view.entity}|${key.text}}:${view.id}`;
}

/** The key of an entity's tiles, in the slot of its values. */
export function tileKey(project: string, view: ViewVersion, key: EntityKey): string {
  return `${onlineKey(project, view, key)}:tiles`;
}
