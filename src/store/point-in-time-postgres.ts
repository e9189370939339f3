/** The parts that all point-in-time statements share: the requested keys, and which rows of history they may see. */
import type { KeyType } from '../definition/value-type.js';
import { BARE_TYPES } from './column-postgres.js';
import type { PointInTimeOptions } from './offline-store.js';

/** The column of a join key; `name` is quoted. */
export interface KeyColumn {
  readonly name: string;
  readonly type: KeyType;
}

/**
 * Returns the relation `k`, one row for each requested key: n (position from 1), k0… (join keys) and `at` (the
 * instant). Keys are compared as separate columns, never as one text.
 */
export function askedKeys(keys: readonly KeyColumn[]): string {
  const arrays = keys.map(({ type }, index) => `$${index + 1}::${BARE_TYPES[type]}[]`);
  const names = keys.map((_, index) => `k${index}`);
  return `unnest(${arrays.join(', ')}, $${keys.length + 1}::timestamptz[]) WITH ORDINALITY AS k(${names.join(', ')}, at, n)`;
}

/** Returns a condition: the row of `alias` belongs to the entity of `k`. */
export function isSameEntity(keys: readonly KeyColumn[], alias: string): string {
  return keys.map(({ name }, index) => `${alias}.${name} = k.k${index}`).join(' AND ');
}

/** Returns a condition: the row of `alias` is visible at `k.at`. */
export function isVisible(alias: string, { before = false, known = false }: PointInTimeOptions): string {
  const happened = `${alias}._event_time ${before ? '<' : '<='} k.at`;
  return known ? `${happened} AND ${alias}._arrived_at <= k.at` : happened;
}
