/** Another implementation of Avro, to write what FStore reads and to read what it writes. */
import avsc from 'avsc';

/** Longs as bigint. */
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

/** The type of a schema; of a union a value has the name of its type: `{ string: 'a' }`, or null. */
export function avroType(schema: unknown): avsc.Type {
  const isLong = (one: avsc.Schema): boolean => one === 'long' || (one as { type?: unknown }).type === 'long';
  const typeHook = (one: avsc.Schema): avsc.Type | undefined => (isLong(one) ? long : undefined);
  return avsc.Type.forSchema(schema as avsc.Schema, { typeHook, wrapUnions: true });
}
