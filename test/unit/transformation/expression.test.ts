import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { FeatureValue, ValueType } from '../../../src/definition/value-type.js';
import { compileExpression, expressionInputs } from '../../../src/transformation/expression.js';
import { INPUTS } from './expression-example.js';

const VALUES: Record<string, FeatureValue> = {
  x: 2.5,
  'request.amount': 10,
  'user_stats.spend_7d': 4,
  n: 7,
  big: 2n ** 53n + 1n,
  'request.ts': Date.UTC(2024, 2, 31, 23, 30, 45, 123),
  text: 'héllo 😀',
  flag: true,
  list: [3, 1, 2],
  tags: ['a', 'b'],
  type: 'card',
};

/** The value of `source` as `result`; `nulls` names the inputs that are null. */
function evaluate(source: string, result: ValueType, nulls: readonly string[] = []): FeatureValue {
  const values = INPUTS.map(({ name }) => (nulls.includes(name) ? null : (VALUES[name] ?? null)));
  return compileExpression(source, INPUTS, result).evaluate(values);
}

describe('an expression', () => {
  const cases: [string, ValueType, FeatureValue][] = [
    ['request.amount / user_stats.spend_7d', 'FLOAT64', 2.5],
    ['request . amount + 1', 'FLOAT64', 11],
    ['type', 'STRING', 'card'],
    ['x / 7', 'FLOAT64', 2.5 / 7],
    ['n + x', 'FLOAT64', 9.5],
    ['x * n - big', 'FLOAT64', 17.5 - Number(2n ** 53n + 1n)],
    ['n', 'FLOAT64', 7],
    ['n', 'INT64', 7n],
    ['n / 2', 'INT32', 3],
    ['-n / 2', 'INT32', -3],
    ['-n % 4', 'INT32', -3],
    ['big + 1', 'INT64', 2n ** 53n + 2n],
    ['big * 2 - big', 'INT64', 2n ** 53n + 1n],
    ['big > 9007199254740992.0', 'BOOL', true],
    ['big == 9007199254740992.0', 'BOOL', false],
    ['n == 7.0', 'BOOL', true],
    ['-9223372036854775808', 'INT64', -(2n ** 63n)],
    ['0x10', 'INT32', 16],
    ['-x * 0', 'FLOAT64', 0],
    ['x > 1 && n < 8', 'BOOL', true],
    ['!flag || x > 100', 'BOOL', false],
    ['x > 1 ? 1 : x', 'FLOAT64', 1],
    ['x > 1 ? "high" : "low"', 'STRING', 'high'],
    ['abs(-n)', 'INT32', 7],
    ['abs(-x)', 'FLOAT64', 2.5],
    ['min(n, 3)', 'INT32', 3],
    ['min(n, x, 100)', 'FLOAT64', 2.5],
    ['max(list)', 'INT32', 3],
    ['max(n, x)', 'FLOAT64', 7],
    ['clip(n, 0, 5)', 'INT32', 5],
    ['clip(x, 3, 5)', 'FLOAT64', 3],
    ['log(exp(1))', 'FLOAT64', 1],
    ['log1p(0)', 'FLOAT64', 0],
    ['sqrt(16)', 'FLOAT64', 4],
    ['pow(2, 10)', 'FLOAT64', 1024],
    ['floor(-x)', 'FLOAT64', -3],
    ['ceil(x)', 'FLOAT64', 3],
    ['round(-x)', 'FLOAT64', -3],
    ['int(round(x))', 'INT32', 3],
    ['int(-x)', 'INT64', -2n],
    ['int("-12")', 'INT64', -12n],
    ['double("1e3")', 'FLOAT64', 1000],
    ['string(n) + "/" + string(x) + "/" + string(flag)', 'STRING', '7/2.5/true'],
    ['bool("true")', 'BOOL', true],
    ['request.ts', 'TIMESTAMP', Date.UTC(2024, 2, 31, 23, 30, 45, 123)],
    ['request.ts + duration("1h30m")', 'TIMESTAMP', Date.UTC(2024, 3, 1, 1, 0, 45, 123)],
    ['request.ts.getHours()', 'INT32', 23],
    ['request.ts.getMinutes() * 100 + request.ts.getSeconds()', 'INT32', 3045],
    ['request.ts.getMilliseconds()', 'INT32', 123],
    ['request.ts.getDayOfWeek()', 'INT32', 0],
    ['request.ts.getDayOfMonth()', 'INT32', 30],
    ['request.ts.getDate()', 'INT32', 31],
    ['request.ts.getDayOfYear()', 'INT32', 90],
    ['request.ts.getMonth()', 'INT32', 2],
    ['request.ts.getFullYear()', 'INT32', 2024],
    ['(request.ts - timestamp("2024-03-31T00:00:00Z")).getHours()', 'INT32', 23],
    ['request.ts > timestamp("2024-01-01T00:00:00Z")', 'BOOL', true],
    ['timestamp(1).getSeconds()', 'INT32', 1],
    ['string(timestamp(0))', 'STRING', '1970-01-01T00:00:00.000Z'],
    ['size(text)', 'INT32', 7],
    ['text.substring(6)', 'STRING', '😀'],
    ['text.substring(0, 2)', 'STRING', 'hé'],
    ['text.indexOf("😀")', 'INT32', 6],
    ['text.contains("llo") && text.startsWith("h") && text.endsWith("😀")', 'BOOL', true],
    ['" ÄbC ".trim().lowerAscii()', 'STRING', 'Äbc'],
    ['"äbc".upperAscii()', 'STRING', 'äBC'],
    ['"a-b-c".replace("-", "+")', 'STRING', 'a+b+c'],
    ['"a,b".split(",")', 'STRING[]', ['a', 'b']],
    ['tags.join("|")', 'STRING', 'a|b'],
    ['"\uff5e" < "😀"', 'BOOL', true],
    ['list', 'INT32[]', [3, 1, 2]],
    ['list', 'INT64[]', [3n, 1n, 2n]],
    ['list', 'FLOAT64[]', [3, 1, 2]],
    ['list.map(i, i * 0.5)', 'FLOAT64[]', [1.5, 0.5, 1]],
    ['list.map(i, i > 1, i * n)', 'INT32[]', [21, 14]],
    ['list.filter(i, i < 3)', 'INT32[]', [1, 2]],
    ['list.all(i, i > 0) && list.exists(i, i == 3) && list.exists_one(i, i == 1)', 'BOOL', true],
    ['list.sum() + size(list)', 'INT32', 9],
    ['list[0] + list[2]', 'INT32', 5],
    ['[1, x] + [n]', 'FLOAT64[]', [1, 2.5, 7]],
    ['[]', 'STRING[]', []],
    ['type in ["card", "cash"]', 'BOOL', true],
    ['n in [7.0]', 'BOOL', true],
    ['"b" in tags', 'BOOL', true],
  ];
  test.each(cases)('%s as %s is %p', (source, result, value) => {
    expect(evaluate(source, result)).toEqual(value);
  });

  const withoutValue: [string, ValueType][] = [
    ['x / 0', 'FLOAT64'],
    ['0.0 / 0.0', 'FLOAT64'],
    ['n / 0', 'INT32'],
    ['n % 0', 'INT32'],
    ['exp(1000)', 'FLOAT64'],
    ['log(-1)', 'FLOAT64'],
    ['log(0)', 'FLOAT64'],
    ['sqrt(-x)', 'FLOAT64'],
    ['9223372036854775807 + n', 'INT64'],
    ['abs(-9223372036854775807 - 1)', 'INT64'],
    ['-(-9223372036854775807 - 1)', 'INT64'],
    ['(-9223372036854775807 - 1) / -1', 'INT64'],
    ['int(1e300)', 'INT64'],
    ['big', 'INT32'],
    ['list.map(i, i * big)', 'INT32[]'],
    ['int("1.5")', 'INT64'],
    ['double("x")', 'FLOAT64'],
    ['bool("yes")', 'BOOL'],
    ['timestamp("2024-01-01T00:00:00")', 'TIMESTAMP'],
    ['timestamp("2024-01-01")', 'TIMESTAMP'],
    ['request.ts + duration("100000000h")', 'TIMESTAMP'],
    ['duration("soon").getHours()', 'INT32'],
    ['text.substring(99)', 'STRING'],
    ['list[3]', 'INT32'],
    ['list[-1]', 'INT32'],
    ['max(list.filter(i, i > 99))', 'INT32'],
    ['list.map(i, 1 / (i - 1))', 'INT32[]'],
  ];
  test.each(withoutValue)('%s has no value and is null', (source, result) => {
    expect(evaluate(source, result)).toBeNull();
  });

  test('stays bounded where replacements would grow exponentially', () => {
    const source = `text${'.replace("", text)'.repeat(20)}`;
    expect(evaluate(source, 'STRING')).toBeNull();
  });

  test('reads values that are missing as null', () => {
    expect(compileExpression('x + 1', INPUTS, 'FLOAT64').evaluate([])).toBeNull();
    expect(compileExpression('list', INPUTS, 'INT32[]').evaluate([])).toBeNull();
  });

  test('keeps INT64 exact beyond 2^53', () => {
    const add = compileExpression(
      'a + b',
      [
        { name: 'a', type: 'INT64' },
        { name: 'b', type: 'INT64' },
      ],
      'INT64',
    );
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        (a, b) => {
          const sum = a + b;
          expect(add.evaluate([a, b])).toBe(BigInt.asIntN(64, sum) === sum ? sum : null);
        },
      ),
    );
  });

  test('never throws and gives finite doubles or null, whatever the values', () => {
    const source = 'request.amount / user_stats.spend_7d * pow(x, n) + coalesce(log(x), 0) - big % n + list.sum()';
    const expression = compileExpression(source, INPUTS, 'FLOAT64');
    const double = fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }));
    const integer = fc.option(fc.integer());
    fc.assert(
      fc.property(
        double,
        double,
        double,
        integer,
        fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
        (x, a, s, n, big) => {
          const value = expression.evaluate([x, a, s, n, big, 0, '', true, [1, 2], [], '']);
          expect(value === null || Number.isFinite(value)).toBe(true);
        },
      ),
    );
  });
});

describe('null', () => {
  const cases: [string, ValueType, FeatureValue][] = [
    ['x + 1', 'FLOAT64', null],
    ['x > 1', 'BOOL', null],
    ['x == 1.0', 'BOOL', null],
    ['!(x > 1)', 'BOOL', null],
    ['x > 1 && false', 'BOOL', false],
    ['false && x > 1', 'BOOL', false],
    ['x > 1 && true', 'BOOL', null],
    ['x > 1 || true', 'BOOL', true],
    ['true || x > 1', 'BOOL', true],
    ['x > 1 || false', 'BOOL', null],
    ['x > 1 ? 1 : 2', 'INT32', null],
    ['flag ? 1.0 : x', 'FLOAT64', 1],
    ['flag ? x : 1.0', 'FLOAT64', null],
    ['flag ? null : 1.0', 'FLOAT64', null],
    ['coalesce(x, 0)', 'FLOAT64', 0],
    ['coalesce(x, x, 3) + 1', 'FLOAT64', 4],
    ['coalesce(n / 0, 5)', 'INT32', 5],
    ['coalesce(x, null)', 'FLOAT64', null],
    ['isNull(x)', 'BOOL', true],
    ['has(x)', 'BOOL', false],
    ['isNull(n)', 'BOOL', false],
    ['x == null', 'BOOL', true],
    ['null != x', 'BOOL', false],
    ['x != null ? x : -1', 'FLOAT64', -1],
    ['max(x, 1)', 'FLOAT64', null],
    ['clip(x, 0, 1)', 'FLOAT64', null],
    ['[1.0, x]', 'FLOAT64[]', null],
    ['list.map(i, i + x)', 'FLOAT64[]', null],
    ['list.exists(i, i > x)', 'BOOL', null],
    ['list.exists(i, i == 3 || i > x)', 'BOOL', true],
    ['list.all(i, i != 3 && i > x)', 'BOOL', false],
    ['list.filter(i, i > x)', 'INT32[]', []],
    ['x in [1.0]', 'BOOL', null],
    ['string(x)', 'STRING', null],
  ];
  test.each(cases)('for x makes %s as %s %p', (source, result, value) => {
    expect(evaluate(source, result, ['x'])).toEqual(value);
  });

  test('in a list, a text or a time makes their methods null', () => {
    expect(evaluate('list.sum()', 'INT32', ['list'])).toBeNull();
    expect(evaluate('list.exists(i, i > 1)', 'BOOL', ['list'])).toBeNull();
    expect(evaluate('list', 'FLOAT64[]', ['list'])).toBeNull();
    expect(evaluate('size(text)', 'INT32', ['text'])).toBeNull();
    expect(evaluate('request.ts.getHours()', 'INT32', ['request.ts'])).toBeNull();
  });
});

describe('the inputs of an expression', () => {
  const cases: [string, string[]][] = [
    ['1 + 2', []],
    ['request.amount / user_stats.avg_7d + request.amount', ['request.amount', 'user_stats.avg_7d']],
    ['coalesce(a, b.c) > 1 ? !d : e.f.contains(g)', ['a', 'b.c', 'd', 'e.f', 'g']],
    ['a.list.map(i, i > x, i * y)[z] + -w', ['a.list', 'x', 'y', 'z', 'w']],
    ['list.exists(i, i == j) && i', ['list', 'j', 'i']],
    ['[a, b][0] in {c: d}', ['a', 'b', 'c', 'd']],
    ['a.b.c', ['a.b']],
  ];
  test.each(cases)('%s are %p', (source, names) => {
    expect(expressionInputs(source)).toEqual(names);
  });
});
