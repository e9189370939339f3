/** Events that are equal as JSON and as Avro of two schemas, with the values in which the formats could differ. */
import { avroType } from './avro-peer.js';
import type { SeededRandom } from './seeded-random.js';

const optional = (type: unknown) => ['null', type];
const fields = [
  { name: 'user_id', type: 'string' },
  { name: 'cents', type: optional('long') },
  { name: 'amount', type: optional('double') },
  { name: 'price', type: optional({ type: 'bytes', logicalType: 'decimal', precision: 20, scale: 2 }) },
  { name: 'colour', type: optional({ type: 'enum', name: 'Colour', symbols: ['RED', 'GREEN'] }) },
  { name: 'tags', type: optional({ type: 'array', items: 'string' }) },
  { name: 'day', type: optional({ type: 'int', logicalType: 'date' }) },
  { name: 'flag', type: optional('boolean') },
  { name: 'at', type: { type: 'long', logicalType: 'timestamp-micros' } },
];
export const happeningSchema = { type: 'record', name: 'Happening', namespace: 'shop', fields };
/** A later version of the schema: fields in another order, and milliseconds instead of microseconds. */
export const laterSchema = {
  ...happeningSchema,
  fields: [...fields.slice(0, -1).reverse(), { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' } }],
};
/** The columns that a source of these events declares. */
export const happeningColumns = {
  user_id: 'STRING',
  cents: 'INT64',
  amount: 'FLOAT64',
  price: 'FLOAT64',
  colour: 'STRING',
  tags: 'STRING[]',
  day: 'TIMESTAMP',
  flag: 'BOOL',
  at: 'TIMESTAMP',
};

export type Happening = ReturnType<typeof randomHappening>;

/**
 * Returns a random event of a user at a time (milliseconds, plus some microseconds). `price` is in hundredths, `day` in
 * days since 1970.
 */
export function randomHappening(random: SeededRandom, user: string, time: number) {
  const rarely = <T>(value: () => T): T | null => (random.below(5) === 0 ? null : value());
  return {
    user_id: user,
    cents: rarely(() => [2n ** 53n + 1n, -(2n ** 57n), BigInt(random.below(100))][random.below(3)]!),
    amount: rarely(() => [0.1, -2.5, 1e100, 5e-324, random.below(800) / 8][random.below(5)]!),
    price: rarely(() => random.below(2_000_000) - 1_000_000),
    colour: rarely(() => ['RED', 'GREEN'][random.below(2)]!),
    tags: rarely(() => Array.from({ length: random.below(3) }, (_, at) => `é${at}`)),
    day: rarely(() => random.below(20_000)),
    flag: rarely(() => random.below(2) === 0),
    at: BigInt(time) * 1_000n + BigInt(random.below(1_000)),
  };
}

/** Returns the event as JSON. */
export function happeningJson({ cents, price, day, at, ...rest }: Happening): string {
  return JSON.stringify({
    ...rest,
    cents: cents === null ? null : `${cents}`,
    price: price === null ? null : Number(`${price}e-2`),
    day: day === null ? null : new Date(day * 86_400_000).toISOString().slice(0, 10),
    at: `${new Date(Number(at / 1_000n)).toISOString().slice(0, -1)}${`${at % 1_000n}`.padStart(3, '0')}Z`,
  });
}

const [first, second] = [avroType(happeningSchema), avroType(laterSchema)];

/** Returns the event as Avro, written by the second implementation. */
export function happeningAvro(event: Happening, isLater = false): Buffer {
  const branch = (name: string, value: unknown) => (value === null ? null : { [name]: value });
  const unscaled = Buffer.alloc(8);
  unscaled.writeBigInt64BE(BigInt(event.price ?? 0));
  return (isLater ? second : first).toBuffer({
    user_id: event.user_id,
    cents: branch('long', event.cents),
    amount: branch('double', event.amount),
    price: event.price === null ? null : { bytes: unscaled },
    colour: branch('shop.Colour', event.colour),
    tags: branch('array', event.tags),
    day: branch('int', event.day),
    flag: branch('boolean', event.flag),
    at: isLater ? event.at / 1_000n : event.at,
  });
}
