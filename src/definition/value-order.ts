/** The order of values of one type, the same in TypeScript, PostgreSQL (COLLATE "C") and Spark (UTF8_BINARY). */
import type { ScalarValue } from './value-type.js';

/** −1, 0 or 1. Both values are of one type: numbers by size, strings by their UTF-8 bytes, false before true. */
export function compareValues(a: ScalarValue, b: ScalarValue): number {
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b);
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/**
 * UTF-8 bytes sort like code points; UTF-16 units, which JavaScript compares, do not: a surrogate (U+D800–DFFF, part of
 * a code point above U+FFFF) is less than U+E000–FFFF. So surrogates are moved above them before units are compared.
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
