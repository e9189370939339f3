import { describe, expect, test } from '@jest/globals';
import { entityKey, readKey } from '../../src/definition/entity-key.js';
import { readValue, type ValueType, valueToJson } from '../../src/definition/value-type.js';

describe('a value of JSON', () => {
  const good: [ValueType, unknown, unknown][] = [
    ['STRING', '', ''],
    ['STRING', '😀', '😀'],
    ['BOOL', false, false],
    ['INT32', -2147483648, -2147483648],
    ['INT32', -0, 0],
    ['INT64', 7, 7n],
    ['INT64', '9223372036854775807', 9223372036854775807n],
    ['INT64', -(2n ** 63n), -(2n ** 63n)],
    ['FLOAT64', 5e-324, 5e-324],
    ['FLOAT64', -0, 0],
    ['FLOAT64', 3, 3],
    ['TIMESTAMP', '2026-01-31T12:00:00Z', Date.UTC(2026, 0, 31, 12)],
    ['TIMESTAMP', '2026-01-31T12:00:00.123456+01:00', Date.UTC(2026, 0, 31, 11, 0, 0, 123)],
    ['TIMESTAMP', '2024-02-29', Date.UTC(2024, 1, 29)],
    ['TIMESTAMP', '0001-01-01T00:00:00Z', -62_135_596_800_000],
    ['TIMESTAMP', 0, 0],
    ['FLOAT64[]', [], []],
    ['INT64[]', [1, '2'], [1n, 2n]],
    ['STRING', null, null],
    ['STRING', undefined, null],
  ];
  test.each(good)('%s reads %p', (type, input, value) => {
    expect(readValue(type, input)).toEqual({ ok: true, value });
  });

  const bad: [ValueType, unknown][] = [
    ['STRING', 1],
    ['STRING', 'a\u0000b'],
    ['STRING', '\ud800'],
    ['STRING', 'x\udc00y'],
    ['BOOL', 'true'],
    ['INT32', 2147483648],
    ['INT32', 1.5],
    ['INT64', 2 ** 53 + 2],
    ['INT64', '9223372036854775808'],
    ['INT64', '1e3'],
    ['INT64', true],
    ['FLOAT64', Number.NaN],
    ['FLOAT64', Number.POSITIVE_INFINITY],
    ['FLOAT64', '1'],
    ['TIMESTAMP', '2026-02-30T00:00:00Z'],
    ['TIMESTAMP', '2023-02-29'],
    ['TIMESTAMP', '2026-01-31T12:00:00'],
    ['TIMESTAMP', 'yesterday'],
    ['TIMESTAMP', 253_402_300_800_000],
    ['TIMESTAMP', 1.5],
    ['FLOAT64[]', 1],
    ['FLOAT64[]', [1, null]],
    ['FLOAT64[]', ['x']],
  ];
  test.each(bad)('%s refuses %p', (type, input) => {
    expect(readValue(type, input)).toMatchObject({ ok: false, reason: expect.any(String) });
  });

  test('comes back as the JSON that reads to the same value', () => {
    const values: [ValueType, never][] = [
      ['INT64', 9007199254740993n as never],
      ['TIMESTAMP', 1 as never],
      ['INT64[]', [1n, -1n] as never],
      ['FLOAT64', 0.1 as never],
    ];
    for (const [type, value] of values) {
      const text = JSON.parse(JSON.stringify(valueToJson(type, value))) as unknown;
      expect(readValue(type, text)).toEqual({ ok: true, value });
    }
  });
});

describe('an entity key', () => {
  const textOf = (types: ('STRING' | 'INT64')[], inputs: unknown[]): string | null => {
    const read = readKey(types, inputs);
    return read.ok ? read.key.text : null;
  };

  test('is the same for the same integer, however it is written', () => {
    expect(textOf(['INT64'], ['007'])).toBe('7');
    expect(textOf(['INT64'], [7])).toBe('7');
    expect(textOf(['INT64'], ['-0'])).toBe('0');
  });

  test('never runs its parts together', () => {
    const pairs = [
      ['1', '23'],
      ['12', '3'],
      ['1|2', '3'],
      ['1', '2|3'],
      ['1\\', '|3'],
      ['1\\|', '3'],
    ];
    const texts = pairs.map((parts) => entityKey(parts).text);
    expect(new Set(texts).size).toBe(pairs.length);
  });

  test('is refused when it is empty, of another type, or longer than 512 bytes', () => {
    for (const input of [null, undefined, '', 'x'.repeat(513), 'é'.repeat(257)])
      expect(textOf(['STRING'], [input])).toBeNull();
    for (const input of ['1.5', 'x', '9223372036854775808', {}]) expect(textOf(['INT64'], [input])).toBeNull();
    expect(textOf(['STRING'], ['x'.repeat(512)])).not.toBeNull();
    const long = (count: number) => textOf(Array(count).fill('STRING'), Array(count).fill('x'.repeat(512)));
    expect([long(4) === null, long(5) === null]).toEqual([false, true]);
  });
});

test('a list of long integers in the wrong place is refused in words', () => {
  expect(readValue('BOOL', [2n ** 60n])).toMatchObject({ ok: false, reason: expect.stringContaining(`${2n ** 60n}`) });
});
