import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ValueType } from '../../src/definition/value-type.js';
import { isNewer, ValueCodec } from '../../src/store/value-codec.js';
import { features, scalars } from './fakes/feature-arbitrary.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);

const row = fc.record({
  features,
  eventTime: scalars.TIMESTAMP as fc.Arbitrary<number>,
  sequence: fc.nat(),
});

function codecOf(list: readonly { type: ValueType }[], fingerprint = '0123456789abcdef'): ValueCodec {
  const features = list.map(({ type }, index) => ({
    name: `f${index}`,
    type,
    column: `f${index}`,
    computation: null,
    graphqlName: `f${index}`,
    description: undefined,
    tags: {},
  }));
  return new ValueCodec({ fingerprint, features, aggregation: null });
}

describe(`a packed value (seed ${seed})`, () => {
  test('unpacks to what was packed, for every type, lists and nulls', () => {
    fc.assert(
      fc.property(row, ({ features, eventTime, sequence }) => {
        const codec = codecOf(features);
        const values = features.map((one) => one.value);
        expect(codec.decode(codec.encode({ eventTime, sequence, values }))).toEqual({
          row: { eventTime, sequence, values },
        });
      }),
      { seed, numRuns: 1_000 },
    );
  });

  test('that was cut short anywhere, or has bytes too many, unpacks to nothing', () => {
    fc.assert(
      fc.property(row, ({ features, eventTime, sequence }) => {
        const codec = codecOf(features);
        const bytes = codec.encode({ eventTime, sequence, values: features.map((one) => one.value) });
        for (let length = 0; length < bytes.length; length += 1)
          expect(codec.decode(bytes.subarray(0, length))).toBeNull();
        expect(codec.decode(Buffer.concat([bytes, Buffer.from([0])]))).toBeNull();
      }),
      { seed, numRuns: 100 },
    );
  });

  test('with a damaged byte never throws', () => {
    fc.assert(
      fc.property(row, fc.nat(), fc.integer({ min: 1, max: 255 }), ({ features, eventTime, sequence }, place, flip) => {
        const codec = codecOf(features);
        const bytes = codec.encode({ eventTime, sequence, values: features.map((one) => one.value) });
        const at = place % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        expect(() => codec.decode(bytes)).not.toThrow();
      }),
      { seed, numRuns: 2_000 },
    );
  });

  test('with a damaged header, mark or boolean unpacks to nothing', () => {
    const codec = codecOf([{ type: 'BOOL' }]);
    const bytes = codec.encode({ eventTime: 1, sequence: 1, values: [true] });
    const damaged: [at: number, byte: number][] = [
      [0, 0xff],
      [8, 0x7f],
      [16, 6],
      [17, 2],
      [18, 0xee],
      [bytes.length - 1, 3],
    ];
    for (const [at, byte] of damaged) {
      const copy = Buffer.from(bytes);
      copy[at] = byte;
      if (at < 16) copy[at + 1] = 0xff;
      expect([at, codec.decode(copy)]).toEqual([at, null]);
    }
  });

  test('with a damaged header gives way to any other', () => {
    const codec = codecOf([{ type: 'BOOL' }]);
    const bytes = codec.encode({ eventTime: 1, sequence: 1, values: [true] });
    expect(isNewer(bytes, Buffer.alloc(40, 0xff))).toBe(true);
    expect(isNewer(bytes, bytes.subarray(0, 15))).toBe(true);
  });

  test('is newer by event time first, then by sequence, and never than itself', () => {
    const place = fc.record({ eventTime: scalars.TIMESTAMP as fc.Arbitrary<number>, sequence: fc.nat() });
    const codec = codecOf([{ type: 'BOOL' }]);
    fc.assert(
      fc.property(place, place, fc.boolean(), (a, b, tie) => {
        const other = tie ? { ...b, eventTime: a.eventTime } : b;
        const [x, y] = [a, other].map((row) => codec.encode({ ...row, values: [null] }));
        const after = a.eventTime > other.eventTime || (a.eventTime === other.eventTime && a.sequence > other.sequence);
        expect([isNewer(x!, y!), isNewer(x!, x!)]).toEqual([after, false]);
      }),
      { seed, numRuns: 500 },
    );
  });

  test('of another meaning, or random bytes, unpacks to nothing', () => {
    const bytes = codecOf([{ type: 'FLOAT64' }]).encode({ eventTime: 1, sequence: 1, values: [1] });
    expect(codecOf([{ type: 'FLOAT64' }], 'ffffffffffffffff').decode(bytes)).toBeNull();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (random) => {
        expect(codecOf([{ type: 'STRING' }]).decode(Buffer.from(random))).toBeNull();
      }),
      { seed, numRuns: 500 },
    );
  });

  test('of a remembered NOT_FOUND is older than every row', () => {
    const codec = codecOf([{ type: 'BOOL' }]);
    const none = codec.encode(null);
    const oldest = codec.encode({ eventTime: -62_135_596_800_000, sequence: 0, values: [true] });
    expect(codec.decode(none)).toEqual({ row: null });
    expect([isNewer(oldest, none), isNewer(none, oldest), isNewer(none, none)]).toEqual([true, false, false]);
  });
});
