/** Which type the values of a column of text seem to have. */
import { parse as parseLossless } from 'lossless-json';
import { readValue, type ScalarType, type ValueType } from '../definition/value-type.js';

/** Rows that are looked at to tell what columns hold. */
export const INFERENCE_ROWS = 1_000;
/** Characters of these rows, after which no more are looked at. */
export const INFERENCE_CHARACTERS = 16 * 1_048_576;

/** The first of these that fits every value of a column is its type. */
const CANDIDATES: readonly ValueType[] = ['BOOL', 'INT64', 'FLOAT64', 'TIMESTAMP', 'STRING'];

/** Makes the JSON value of a cell for a type. */
export type CellReader = (value: unknown, type: ValueType) => unknown;

/** The type that all values have; `read` makes of each what JSON would have. */
export function inferType(values: readonly unknown[], read: CellReader): ValueType {
  const present = values.filter((value) => read(value, 'FLOAT64') !== null);
  if (present.length === 0) return 'STRING';
  if (present.every((value) => Array.isArray(value))) {
    const items = (present as unknown[][]).flat();
    if (items.some((item) => Array.isArray(item))) return 'STRING';
    return `${inferType(items, (item) => item ?? null) as ScalarType}[]`;
  }
  return CANDIDATES.find((type) => present.every((value) => readValue(type, read(value, type)).ok)) ?? 'STRING';
}

/** The value of a JSON text, with long integers as bigint; a text that is not valid JSON stands for itself. */
export function parseJson(text: string): unknown {
  try {
    return parseLossless(text, null, { parseNumber: reviveNumber });
  } catch {
    return text;
  }
}

function reviveNumber(text: string): number | bigint {
  const number = Number(text);
  return /^-?\d+$/.test(text) && !Number.isSafeInteger(number) ? BigInt(text) : number;
}

/** How deep lists and objects are nested in a JSON text: a bound from above, found without parsing it. */
export function nestingOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inText = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (inText) {
      if (code === 92) at += 1;
      else if (code === 34) inText = false;
    } else if (code === 34) inText = true;
    else if (code === 91 || code === 123) {
      depth += 1;
      if (depth > deepest) deepest = depth;
    } else if (code === 93 || code === 125) depth -= 1;
  }
  return deepest;
}
