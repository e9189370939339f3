/**
 * Counts distinct values: exactly below a bound, and by an estimate from there on.
 *
 * The sketch keeps the k smallest distinct hashes (KMV, "k minimum values"). With fewer than k hashes it has seen them
 * all, so the count is exact. Otherwise let h be the k-th smallest hash as a fraction of the hash space. The estimate
 * is then (k − 1) / h, with a relative standard error of 1/√(k − 2). For k = 512 that is 4.4 %.
 *
 * Sources: Z. Bar-Yossef et al., Counting Distinct Elements in a Data Stream, 2002; K. Beyer et al., On Synopses for
 * Distinct-Value Estimation, 2007. PostgreSQL and Spark must merge the same sketch, which rules out the bytes of a
 * library. A sorted list of numbers can be merged by one expression in every engine.
 *
 * Laws
 * 1. Merging is commutative, associative and idempotent: order, grouping and repetition of values do not matter.
 * 2. A hash is the first 52 bits of MD5 over the canonical text of a value, so a double holds it in every engine.
 */
import { createHash } from 'node:crypto';
import type { ScalarType, ScalarValue } from '../definition/value-type.js';

/** Counts below this are exact: two of 512 hashes collide with a chance of 1 in 34 billion (512² / 2 / 2^52). */
export const SKETCH_SIZE = 512;
const HASH_SPACE = 2 ** 52;

/** Returns the hash of a value: an integer below 2^52. */
export function hashValue(type: ScalarType, value: ScalarValue): number {
  return Number.parseInt(createHash('md5').update(canonicalText(type, value), 'utf8').digest('hex').slice(0, 13), 16);
}

/** Returns the text to hash. A FLOAT64 gives its bits, because engines print doubles differently. */
function canonicalText(type: ScalarType, value: ScalarValue): string {
  if (type !== 'FLOAT64') return String(value);
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value as number);
  return bytes.toString('hex');
}

/** Returns the sketch of all values that either sketch has seen. */
export function mergeSketches(a: readonly number[], b: readonly number[]): readonly number[] {
  const merged: number[] = [];
  let [left, right] = [0, 0];
  while (merged.length < SKETCH_SIZE && (left < a.length || right < b.length)) {
    const [x = Number.POSITIVE_INFINITY, y = Number.POSITIVE_INFINITY] = [a[left], b[right]];
    merged.push(Math.min(x, y));
    if (x <= y) left += 1;
    if (y <= x) right += 1;
  }
  return merged;
}

/** Returns the sketch of hashes, which may be unordered and repeated. */
export function sketchOf(hashes: Iterable<number>): readonly number[] {
  return [...new Set(hashes)].sort((a, b) => a - b).slice(0, SKETCH_SIZE);
}

/** Returns the number of distinct values that a sketch has seen, estimated from SKETCH_SIZE on. */
export function countSketch(sketch: readonly number[]): number {
  if (sketch.length < SKETCH_SIZE) return sketch.length;
  return Math.round((SKETCH_SIZE - 1) / (sketch[SKETCH_SIZE - 1]! / HASH_SPACE));
}
