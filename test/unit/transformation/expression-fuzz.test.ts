/** Random expressions over short and long inputs: none throws, takes more than its budget, or makes a larger value. */
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { type FeatureValue, readValue, type ValueType } from '../../../src/definition/value-type.js';
import { compileExpression, type Expression } from '../../../src/transformation/expression.js';
import {
  BASE_STEPS,
  CHEAP_STEPS,
  ExpressionWork,
  ITEM_SIZE,
  MAX_BYTES,
  MAX_STEPS,
  REQUEST_STEPS,
  STEPS_PER_INPUT,
} from '../../../src/transformation/expression-budget.js';
import { scaled } from '../../harness/time-factor.js';
import { seededRandom } from '../fakes/seeded-random.js';
import { ExpressionGenerator, GENERATED_INPUTS, KNOWN_NAMES, RESULTS } from './expression-generator.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const EXPRESSIONS = 25_000;
const ROWS_EACH = 4;
/** One row of so many is large: evaluations that use up their budget take some 50 ms. */
const LARGE_ONE_OF = 250;
/** The most time of one evaluation, in milliseconds: some 50 by its steps, and room for garbage collection. */
const MAX_MS = 1_000;
const LARGE_ROWS = 40;
const LONGEST = 1_000_000;

const random = seededRandom(seed);
const pick = <T>(items: readonly T[]): T => items[random.below(items.length)] as T;
const orNull = <T>(value: T): T | null => (random.below(20) === 0 ? null : value);

const SHORT = ['', 'a', 'ab,ab,a', 'é😀é', '12', '-1.5e3', '1h30m', '2026-01-02T03:04:05Z', 'true', 'aAbB zZ'];
const REPEATED = ['a', 'ab', 'a,', 'aA', 'é😀', '1', '\ud800', 'aé'];
const LARGE = REPEATED.flatMap((part) =>
  [5_000, 60_000, LONGEST].map((length) => part.repeat(Math.floor(length / part.length))),
);
const LARGE_COUNTS = [1_000, 10_000, 65_000];
const listOf = <T>(isLarge: boolean, item: () => T): T[] =>
  Array.from({ length: isLarge ? pick(LARGE_COUNTS) : random.below(5) }, item);

/** Returns values of GENERATED_INPUTS. */
function drawRow(isLarge: boolean): FeatureValue[] {
  const text = (): string => (isLarge ? pick(LARGE) : pick(SHORT));
  const part = pick([...SHORT, ...REPEATED, 'a'.repeat(33), `b${'a'.repeat(isLarge ? 200_000 : 50)}`]);
  return [
    orNull(text()),
    orNull(text()),
    orNull(part),
    orNull(listOf(isLarge && random.below(2) === 0, () => pick(SHORT))),
    orNull(listOf(isLarge, () => random.below(1_000) / 8)),
    orNull(listOf(isLarge, () => random.below(1_000) - 500)),
    orNull(listOf(isLarge, () => BigInt(random.below(1_000)) * 10n ** 15n)),
    orNull(pick([0, 1.5, -2.5, 1e300, -1e-300, 2 ** 53])),
    orNull(pick([0n, 1n, 5n, -1n, 100_000n, 2n ** 63n - 1n, -(2n ** 63n)])),
    orNull(pick([true, false])),
    orNull(pick([0, 1_767_323_045_000, -62_135_596_800_000, 253_402_300_799_999])),
  ];
}

interface Row {
  readonly values: readonly FeatureValue[];
  /** The characters of all values, where an item of a list counts as ITEM_SIZE. */
  readonly size: number;
}

function measured(values: readonly FeatureValue[]): Row {
  return { values, size: values.reduce<number>((sum, one) => sum + sizeOf(one), 0) };
}

function sizeOf(value: FeatureValue): number {
  if (typeof value === 'string') return value.length;
  return Array.isArray(value) ? value.reduce<number>((sum, one) => sum + sizeOf(one) + ITEM_SIZE, 0) : 0;
}

function bytesOf(value: FeatureValue): number {
  if (typeof value === 'string') return 2 * value.length;
  return Array.isArray(value) ? value.reduce<number>((sum, one) => sum + bytesOf(one) + 8, 0) : 8;
}

/** Calls `work`, and ends it after `limit` milliseconds with an error: a loop in it cannot hang the test. */
function endAfter(limit: number, work: () => void): void {
  runInNewContext('work()', { work }, { timeout: limit });
}

interface Case {
  readonly expression: Expression;
  readonly type: ValueType;
  readonly row: Row;
}

/** Evaluates a case. Returns what is wrong with it, or null. */
function findFault({ expression, type, row }: Case, work: ExpressionWork): string | null {
  const before = work.spent;
  const most = Math.min(MAX_STEPS, BASE_STEPS + STEPS_PER_INPUT * row.size);
  const limit = Math.min(most, Math.max(REQUEST_STEPS - before, CHEAP_STEPS));
  let value: FeatureValue;
  const begun = performance.now();
  try {
    value = expression.evaluate(row.values, work);
  } catch (error) {
    return `throws ${error}`;
  }
  const took = performance.now() - begun;
  if (took > scaled(MAX_MS)) return `takes ${took} ms for ${work.spent - before} steps`;
  if (work.spent - before > limit) return `takes ${work.spent - before} steps of ${limit}`;
  if (bytesOf(value) > MAX_BYTES) return `is a value of ${bytesOf(value)} bytes`;
  if (value !== null && !readValue(type, value).ok) return `is no ${type}`;
  return null;
}

describe('random expressions', () => {
  test('100,000 evaluations end within their budget of steps, bytes and time, and none throws', () => {
    const generator = new ExpressionGenerator(random);
    const large = Array.from({ length: LARGE_ROWS }, () => measured(drawRow(true)));
    let current = '';
    let evaluated = 0;
    const fuzz = (): void => {
      const [type, celType] = pick(RESULTS);
      const source = generator.write(celType, 1 + random.below(4));
      if (source.length > 4_000) return;
      current = source;
      const expression = compileExpression(source, GENERATED_INPUTS, type);
      for (let index = 0; index < ROWS_EACH; index += 1) {
        const row = random.below(LARGE_ONE_OF) === 0 ? pick(large) : measured(drawRow(false));
        const work = new ExpressionWork();
        if (random.below(10) === 0) work.spent = REQUEST_STEPS - random.below(2 * MAX_STEPS);
        const fault = findFault({ expression, type, row }, work);
        if (fault) throw new Error(`${fault} over inputs of ${row.values.map(sizeOf).join(', ')}`);
        evaluated += 1;
      }
    };
    while (evaluated < EXPRESSIONS * ROWS_EACH) {
      try {
        endAfter(scaled(10_000), () => {
          for (let index = 0; index < 100; index += 1) fuzz();
        });
      } catch (error) {
        throw new Error(`seed ${seed}: ${current}: ${error}`, { cause: error });
      }
    }
    expect([...generator.used].sort()).toEqual(KNOWN_NAMES);
  });
});
