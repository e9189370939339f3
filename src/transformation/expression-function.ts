/**
 * The functions and methods of expressions, except those with special rules for null or lists.
 *
 * Invariants
 * 1. Every function is pure: it uses no clock, randomness, local time zone or locale.
 * 2. A function is never called with null. It returns null if it has no result. Examples are a number that is not
 *    finite or exceeds 64 bits, a text that is not a number, and an index outside of a string.
 */
import { type FeatureValue, readValue } from '../definition/value-type.js';
import { charge } from './expression-budget.js';
import {
  containsText,
  convertAscii,
  endsWith,
  firstIndexOf,
  joinTexts,
  lastIndexOf,
  reading,
  replaceAll,
  sizeOfText,
  splitText,
  startsWith,
  substring,
  trimText,
} from './expression-text.js';
import type { ExpressionType } from './expression-type.js';

/** One signature of a function. The receiver of a method is its first argument. */
export interface Overload {
  readonly arguments: readonly ExpressionType[];
  readonly result: ExpressionType;
  readonly call: (...values: readonly FeatureValue[]) => FeatureValue;
}

function overload(
  args: readonly ExpressionType[],
  result: ExpressionType,
  call: (...values: never[]) => FeatureValue,
): Overload {
  // The compiler only calls an overload with values of the types `args`, which TypeScript cannot check.
  return { arguments: args, result, call: call as Overload['call'] };
}

const INT_MIN = -(2n ** 63n);
const INT_MAX = 2n ** 63n - 1n;

/** Returns `value`, or null if it is NaN or infinite. */
export function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** Returns `value`, or null if it does not fit in 64 bits. */
export function int64(value: bigint): bigint | null {
  return value >= INT_MIN && value <= INT_MAX ? value : null;
}

/** Rounds half away from zero, like CEL's math.round. (Math.round would round −2.5 to −2.) */
function roundHalfAway(value: number): number {
  return value < 0 ? -Math.round(-value) : Math.round(value);
}

const DURATION_UNITS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Returns the milliseconds of a duration such as "1h30m", "-90s" or "1.5h"; null for any other text. */
function readDuration(text: string): number | null {
  if (!/^-?(?:\d+(?:\.\d+)?(?:h|ms|m|s))+$/.test(text)) return null;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)) {
    total += Number(count) * (DURATION_UNITS[unit as string] as number);
  }
  return finite(Math.round(text.startsWith('-') ? -total : total));
}

function readInteger(text: string): bigint | null {
  return /^[+-]?\d{1,19}$/.test(text) ? int64(BigInt(text.replace('+', ''))) : null;
}

function readDouble(text: string): number | null {
  return /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) ? finite(Number(text)) : null;
}

function readTime(input: string | number): FeatureValue {
  if (typeof input === 'string' && !input.includes('T')) return null;
  const read = readValue('TIMESTAMP', input);
  return read.ok ? read.value : null;
}

/** Steps of reading a field of a time, or of writing it. */
const TIME_STEPS = 20;

function showTime(time: number): string | null {
  charge(2 * TIME_STEPS);
  return readValue('TIMESTAMP', time).ok ? new Date(time).toISOString() : null;
}

const double = (call: (x: number) => number): Overload =>
  overload(['double'], 'double', (x: number) => finite(call(x)));

const LIST_TYPES = ['int', 'double', 'bool', 'string', 'timestamp', 'duration', 'null'] as const;
const sizeOf = (item: (typeof LIST_TYPES)[number]): Overload =>
  overload([`list<${item}>`], 'int', (list: readonly never[]) => BigInt(list.length));

/** Functions by name. The first overload with exactly these types is used, or else the first that int → double fits. */
export const FUNCTIONS: ReadonlyMap<string, readonly Overload[]> = new Map<string, readonly Overload[]>([
  ['abs', [overload(['int'], 'int', (x: bigint) => int64(x < 0n ? -x : x)), double(Math.abs)]],
  ['log', [double(Math.log)]],
  ['log1p', [double(Math.log1p)]],
  ['exp', [double(Math.exp)]],
  ['sqrt', [double(Math.sqrt)]],
  ['floor', [double(Math.floor)]],
  ['ceil', [double(Math.ceil)]],
  ['round', [double(roundHalfAway)]],
  ['pow', [overload(['double', 'double'], 'double', (x: number, y: number) => finite(x ** y))]],
  [
    'int',
    [
      overload(['int'], 'int', (x: bigint) => x),
      overload(['double'], 'int', (x: number) => int64(BigInt(Math.trunc(x)))),
      overload(['string'], 'int', reading(readInteger)),
      overload(['bool'], 'int', (x: boolean) => (x ? 1n : 0n)),
      overload(['timestamp'], 'int', (time: number) => BigInt(Math.floor(time / 1000))),
    ],
  ],
  [
    'double',
    [
      overload(['double'], 'double', (x: number) => x),
      overload(['int'], 'double', (x: bigint) => Number(x)),
      overload(['string'], 'double', reading(readDouble)),
      overload(['bool'], 'double', (x: boolean) => (x ? 1 : 0)),
    ],
  ],
  [
    'string',
    [
      overload(['string'], 'string', (x: string) => x),
      overload(['int'], 'string', (x: bigint) => x.toString()),
      overload(['double'], 'string', (x: number) => String(x)),
      overload(['bool'], 'string', (x: boolean) => String(x)),
      overload(['timestamp'], 'string', showTime),
    ],
  ],
  [
    'bool',
    [
      overload(['bool'], 'bool', (x: boolean) => x),
      overload(['string'], 'bool', (x: string) => (x === 'true' ? true : x === 'false' ? false : null)),
    ],
  ],
  [
    'timestamp',
    [
      overload(['timestamp'], 'timestamp', (x: number) => x),
      overload(['string'], 'timestamp', reading(readTime)),
      overload(['int'], 'timestamp', (seconds: bigint) => readTime(Number(seconds) * 1000)),
    ],
  ],
  ['duration', [overload(['string'], 'duration', reading(readDuration))]],
  ['size', [overload(['string'], 'int', sizeOfText), ...LIST_TYPES.map(sizeOf)]],
]);

const ofTime = (read: (time: Date) => number): Overload =>
  overload(['timestamp'], 'int', (time: number) => {
    charge(TIME_STEPS);
    const value = read(new Date(time));
    return Number.isInteger(value) ? BigInt(value) : null;
  });

const ofDuration = (milliseconds: number): Overload =>
  overload(['duration'], 'int', (duration: number) => BigInt(Math.trunc(duration / milliseconds)));

const dayOfYear = (time: Date): number => Math.round((time.getTime() - new Date(time).setUTCMonth(0, 1)) / 86_400_000);

const test = (call: (text: string, part: string) => boolean): Overload => overload(['string', 'string'], 'bool', call);

/** Methods by name. Those of timestamps are in UTC. As in CEL, they count months and days of the month from 0. */
export const METHODS: ReadonlyMap<string, readonly Overload[]> = new Map<string, readonly Overload[]>([
  ['size', FUNCTIONS.get('size') as readonly Overload[]],
  ['contains', [test(containsText)]],
  ['startsWith', [test(startsWith)]],
  ['endsWith', [test(endsWith)]],
  ['trim', [overload(['string'], 'string', trimText)]],
  [
    'lowerAscii',
    [
      overload(
        ['string'],
        'string',
        convertAscii(/[A-Z]+/g, (letters) => letters.toLowerCase()),
      ),
    ],
  ],
  [
    'upperAscii',
    [
      overload(
        ['string'],
        'string',
        convertAscii(/[a-z]+/g, (letters) => letters.toUpperCase()),
      ),
    ],
  ],
  ['indexOf', [overload(['string', 'string'], 'int', firstIndexOf)]],
  ['lastIndexOf', [overload(['string', 'string'], 'int', lastIndexOf)]],
  [
    'substring',
    [overload(['string', 'int'], 'string', substring), overload(['string', 'int', 'int'], 'string', substring)],
  ],
  ['replace', [overload(['string', 'string', 'string'], 'string', replaceAll)]],
  ['split', [overload(['string', 'string'], 'list<string>', splitText)]],
  ['join', [overload(['list<string>', 'string'], 'string', joinTexts)]],
  ['getFullYear', [ofTime((time) => time.getUTCFullYear())]],
  ['getMonth', [ofTime((time) => time.getUTCMonth())]],
  ['getDate', [ofTime((time) => time.getUTCDate())]],
  ['getDayOfMonth', [ofTime((time) => time.getUTCDate() - 1)]],
  ['getDayOfWeek', [ofTime((time) => time.getUTCDay())]],
  ['getDayOfYear', [ofTime(dayOfYear)]],
  ['getHours', [ofTime((time) => time.getUTCHours()), ofDuration(3_600_000)]],
  ['getMinutes', [ofTime((time) => time.getUTCMinutes()), ofDuration(60_000)]],
  ['getSeconds', [ofTime((time) => time.getUTCSeconds()), ofDuration(1000)]],
  ['getMilliseconds', [ofTime((time) => time.getUTCMilliseconds()), ofDuration(1)]],
]);
