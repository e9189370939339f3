/**
 * Prints event texts and what the decoder in TypeScript makes of each, as JSON: spark/tests holds the decoder in Python to it.
 *
 * The texts are the edges that people have thought of, and mutations of them that a seed (first argument) picks.
 */
import { hashValue } from '../src/aggregation/distinct-sketch.js';
import { elementType, type FeatureValue, type ScalarType, type ValueType } from '../src/definition/value-type.js';
import type { ViewVersion } from '../src/definition/view-version.js';
import { decodeEvent, type EventContract } from '../src/materialization/event-decoder.js';
import { exampleView } from '../test/unit/fakes/example-view.js';
import { seededRandom } from '../test/unit/fakes/seeded-random.js';

const NOW = 1_795_000_000_000;
const MUTATIONS = 3_000;
const limits = { clockSkew: 60_000, maxBytes: 100_000 };
const schema: Record<string, ValueType> = {
  s: 'STRING',
  b: 'BOOL',
  i: 'INT32',
  l: 'INT64',
  f: 'FLOAT64',
  t: 'TIMESTAMP',
  ls: 'STRING[]',
  li: 'INT32[]',
  ll: 'INT64[]',
  lf: 'FLOAT64[]',
  lt: 'TIMESTAMP[]',
  lb: 'BOOL[]',
  k: 'STRING',
  k2: 'INT64',
  at: 'TIMESTAMP',
};
const view: ViewVersion = {
  ...exampleView,
  table: 'v',
  keys: [
    { name: 'k', type: 'STRING', column: 'k' },
    { name: 'k2', type: 'INT64', column: 'k2' },
  ] as ViewVersion['keys'],
  columns: [
    { name: 'f', type: 'FLOAT64', column: 'f', summed: true },
    { name: 'i', type: 'INT32', column: 'i', summed: true },
  ],
};
const contract: EventContract = {
  source: 'x',
  meaning: { schema, timestamp: 'at', topic: 'x' },
  views: [view],
  limits,
  format: null,
};

const digits = (text: string, count: number): string => text.repeat(count);
const NUMBERS =
  '0 -0 1 -1 1.0 1.5 1e2 1E+2 1e-2 100e-2 2147483647 2147483648 -2147483648 -2147483649 9007199254740991 9007199254740992 ' +
  '9007199254740993 -9007199254740993 9007199254740993.0 9007199254740992.0 1234567890123456.0 12345678901234567.5 ' +
  '9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 1e15 1e16 9e15 1e17 1e308 1e309 -1e400 ' +
  '1e100 1.0000001e100 -1e101 4.9e-324 1e-400 0.1 123456789012345678901234567890 1700000000000 1700000000000.5 ' +
  '-62135596800000 -62135596800001 253402300799999 253402300800000 1.7e12';
const literals = [
  ...NUMBERS.split(' '),
  ...[
    `1${digits('0', 308)}`,
    `1${digits('0', 309)}`,
    `1${digits('0', 400)}`,
    digits('9', 5_000),
    `0.${digits('1', 30)}`,
  ],
  ...'NaN Infinity -Infinity 01 1. .5 +1 0x10 1_0 true false null True'.split(' '),
  ...['', 'a', '7', '-7', '07', '+7', ' 7', '7 ', '1e3', '7.0', '9223372036854775807', '9223372036854775808'].map(
    (text) => `"${text}"`,
  ),
  ...['"12345678901234567890"', '"٣"', '"\\u0000"', '"\\ud800"', '"\\udc00"', '"\\ud83d\\ude00"', '"\\ude00\\ud83d"'],
  ...['"é"', '"\\u00e9"', '"\\x41"', '"\t"', '"\\/"', '"\u007f"', '"\u2028"'],
  ...[
    '[]',
    '[1]',
    '[null]',
    '[1,"2"]',
    '["a",null]',
    '["a"]',
    '[true]',
    '[1.0,2]',
    '[9007199254740993]',
    '["2020-01-01"]',
  ],
  ...['[[1]]', '{}', '{"a":1}', '[1,]', '[NaN]'],
];
const dates =
  '2020-01-01 2020-02-29 2021-02-29 2020-02-30 2020-04-31 2020-13-01 2020-00-10 2020-01-00 2020-01-32 0000-01-01 0001-01-01 ' +
  '0000-12-31 9999-12-31 1900-02-29 2000-02-29 0004-02-29 0099-01-01 1969-12-31';
const clocks =
  '|T00:00Z|T24:00Z|T24:00:00Z|T24:00:00.000Z|T24:00:00.001Z|T24:01Z|T25:00Z|T23:59:60Z|T23:60:00Z|T12:34:56Z|T12:34:56.7Z|' +
  'T12:34:56.78Z|T12:34:56.789Z|T12:34:56.7899Z|T12:34:56.999999999Z|T12:34:56.1234567891Z|T12:34:56|T12:34|T12:34:56+01:00|' +
  'T12:34:56+0100|T12:34:56-0530|T12:34:56.5+0530|T12:34+0100|T12:34-01:00|T12:34:56+23:59|T12:34:56+24:00|T12:34:56+2400|' +
  'T12:34:56+99:99|T12:34:56+12:60|T12:34:56+1260|T12:34:56-00:00|T12:34:56+01|T12:34:56z|t12:34:56Z| 12:34:56Z|' +
  ' 12:34:56+02:00| 12:34:56+0200|T24:00:00+01:00|T24:00+0100|T24:00:00.0004Z|  12:34:56Z|T23:30:00-01:00|T00:30:00+01:00';
const oddTimes = [
  ...['2026-11-18T22:13:20Z', '٢٠٢٠-01-01', '2020-01-01\\n', '2020-01-01T00:00:00Z ', '+002020-01-01T00:00:00Z'],
  ...['20200101', '2020-1-1'],
];

const base = '"k":"a","k2":7,"at":1700000000000';
const long = '"l":1234567890123456789';
const nested = (depth: number): string => `{${base},"li":${'['.repeat(depth)}${']'.repeat(depth)}}`;
const texts = [
  ...['', 'null', '1', '"x"', '[]', '{}', ' {} ', `{${base}}`, `\n\t\r {${base}} \n`, `{${base}}x`, `{${base},}`],
  ...['"zz":1', '"__proto__":1', `${long},"__proto__":1`, '"constructor":1', '"":1'].map((more) => `{${base},${more}}`),
  // A name that comes twice: the last counts, but in a text with a long number only the same value may come again.
  ...['"s":"a","s":"b"', `${long},"s":"a","s":"b"`, `${long},"s":"a","s":"a"`, `${long},${long}`, `${long},"l":1`].map(
    (more) => `{${base},${more}}`,
  ),
  ...[
    '"f":1,"f":1.0',
    '"i":0,"i":-0',
    '"li":[1],"li":[1]',
    '"li":[1],"li":[2]',
    '"lf":[1],"lf":[1]',
    '"s":null,"s":null',
  ].map((more) => `{${base},${long},${more}}`),
  `{${base},"s":"1234567890123456","b":true,"b":false}`,
  ...[`{'k':1}`, `{${base}/**/}`, `\ufeff{${base}}`, `\ufeff\ufeff{${base}}`, `\u00a0{${base}}`],
  ...[`{${base},"s":1234567890123456,}`, nested(500), nested(5_000), `{"\\u006b":"a","k2":1,"at":0}`],
  ...[`{${base},"s":"${'x'.repeat(99_950)}"}`, `{${base},"s":"${'x'.repeat(100_050)}"}`],
  ...[
    '{"k":null,"k2":1,"at":0}',
    '{"k2":1,"at":0}',
    '{"k":"a","at":0}',
    '{"k":"a","k2":1}',
    '{"k":"a","k2":1,"at":null}',
  ],
  ...[
    `{${base},"li":[${'1,'.repeat(40_000)}1]}`,
    `{${base},"s" : "x" , "b" : true}`,
    `{${base} "s":1}`,
    `{${base},${long} "s":1}`,
  ],
  ...['"s":"\\u12G4"', '"s":"\u0001"', '"f":01', '"f":-', '"f":1.e5', '"f":1e'].map(
    (more) => `{${base},${long},${more}}`,
  ),
];
const bytes = [[0xff], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf4, 0x90, 0x80, 0x80]].map((list) =>
  Buffer.concat([Buffer.from(`{${base},"s":"`), Buffer.from(list), Buffer.from('"}')]),
);
const keys = [
  ...[511, 512, 513].flatMap((size) => ['x'.repeat(size), 'é'.repeat(size / 2)]),
  ...['|', '\\\\', ' ', 'a|b'],
];

const groups = new Map<string, Buffer[]>();
const put = (group: string, payload: string | Buffer): void => {
  const list = groups.get(group) ?? [];
  list.push(Buffer.from(payload));
  groups.set(group, list);
};
const free = Object.keys(schema).filter((column) => !['k', 'k2', 'at'].includes(column));
for (const column of free) for (const one of literals) put(`${schema[column]}`, `{${base},"${column}":${one}}`);
for (const one of literals) {
  put('join keys', `{"k":${one},"k2":7,"at":1700000000000}`);
  put('join keys', `{"k":"a","k2":${one},"at":1700000000000}`);
  put('event time', `{"k":"a","k2":1,"at":${one}}`);
}
for (const key of keys) put('join keys', `{"k":"${key}","k2":7,"at":0}`);
for (const date of dates.split(' '))
  for (const clock of clocks.split('|')) put('times', `{${base},"t":"${date}${clock}"}`);
for (const time of oddTimes) put('times', `{${base},"t":"${time}"}`);
for (const ahead of [0, 59_999, 60_000, 60_001]) put('event time', `{"k":"a","k2":1,"at":${NOW + ahead}}`);
for (const text of texts) put('whole texts', text);
for (const payload of bytes) put('bytes', payload);
put('bytes', Buffer.from(`{${base}}`, 'utf16le'));

const random = seededRandom(Number(process.argv[2] ?? 1));
const all = [...groups.values()].flat().filter((payload) => payload.length > 0 && payload.length < 500);
const ALPHABET = '"{}[],:0123456789.eE+-\\u tfn\u00e9';
for (let count = 0; count < MUTATIONS; count += 1) {
  const payload = Buffer.from(all[random.below(all.length)]!);
  const at = random.below(payload.length);
  const insert = Buffer.from(ALPHABET[random.below(ALPHABET.length)]!);
  const kept = payload.subarray(at + random.below(2));
  put('mutations', Buffer.concat([payload.subarray(0, at), random.below(3) ? insert : Buffer.alloc(0), kept]));
}

const plain = (value: FeatureValue): unknown => {
  if (Array.isArray(value)) return value.map((item) => plain(item as FeatureValue));
  return typeof value === 'bigint' ? { big: `${value}` } : value;
};

function vectorOf(payload: Buffer) {
  const decoded = decodeEvent(payload, contract, NOW);
  const encoded = payload.toString('base64');
  if (!decoded.ok) return { payload: encoded, code: decoded.error.code };
  const { columns, keys: found } = decoded.event;
  const hashes = [...columns].flatMap(([name, value]) => {
    const type = schema[name]!;
    if (value === null || elementType(type)) return [];
    return [[name, hashValue(type as ScalarType, value as never)]];
  });
  return {
    payload: encoded,
    columns: Object.fromEntries([...columns].map(([name, value]) => [name, plain(value)])),
    key: found.get(view.id)!.parts,
    hashes: Object.fromEntries(hashes),
  };
}

const vectors = Object.fromEntries([...groups].map(([name, payloads]) => [name, payloads.map(vectorOf)]));
process.stdout.write(JSON.stringify({ schema, now: NOW, limits, vectors }));
