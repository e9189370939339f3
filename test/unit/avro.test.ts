import { describe, expect, test } from '@jest/globals';
import { AvroSchemaError, carries, parseAvroSchema } from '../../src/definition/avro-schema.js';
import { readAvro } from '../../src/materialization/avro-reader.js';
import { writeAvro } from '../../src/materialization/avro-writer.js';
import { avroType } from './fakes/avro-peer.js';

const record = (...fields: unknown[]) => ({
  type: 'record',
  name: 'Event',
  namespace: 'a.b',
  fields: fields.map((type, at) => ({ name: `f${at}`, type })),
});
const columns = (...values: unknown[]) => new Map(values.map((value, at) => [`f${at}`, value as never]));
const datum = (schema: unknown, ...values: unknown[]) =>
  avroType(schema).toBuffer(Object.fromEntries(values.map((value, at) => [`f${at}`, value])));
const read = (schema: unknown, bytes: Buffer) => readAvro(parseAvroSchema(schema), bytes);

describe('an Avro schema', () => {
  test('knows its names, with and without namespace, and itself', () => {
    const colour = { type: 'enum', name: 'Colour', symbols: ['RED'] };
    const inner = { type: 'record', name: 'x.Inner', fields: [{ name: 'of', type: ['null', 'a.b.Colour', 'Inner'] }] };
    const type = parseAvroSchema(record(colour, 'Colour', 'a.b.Colour', inner, ['null', 'Event', 'x.Inner']));
    expect(type.fields.map((field) => field.type.kind)).toEqual(['enum', 'enum', 'enum', 'record', 'union']);
  });

  test.each<[string, unknown, RegExp]>([
    ['a name that is not there', record('Colour'), /no type Colour/],
    ['no record', 'string', /a record, and this schema is a string/],
    ['a field twice', { ...record(), fields: [1, 2].map(() => ({ name: 'a', type: 'int' })) }, /two fields a/],
    [
      'a type twice',
      record({ type: 'fixed', name: 'F', size: 1 }, { type: 'fixed', name: 'F', size: 1 }),
      /two types a.b.F/,
    ],
    ['a union in a union', record(['null', ['int', 'null']]), /union/],
    ['a time without a zone', record({ type: 'long', logicalType: 'local-timestamp-micros' }), /no zone/],
    ['no end', record(JSON.parse(`${'{"type":"array","items":'.repeat(80)}"int"${'}'.repeat(80)}`)), /too deeply/],
  ])('is refused with %s', (_, schema, message) => {
    expect(() => parseAvroSchema(schema)).toThrow(message);
    expect(() => parseAvroSchema(schema)).toThrow(AvroSchemaError);
  });

  test('tells which columns can have its values', () => {
    const { fields } = parseAvroSchema(record(['null', 'long'], { type: 'array', items: 'string' }, 'bytes', 'double'));
    const fits = (at: number, type: Parameters<typeof carries>[1]) => carries(fields[at]!.type, type);
    expect([fits(0, 'INT64'), fits(0, 'TIMESTAMP'), fits(0, 'STRING')]).toEqual([true, true, false]);
    expect([fits(1, 'STRING[]'), fits(1, 'STRING'), fits(1, 'FLOAT64[]')]).toEqual([true, false, false]);
    expect([fits(2, 'STRING'), fits(3, 'FLOAT64'), fits(3, 'INT64')]).toEqual([false, true, false]);
  });
});

describe('an Avro datum', () => {
  test('of another implementation is read with every digit', () => {
    const schema = record('long', ['null', 'long'], 'int', 'double', 'string', ['int', 'string'], {
      type: 'map',
      values: 'int',
    });
    const bytes = datum(schema, 2n ** 63n - 1n, { long: -(2n ** 53n) - 1n }, -5, 0.1, 'é', { string: '7' }, { a: 1 });
    expect(read(schema, bytes)).toEqual({
      f0: 2n ** 63n - 1n,
      f1: -(2n ** 53n) - 1n,
      f2: -5,
      f3: 0.1,
      f4: 'é',
      f5: '7',
      f6: { a: 1 },
    });
  });

  test('has instants in milliseconds, rounded down, and decimals as the nearest double', () => {
    const of = (logicalType: string) => ({ type: 'long', logicalType });
    const decimal = { type: 'bytes', logicalType: 'decimal', precision: 30, scale: 3 };
    const schema = record(of('timestamp-micros'), of('timestamp-nanos'), { type: 'int', logicalType: 'date' }, decimal);
    const far = 9_007_199_254_739_999n;
    expect(read(schema, datum(schema, -1n, far, 1, Buffer.from([0xfb, 0x2e])))).toEqual({
      f0: -1,
      f1: 9_007_199_254,
      f2: 86_400_000,
      f3: -1.234,
    });
    expect(read(schema, datum(schema, far, 0n, 0, Buffer.alloc(0)))).toMatchObject({ f0: 9_007_199_254_739, f3: 0 });
  });

  test('that is cut off, goes on, or holds more items than bytes is refused', () => {
    const schema = record('string', { type: 'array', items: 'null' });
    const bytes = datum(schema, 'a', [null]);
    expect(() => read(schema, bytes.subarray(0, -1))).toThrow(/cut off/);
    expect(() => read(schema, Buffer.concat([bytes, bytes]))).toThrow(/bytes follow/);
    expect(() => read(schema, Buffer.from([2, 0xff, 0]))).toThrow(/UTF-8/);
    // A list of a thousand million nothings.
    expect(() => read(schema, Buffer.from([0, 0x80, 0xa8, 0xd6, 0xb9, 0x07, 0]))).toThrow(/more items/);
  });

  test('that FStore writes is what another implementation reads', () => {
    const price = { type: 'fixed', name: 'Price', size: 4, logicalType: 'decimal', precision: 8, scale: 2 };
    const schema = record(
      ['null', 'long'],
      { type: 'long', logicalType: 'timestamp-micros' },
      ['null', 'string', { type: 'enum', name: 'E', symbols: ['A', 'B'] }],
      { type: 'array', items: ['null', 'double'] },
      'boolean',
      price,
      'float',
      ['null', 'int'],
    );
    const type = parseAvroSchema(schema);
    const bytes = writeAvro(type, columns(2n ** 62n, -1, 'B', [0.5, 1e300], true, -12.34, 0.1));
    const { f3, ...others } = avroType(schema).fromBuffer(bytes);
    expect(f3).toEqual([{ double: 0.5 }, { double: 1e300 }]);
    expect(others).toMatchObject({ f0: { long: 2n ** 62n }, f1: -1_000n, f2: { string: 'B' }, f4: true, f7: null });
    expect(readAvro(type, bytes)).toMatchObject({ f5: -12.34, f6: Math.fround(0.1) });
  });

  test.each<[string, unknown, unknown]>([
    ['null where nothing may be null', 'long', null],
    ['a symbol that is none', { type: 'enum', name: 'E', symbols: ['A'] }, 'B'],
    ['an int beyond 32 bits', 'int', 2 ** 31],
    ['more places than a decimal has', { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 }, 0.125],
    ['a decimal beyond its size', { type: 'fixed', name: 'P', size: 1, logicalType: 'decimal', precision: 2 }, 128],
    ['a decimal beyond all', { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 }, 1e308],
    ['a time beyond nanoseconds', { type: 'long', logicalType: 'timestamp-nanos' }, 253_402_300_799_999],
    ['a float beyond its range', 'float', 1e300],
    ['a time within a day', { type: 'int', logicalType: 'date' }, 1],
  ])('is not written of %s', (_, type, value) => {
    const write = () => writeAvro(parseAvroSchema(record('int', type)), columns(1, value));
    expect(write).toThrow(expect.objectContaining({ code: 'EVENT_FIELD_TYPE', location: { field: 'f1' } }));
  });
});
