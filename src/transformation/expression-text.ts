/**
 * The functions of texts in expressions. Characters are code points, as in CEL, so an emoji counts as one.
 *
 * Invariant: no function takes more time than it charges. V8's own search takes length × length of the pattern in the
 * worst case. So it is charged that, and longer patterns are searched for by the algorithm of Knuth, Morris and Pratt.
 */
import { charge, chargeText, growList, growText } from './expression-budget.js';

/** The longest pattern that V8 searches for. */
const SHORT = 32;
/** Steps for a text that is searched by Knuth, Morris and Pratt, for each character of text and pattern. */
const LONG_STEPS = 3;
/** Steps for each part of a text that is split. */
const PART_STEPS = 2;

function chargeSearch(text: string, part: string): void {
  if (part.length <= SHORT) chargeText(text.length * Math.max(1, part.length));
  else if (part.length <= text.length) charge(LONG_STEPS * (text.length + part.length));
}

/** Returns the offsets of `part`, longer than SHORT, in `text`: those that do not overlap, or else all of them. */
function searchLong(text: string, part: string, overlap: boolean, limit: number): number[] {
  const found: number[] = [];
  if (part.length > text.length) return found;
  const fallback = new Int32Array(part.length);
  for (let index = 1, matched = 0; index < part.length; index += 1) {
    const unit = part.charCodeAt(index);
    while (matched > 0 && unit !== part.charCodeAt(matched)) matched = fallback[matched - 1]!;
    if (unit === part.charCodeAt(matched)) matched += 1;
    fallback[index] = matched;
  }
  for (let index = 0, matched = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    while (matched > 0 && unit !== part.charCodeAt(matched)) matched = fallback[matched - 1]!;
    if (unit === part.charCodeAt(matched)) matched += 1;
    if (matched < part.length) continue;
    found.push(index - matched + 1);
    if (found.length === limit) return found;
    matched = overlap ? fallback[matched - 1]! : 0;
  }
  return found;
}

/** Returns the number of code points before the UTF-16 offset `end`. */
function countPoints(text: string, end: number): number {
  charge(end);
  let count = 0;
  for (let index = 0; index < end; index += 1) {
    const isHigh = (text.charCodeAt(index) & 0xfc00) === 0xd800;
    if (isHigh && index + 1 < end && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00) index += 1;
    count += 1;
  }
  return count;
}

/** Returns the offset of the code point that is `count` points after offset `from`; −1 if the text ends before it. */
function offsetAfter(text: string, from: number, count: number): number {
  let index = from;
  for (let left = count; left > 0; left -= 1) {
    if (index >= text.length) return -1;
    const isPair = (text.charCodeAt(index) & 0xfc00) === 0xd800 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00;
    index += isPair ? 2 : 1;
  }
  return index;
}

/** Returns the number of characters. */
export function sizeOfText(text: string): bigint {
  return BigInt(countPoints(text, text.length));
}

/** Returns a part of a text, or null if the text does not have it. */
export function substring(text: string, from: bigint, to?: bigint): string | null {
  const length = BigInt(text.length);
  if (from < 0n || from > length || (to !== undefined && (to < from || to > length))) return null;
  charge(text.length);
  const start = offsetAfter(text, 0, Number(from));
  if (start < 0) return null;
  const end = to === undefined ? text.length : offsetAfter(text, start, Number(to - from));
  return end < 0 ? null : text.slice(start, end);
}

const pointsBefore = (text: string, offset: number): bigint => BigInt(offset < 0 ? -1 : countPoints(text, offset));

export function containsText(text: string, part: string): boolean {
  chargeSearch(text, part);
  return part.length <= SHORT ? text.includes(part) : searchLong(text, part, false, 1).length > 0;
}

export function startsWith(text: string, part: string): boolean {
  chargeText(part.length);
  return text.startsWith(part);
}

export function endsWith(text: string, part: string): boolean {
  chargeText(part.length);
  return text.endsWith(part);
}

export function firstIndexOf(text: string, part: string): bigint {
  chargeSearch(text, part);
  return pointsBefore(text, part.length <= SHORT ? text.indexOf(part) : (searchLong(text, part, false, 1)[0] ?? -1));
}

export function lastIndexOf(text: string, part: string): bigint {
  chargeSearch(text, part);
  const found = part.length <= SHORT ? text.lastIndexOf(part) : (searchLong(text, part, true, 0).at(-1) ?? -1);
  return pointsBefore(text, found);
}

/** Splits a text. It is charged as if all of it were separators, before it is split. */
export function splitText(text: string, by: string): string[] {
  chargeSearch(text, by);
  const most = Math.floor(text.length / Math.max(1, by.length)) + 1;
  charge((PART_STEPS - 1) * most);
  growList(most);
  if (by.length <= SHORT) return text.split(by);
  const parts: string[] = [];
  let from = 0;
  for (const offset of searchLong(text, by, false, 0)) {
    parts.push(text.slice(from, offset));
    from = offset + by.length;
  }
  parts.push(text.slice(from));
  return parts;
}

export function joinTexts(texts: readonly string[], by: string): string {
  charge(texts.length);
  let length = by.length * Math.max(0, texts.length - 1);
  for (const text of texts) length += text.length;
  growText(length);
  return texts.join(by);
}

export function replaceAll(text: string, part: string, by: string): string {
  return joinTexts(splitText(text, part), by);
}

export function appendText(left: string, right: string): string {
  growText(left.length + right.length);
  return left + right;
}

export function trimText(text: string): string {
  chargeText(2 * text.length);
  return text.trim();
}

/** Steps for each character of a text that has letters beyond ASCII, where each run of letters is a call. */
const MIXED_STEPS = 12;

/** Returns a function that converts the letters of ASCII. */
export function convertAscii(letters: RegExp, convert: (text: string) => string): (text: string) => string {
  return (text) => {
    growText(2 * text.length);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII.
    if (/^[\x00-\x7f]*$/.test(text)) return convert(text);
    charge(MIXED_STEPS * text.length);
    return text.replace(letters, convert);
  };
}

/** Steps for each character of a number, duration or time: reading a time takes about 1 µs. */
const READING_STEPS = 5;

/** Charges for reading a number, a duration or a time out of a text. */
export function reading<T>(read: (text: string) => T): (text: string) => T {
  return (text) => {
    charge(READING_STEPS * text.length);
    return read(text);
  };
}
