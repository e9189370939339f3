/**
 * Prints Avro payloads and what the decoder in TypeScript makes of each, as JSON: spark/tests holds the one in Python to it.
 *
 * The payloads are written by another implementation of Avro, and then mutated, as a seed (first argument) picks.
 */
import type { FeatureValue, ValueType } from '../src/definition/value-type.js';
import type { ViewVersion } from '../src/definition/view-version.js';
import { decodeEvent, type EventContract } from '../src/materialization/event-decoder.js';
import { payloadFormats } from '../src/materialization/payload-format.js';
import { avroType } from '../test/unit/fakes/avro-peer.js';
import { exampleView } from '../test/unit/fakes/example-view.js';
import { seededRandom } from '../test/unit/fakes/seeded-random.js';

const NOW = 1_795_000_000_000;
const [EVENTS, MUTATIONS] = [1_500, 4_000];
const columns: Record<string, ValueType> = {
  k: 'STRING',
  k2: 'INT64',
  at: 'TIMESTAMP',
  s: 'STRING',
  b: 'BOOL',
  i: 'INT32',
  l: 'INT64',
  f: 'FLOAT64',
  d: 'FLOAT64',
  t: 'TIMESTAMP',
  n: 'FLOAT64',
  m: 'INT64',
  e: 'STRING',
  ls: 'STRING[]',
  ll: 'INT64[]',
  mixed: 'FLOAT64',
  raw: 'STRING',
  tree: 'STRING',
};
const fields: readonly [string, unknown][] = [
  ['k', 'string'],
  ['k2', 'long'],
  ['at', { type: 'long', logicalType: 'timestamp-micros' }],
  ['s', ['null', 'string']],
  ['b', ['boolean', 'null']],
  ['i', 'int'],
  ['l', ['null', 'long']],
  ['f', ['null', 'float']],
  ['d', ['double', 'null']],
  ['t', ['null', { type: 'int', logicalType: 'date' }]],
  ['n', ['null', { type: 'bytes', logicalType: 'decimal', precision: 30, scale: 2 }]],
  ['m', ['null', { type: 'fixed', name: 'Cents', size: 9, logicalType: 'decimal', precision: 20, scale: 0 }]],
  ['e', { type: 'enum', name: 'Colour', symbols: ['RED', 'GREEN'] }],
  ['ls', { type: 'array', items: 'string' }],
  ['ll', ['null', { type: 'array', items: ['long', 'null'] }]],
  ['mixed', ['string', 'int', 'double', 'Colour', 'null']],
  ['raw', ['null', 'bytes', { type: 'map', values: 'int' }]],
  ['tree', ['null', { type: 'record', name: 'Tree', fields: [{ name: 'next', type: ['null', 'Tree'] }] }]],
];
const avro = {
  type: 'record',
  name: 'Event',
  namespace: 'fstore.test',
  fields: fields.map(([name, type]) => ({ name, type })),
};
const view: ViewVersion = {
  ...exampleView,
  table: 'v',
  keys: [
    { name: 'k', type: 'STRING', column: 'k' },
    { name: 'k2', type: 'INT64', column: 'k2' },
  ] as ViewVersion['keys'],
  columns: [{ name: 'd', type: 'FLOAT64', column: 'd', summed: true }],
};
const meaning = { schema: columns, timestamp: 'at', topic: 'x', avro: { schema: avro } };
const limits = { clockSkew: 60_000, maxBytes: 100_000 };
const contract: EventContract = {
  source: 'x',
  meaning,
  views: [view],
  limits,
  format: payloadFormats(null)('x', meaning),
};

const random = seededRandom(Number(process.argv[2] ?? 1));
const pick = <T>(items: readonly T[]): T => items[random.below(items.length)]!;
const LONGS = [0n, -1n, 1n, 63n, -64n, 64n, 2n ** 31n, 2n ** 48n, 2n ** 49n, 2n ** 53n, -(2n ** 53n) - 1n, 2n ** 62n];
const long = (): bigint => pick([...LONGS, 2n ** 63n - 1n, -(2n ** 63n), BigInt(random.below(1_000)), 2n ** 53n - 1n]);
/** Most values can be used, or no event could. */
const mostly = <T>(usual: readonly T[], odd: readonly T[]): T => pick(random.below(20) === 0 ? odd : usual);
const TEXTS = ['a', 'é', '\u{1f600}', 'a|b\\', '\ufeffx', 'x'.repeat(300), 'u1', 'u2'];
const text = (): string => mostly(TEXTS, ['', '\u0000']);
const NUMBERS = [0, -0, 0.1, -2.5, 1e38, 5e-324, 2 ** 53, 16_777_217];
const number = (): number => mostly(NUMBERS, [1e100, 1.1e100, Number.NaN, Number.POSITIVE_INFINITY]);
const bytes = (most: number): Buffer =>
  Buffer.from(Array.from({ length: random.below(most) }, () => pick([0, 1, 127, 128, 255])));
const rarely = <T>(value: () => T): T | null => (random.below(3) === 0 ? null : value());
const tree = (depth: number): unknown => ({ next: depth > 0 ? { 'fstore.test.Tree': tree(depth - 1) } : null });
/** A value as the other implementation has it: of a union with the name of its type. */
const event = () => ({
  k: pick(['a', 'b', text()]),
  k2: long(),
  at:
    BigInt(mostly([NOW, NOW + 59_000, -1, 0], [NOW + 60_000, -62_135_596_800_000])) * 1_000n +
    BigInt(random.below(2_000) - 1_000),
  s: rarely(() => ({ string: text() })),
  b: rarely(() => ({ boolean: random.below(2) === 0 })),
  i: pick([0, -1, 2 ** 31 - 1, -(2 ** 31), 7]),
  l: rarely(() => ({ long: long() })),
  f: rarely(() => ({ float: number() })),
  d: rarely(() => ({ double: number() })),
  t: rarely(() => ({ int: mostly([0, 1, -1, 20_000, -719_162, 2_932_896], [-719_163, 2_932_897]) })),
  n: rarely(() => ({ bytes: bytes(mostly([4, 16], [140])) })),
  m: rarely(() => ({ 'fstore.test.Cents': Buffer.concat([Buffer.alloc(9), bytes(7)]).subarray(-9) })),
  e: pick(['RED', 'GREEN']),
  ls: Array.from({ length: random.below(4) }, text),
  ll: rarely(() => ({
    array: Array.from({ length: random.below(4) }, () => (random.below(60) ? { long: long() } : null)),
  })),
  mixed: mostly([null, { int: 3 }, { double: 0.5 }] as unknown[], [{ string: '7' }, { 'fstore.test.Colour': 'RED' }]),
  raw: random.below(40) ? null : pick([{ bytes: bytes(5) }, { map: { a: 1, b: 2 } }]),
  tree: random.below(40) ? null : { 'fstore.test.Tree': tree(random.below(30)) },
});

const peer = avroType(avro);
const payloads = Array.from({ length: EVENTS }, () => peer.toBuffer(event()));
for (let count = 0; count < MUTATIONS; count += 1) {
  const payload = Buffer.from(pick(payloads));
  const at = random.below(payload.length);
  const insert = Buffer.from([pick([0, 1, 2, 127, 128, 192, 255, random.below(256)])]);
  const kept = payload.subarray(at + random.below(2));
  const cut = random.below(8) === 0 ? payload.subarray(0, at) : null;
  payloads.push(cut ?? Buffer.concat([payload.subarray(0, at), random.below(4) ? insert : Buffer.alloc(0), kept]));
}

const plain = (value: FeatureValue): unknown => {
  if (Array.isArray(value)) return value.map((item) => plain(item as FeatureValue));
  return typeof value === 'bigint' ? { big: `${value}` } : value;
};
const vectors = payloads.map((payload) => {
  const decoded = decodeEvent(payload, contract, NOW);
  const encoded = payload.toString('base64');
  if (!decoded.ok) return { payload: encoded, code: decoded.error.code, message: decoded.error.message };
  const found = [...decoded.event.columns].map(([name, value]) => [name, plain(value)]);
  return { payload: encoded, columns: Object.fromEntries(found), key: decoded.event.keys.get(view.id)!.parts };
});
process.stdout.write(JSON.stringify({ schema: columns, avro, now: NOW, limits, vectors }));
