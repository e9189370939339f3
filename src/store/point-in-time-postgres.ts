/** What every point-in-time statement is made of: the keys that are asked for, and which rows of history they may see. */
import type { KeyType } from '../definition/value-type.js';
import { BARE_TYPES } from './column-postgres.js';
import type { PointInTimeOptions } from './offline-store.js';

/** A join key's column, quoted. */
export interface KeyColumn {
  readonly name: string;
  readonly type: KeyType;
}

/**
 * The relation `k` of what is asked for, one row for each: n (position from 1), k0… (join keys), and `at` (the instant).
 * Keys are compared as columns, never as one text.
 */
export function askedKeys(keys: readonly KeyColumn[]): string {
  const arrays = keys.map(({ type }, index) => `$${index + 1}::${BARE_TYPES[type]}[]`);
  const names = keys.map((_, index) => `k${index}`);
  return `unnest(${arrays.join(', ')}, $${keys.length + 1}::timestamptz[]) WITH ORDINALITY AS k(${names.join(', ')}, at, n)`;
}

/** True for rows of `alias` that belong to the entity of `k`. */
export function isSameEntity(keys: readonly KeyColumn[], alias: string): string {
  return keys.map(({ name }, index) => `${alias}.${name} = k.k${index}`).join(' AND ');
}

/** True for rows of `alias` that may be seen at `k.at`. */
export function isVisible(alias: string, { before = false, known = false }: PointInTimeOptions): string {
  const happened = `${alias}._event_time ${before ? '<' : '<='} k.at`;
  return known ? `${happened} AND ${alias}._arrived_at <= k.at` : happened;
}
