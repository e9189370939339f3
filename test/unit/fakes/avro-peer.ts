/** A second implementation of Avro, which writes what FStore reads and reads what FStore writes. */
import avsc from 'avsc';

/** Reads and writes longs as bigint. */
const long = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
});

/**
 * Returns the type of a schema. A value of a union is wrapped in the name of its branch, such as `{ string: 'a' }`, or
 * null.
 */
export function avroType(schema: unknown): avsc.Type {
  const isLong = (one: avsc.Schema): boolean => one === 'long' || (one as { type?: unknown }).type === 'long';
  const typeHook = (one: avsc.Schema): avsc.Type | undefined => (isLong(one) ? long : undefined);
  return avsc.Type.forSchema(schema as avsc.Schema, { typeHook, wrapUnions: true });
}
