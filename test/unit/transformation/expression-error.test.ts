import { describe, expect, test } from '@jest/globals';
import type { ValueType } from '../../../src/definition/value-type.js';
import { FStoreError } from '../../../src/errors.js';
import { compileExpression, type ExpressionInput } from '../../../src/transformation/expression.js';
import { INPUTS } from './expression-example.js';

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(FStoreError);
    expect((error as FStoreError).code).toBe('DEFINITION_INVALID');
    return (error as FStoreError).message;
  }
  throw new Error('nothing was thrown');
}

describe('a wrong expression', () => {
  const cases: [string, ValueType, RegExp][] = [
    ['request.amout / 7', 'FLOAT64', /no input request\.amout.*request\.amount FLOAT64.*line 1, column 1/],
    ['x +\n  y', 'FLOAT64', /no input y.*line 2, column 3/],
    ['request', 'FLOAT64', /no input request;.*request\.amount FLOAT64/],
    ['request.amount.cents', 'FLOAT64', /no field cents/],
    ['x + text', 'FLOAT64', /no double \+ string.*column 1/],
    ['x % 2', 'FLOAT64', /% takes int/],
    ['x', 'INT32', /declared INT32.*double.*int\(/],
    ['n', 'STRING', /declared STRING.*int/],
    ['flag', 'INT32', /declared INT32.*bool/],
    ['request.ts - request.ts', 'INT64', /duration.*getSeconds/],
    ['null', 'FLOAT64', /null always/],
    ['flag + 1', 'INT32', /no bool \+ int/],
    ['flag > true', 'BOOL', /no bool > bool/],
    ['text && flag', 'BOOL', /left side of && is a bool, not string/],
    ['x ? 1 : 2', 'INT32', /condition of \?: is a bool, not double/],
    ['flag ? 1 : "a"', 'INT32', /one type, not int and string/],
    ['!x', 'BOOL', /operand of ! is a bool/],
    ['-text', 'STRING', /- takes int or double/],
    ['logg(x)', 'FLOAT64', /no function logg.*log1p/],
    ['log(text)', 'FLOAT64', /log does not take \(string\).*log\(double\)/],
    ['log(x, x)', 'FLOAT64', /log does not take \(double, double\)/],
    ['coalesce(x)', 'FLOAT64', /two or more/],
    ['coalesce(x, "a")', 'FLOAT64', /one type, not double and string/],
    ['min(text, text)', 'STRING', /min takes numbers/],
    ['clip(x, 1)', 'FLOAT64', /clip takes a number/],
    ['text.matches("(a+)+b")', 'BOOL', /no method matches.*exponential.*contains/],
    ['text.size(1)', 'INT32', /size does not take/],
    ['request.ts.getHours("Europe/Berlin")', 'INT32', /getHours does not take \(timestamp, string\)/],
    ['text.map(i, i)', 'STRING[]', /map takes a list, not string/],
    ['list.map(i, list.map(j, j))', 'INT32[]', /inside of another list macro/],
    ['list.map(request, 1)', 'INT32[]', /name of an input/],
    ['list.map(i, [i])', 'INT32[]', /may not hold lists/],
    ['list.filter(i, i)', 'INT32[]', /condition of filter is a bool/],
    ['list["a"]', 'INT32', /index of a list is an int/],
    ['text[0]', 'STRING', /not of string/],
    ['[1, "a"]', 'INT32[]', /items of a list must have one type/],
    ['[[1]]', 'INT32[]', /may not hold lists/],
    ['list == list', 'BOOL', /no list<int> == list<int>/],
    ['{"a": 1}', 'INT32', /maps/],
    ['b"x"', 'STRING', /bytes/],
    ['1u', 'INT32', /unsigned/],
    ['9223372036854775808', 'INT64', /64 bits/],
    ['now()', 'TIMESTAMP', /no function now/],
    ['x +', 'FLOAT64', /line 1, column 4/],
    ['x = 1', 'BOOL', /Unexpected character/],
    ['   ', 'FLOAT64', /empty/],
    [`${'x + '.repeat(1000)}x`, 'FLOAT64', /at most 4000 characters, this one has 4001/],
    [`${'('.repeat(60)}x${')'.repeat(60)}`, 'FLOAT64', /maxDepth/],
    [`${'1+'.repeat(1500)}1`, 'INT32', /maxAstNodes/],
  ];
  test.each(cases)('%s as %s says what and where', (source, result, message) => {
    expect(messageOf(() => compileExpression(source, INPUTS, result))).toMatch(message);
  });

  test('says that there are no inputs, and which input is declared wrongly', () => {
    expect(messageOf(() => compileExpression('x', [], 'FLOAT64'))).toMatch(/there are no inputs/);
    const twice = [INPUTS[0], INPUTS[0]];
    expect(messageOf(() => compileExpression('x', twice, 'FLOAT64'))).toMatch(/input x is declared twice/);
    const deep: ExpressionInput[] = [{ name: 'a.b.c', type: 'BOOL' }];
    expect(messageOf(() => compileExpression('x', deep, 'FLOAT64'))).toMatch(/a\.b\.c is not one name/);
  });
});
