/** The order of values of one type. It is the same in TypeScript, PostgreSQL (COLLATE "C") and Spark (UTF8_BINARY). */
import type { ScalarValue } from './value-type.js';

/** Compares two values of one type; returns −1, 0 or 1. Strings compare by UTF-8 bytes, and false is less than true. */
export function compareValues(a: ScalarValue, b: ScalarValue): number {
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b);
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/**
 * Compares two strings by their UTF-8 bytes; returns −1, 0 or 1.
 *
 * UTF-8 bytes sort like code points, but UTF-16 units do not. A surrogate (U+D800–DFFF) is part of a code point above
 * U+FFFF, but compares as less than U+E000–FFFF. `rank` corrects that.
 */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left !== right) return rank(left) < rank(right) ? -1 : 1;
  }
  return a.length < b.length ? -1 : 1;
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}
