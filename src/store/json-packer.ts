/**
 * Lists of typed values as bytes from which their JSON is copied instead of computed.
 *
 *   numbers    length of their JSON text (1 byte), then the text, two characters to a byte. INT64 lacks its quotes, TIMESTAMP is
 *              milliseconds since 1970
 *   BOOL       one byte
 *   STRING     length of its JSON text without quotes, plus 1 (varint), then the text in UTF-8
 *   lists      count of elements, plus 1 (varint), then the elements
 *   null       one byte, 0; a false BOOL is 1, a true one 2
 *
 * Why text: the shortest text of a double takes ten times as long to compute as to copy, and two characters to a byte it is about as
 * small as the double itself.
 */
import {
  elementType,
  type FeatureValue,
  type ScalarType,
  type ScalarValue,
  type ValueType,
} from '../definition/value-type.js';
import { type FixedBytes, type JsonWriter, writeFixed } from './json-writer.js';
import { DamagedValue } from './packed-values.js';

const CHARACTERS = '0123456789.-+e';
/** Longer is no shortest text of a double, and no 64-bit integer. */
const MAX_NUMBER = 26;
/** At most so many bytes of JSON for one byte of a packed value: a TIMESTAMP of one digit takes 2, its text in a list 27. */
export const EXPANSION = 14;

const codeOf = new Uint8Array(128).fill(0xff);
/** The two characters of each byte; 0 for what is none. */
const firstOf = Buffer.alloc(256);
const secondOf = Buffer.alloc(256);
for (let code = 0; code < CHARACTERS.length; code += 1) {
  const character = CHARACTERS.charCodeAt(code);
  codeOf[character] = code;
  firstOf.fill(character, code << 4, (code + 1) << 4);
  for (let first = 0; first < 16; first += 1) secondOf[(first << 4) | code] = character;
}
/** A bit that all characters have. */
const CHARACTER = 0x20;
const NULL = Buffer.from('null');
const FALSE = Buffer.from('false');
const TRUE = Buffer.from('true');
const QUOTE = 0x22;
const COMMA = 0x2c;

/** How a value is kept; an element of a list is kept as the scalar. */
type Form = 0 | 1 | 2 | 3 | 4 | 5;
const NUMBER = 0;
const QUOTED = 1;
const TIME = 2;
const TEXT = 3;
const BOOL = 4;
const LIST = 5;

const SCALAR_FORMS: Record<ScalarType, Form> = {
  FLOAT64: NUMBER,
  INT32: NUMBER,
  INT64: QUOTED,
  TIMESTAMP: TIME,
  STRING: TEXT,
  BOOL: BOOL,
};

/** Where packing writes before the size is known. Packing never waits, so one is enough. */
let draft = Buffer.allocUnsafe(4_096);

function reserve(at: number, more: number): void {
  if (at + more <= draft.length) return;
  const larger = Buffer.allocUnsafe(2 * (at + more));
  draft.copy(larger, 0, 0, at);
  draft = larger;
}

function writeVarint(at: number, value: number): number {
  let rest = value;
  while (rest >= 0x80) {
    draft[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  draft[at++] = rest;
  return at;
}

function packNumber(at: number, text: string): number {
  reserve(at, MAX_NUMBER);
  draft[at++] = text.length;
  for (let index = 0; index < text.length; index += 2) {
    const high = codeOf[text.charCodeAt(index)]!;
    const low = index + 1 < text.length ? codeOf[text.charCodeAt(index + 1)]! : 0;
    draft[at++] = (high << 4) | low;
  }
  return at;
}

function packScalar(at: number, form: Form, value: ScalarValue): number {
  if (form === BOOL) {
    reserve(at, 1);
    draft[at] = value ? 2 : 1;
    return at + 1;
  }
  if (form !== TEXT) return packNumber(at, `${value}`);
  const text = JSON.stringify(value);
  reserve(at, 5 + 3 * text.length);
  const length = Buffer.byteLength(text) - 2;
  const start = writeVarint(at, length + 1);
  draft.write(text.slice(1, -1), start, length, 'utf8');
  return start + length;
}

/** Where reading stands. Reading never waits, so one is enough. */
let place = 0;

/** Reads a varint at `place`; throws DamagedValue. */
function readVarint(bytes: Uint8Array): number {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes[place++];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
  throw new DamagedValue('a length is cut short or longer than 5 bytes');
}

/** Moves `place` past a value. */
function skip(bytes: Uint8Array, form: Form, element: Form): void {
  const first = bytes[place];
  if (first === undefined) throw new DamagedValue('a value is missing');
  if (form === BOOL) {
    if (first > 2) throw new DamagedValue('a boolean is neither true nor false');
    place += 1;
  } else if (form === TEXT) {
    const length = readVarint(bytes);
    if (length > 0) place += length - 1;
  } else if (form === LIST) {
    const length = readVarint(bytes) - 1;
    if (length > bytes.length - place) throw new DamagedValue('a list runs past the end');
    for (let item = 0; item < length; item += 1) {
      if (bytes[place] === 0) throw new DamagedValue('an element is null');
      skip(bytes, element, element);
    }
  } else {
    if (first > MAX_NUMBER) throw new DamagedValue('a number is too long');
    place += 1 + ((first + 1) >> 1);
  }
}

/** Copies the text of the number at `from` and returns where it ends. */
function copyNumber(bytes: Uint8Array, from: number, out: Uint8Array, to: number): number {
  const length = bytes[from]!;
  let at = from + 1;
  let good = CHARACTER;
  const end = to + length;
  for (let next = to; next < end; next += 2) {
    const pair = bytes[at++]!;
    const [first, second] = [firstOf[pair]!, secondOf[pair]!];
    out[next] = first;
    out[next + 1] = second;
    good &= first & second;
  }
  if (good === 0) throw new DamagedValue('a number has a character that no number has');
  return end;
}

function copyBytes(bytes: Uint8Array, from: number, length: number, out: Uint8Array, to: number): number {
  if (length > 64) out.set(bytes.subarray(from, from + length), to);
  else for (let index = 0; index < length; index += 1) out[to + index] = bytes[from + index]!;
  return to + length;
}

const numberText = Buffer.alloc(MAX_NUMBER + 1);

/** The text of the number at `from`. */
function numberAt(bytes: Uint8Array, from: number): string {
  return numberText.toString('latin1', 0, copyNumber(bytes, from, numberText, 0));
}

/** Copies a value that is not null. */
function copyScalar(bytes: Uint8Array, from: number, form: Form, out: Buffer, to: number): number {
  switch (form) {
    case NUMBER:
      return copyNumber(bytes, from, out, to);
    case QUOTED: {
      out[to] = QUOTE;
      const end = copyNumber(bytes, from, out, to + 1);
      out[end] = QUOTE;
      return end + 1;
    }
    case TEXT: {
      place = from;
      const length = readVarint(bytes) - 1;
      out[to] = QUOTE;
      const end = copyBytes(bytes, place, length, out, to + 1);
      out[end] = QUOTE;
      return end + 1;
    }
    case BOOL:
      return bytes[from] === 2 ? copyBytes(TRUE, 0, 4, out, to) : copyBytes(FALSE, 0, 5, out, to);
    default:
      return to + out.write(`"${timeText(numberAt(bytes, from))}"`, to, 'latin1');
  }
}

function timeText(milliseconds: string): string {
  const time = new Date(Number(milliseconds));
  if (Number.isNaN(time.getTime())) throw new DamagedValue('a time is none');
  return time.toISOString();
}

function readScalar(bytes: Uint8Array, from: number, form: Form, type: ScalarType): ScalarValue {
  if (form === BOOL) return bytes[from] === 2;
  if (form === TEXT) {
    place = from;
    const length = readVarint(bytes) - 1;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + place, length).toString('utf8');
    return text.includes('\\') ? parseText(text) : text;
  }
  const text = numberAt(bytes, from);
  if (type === 'INT64') {
    if (!/^-?\d+$/.test(text)) throw new DamagedValue('an integer is none');
    return BigInt(text);
  }
  const value = Number(text);
  if (!Number.isFinite(value)) throw new DamagedValue('a number is none');
  return value;
}

function parseText(text: string): string {
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    throw new DamagedValue('a text is no JSON');
  }
}

/** Stands in a template for the event time. */
export const EVENT_TIME = -1;

/** Fixed text with values between. */
export class ValueTemplate {
  readonly labels: readonly FixedBytes[];
  /** For each label what follows: the index of a value, or EVENT_TIME. */
  readonly values: Int32Array;
  readonly end: FixedBytes;
  /** Bytes of all fixed text, and of an event time or null wherever one may stand. */
  readonly fixedRoom: number;
  /** How often the same value occurs at most. */
  readonly times: number;

  constructor(parts: readonly { readonly label: FixedBytes; readonly value: number }[], end: FixedBytes) {
    this.labels = parts.map(({ label }) => label);
    this.values = Int32Array.from(parts, ({ value }) => value);
    this.end = end;
    this.fixedRoom = parts.reduce((sum, { label }) => sum + label.length + 32, end.length);
    const counts = new Map<number, number>();
    for (const value of this.values) counts.set(value, (counts.get(value) ?? 0) + 1);
    this.times = Math.max(1, ...counts.values());
  }
}

/** Packs values of the same types, unpacks them, and copies the JSON of single ones. */
export class JsonPacker {
  readonly #types: readonly ScalarType[];
  readonly #forms: readonly Form[];
  /** Of the elements of a list; of a scalar its own. */
  readonly #elements: readonly Form[];
  readonly #places: Int32Array;

  constructor(types: readonly ValueType[]) {
    this.#types = types.map((type) => elementType(type) ?? (type as ScalarType));
    this.#elements = this.#types.map((type) => SCALAR_FORMS[type]);
    this.#places = new Int32Array(types.length);
    this.#forms = types.map((type, index) => (elementType(type) ? LIST : this.#elements[index]!));
  }

  /** How many values there are. */
  get count(): number {
    return this.#forms.length;
  }

  /** New bytes: `header` bytes to be filled by the caller, then the values. */
  pack(header: number, values: readonly FeatureValue[]): Buffer {
    let at = header;
    reserve(0, header);
    for (let index = 0; index < this.#forms.length; index += 1) {
      const value = values[index] ?? null;
      const form = this.#forms[index]!;
      reserve(at, 5);
      if (value === null) draft[at++] = 0;
      else if (form === LIST) {
        const list = value as readonly ScalarValue[];
        at = writeVarint(at, list.length + 1);
        for (const item of list) at = packScalar(at, this.#elements[index]!, item);
      } else at = packScalar(at, form, value as ScalarValue);
    }
    return Buffer.from(draft.subarray(0, at));
  }

  /**
   * Writes into `places` where each value begins in bytes whose values begin at `start`. Throws DamagedValue if they do not end
   * where the bytes end.
   */
  locate(bytes: Uint8Array, start: number, places: Int32Array): void {
    const forms = this.#forms;
    let at = start;
    for (let index = 0; index < forms.length; index += 1) {
      places[index] = at;
      const form = forms[index]!;
      // Behind the last byte, the end is missed too.
      const first = bytes[at] ?? 0;
      if (form <= TIME) {
        if (first > MAX_NUMBER) throw new DamagedValue('a number is too long');
        at += 1 + ((first + 1) >> 1);
      } else if (form === TEXT && first < 0x80) at += first === 0 ? 1 : first;
      else {
        place = at;
        skip(bytes, form, this.#elements[index]!);
        at = place;
      }
    }
    if (at !== bytes.length) throw new DamagedValue('the values do not end where the bytes end');
  }

  /**
   * Copies the JSON of the value at `index`, which begins at `from`, to `to` in `out`, where there must be room for EXPANSION times the bytes
   * of all values and 4 more. Returns where it ends. Throws DamagedValue.
   */
  copy(bytes: Uint8Array, index: number, from: number, out: Buffer, to: number): number {
    if (bytes[from] === 0) return copyBytes(NULL, 0, 4, out, to);
    const form = this.#forms[index]!;
    if (form !== LIST) return copyScalar(bytes, from, form, out, to);
    const element = this.#elements[index]!;
    place = from;
    const count = readVarint(bytes) - 1;
    let next = place;
    let at = to;
    out[at++] = 0x5b;
    for (let item = 0; item < count; item += 1) {
      if (item > 0) out[at++] = COMMA;
      at = copyScalar(bytes, next, element, out, at);
      place = next;
      skip(bytes, element, element);
      next = place;
    }
    out[at] = 0x5d;
    return at + 1;
  }

  /** Writes a template whose values are those of bytes, which begin at `start`. Throws DamagedValue. */
  copyAll(bytes: Uint8Array, start: number, template: ValueTemplate, eventTime: FixedBytes, writer: JsonWriter): void {
    const places = this.#places;
    this.locate(bytes, start, places);
    writer.reserve(template.fixedRoom + template.times * EXPANSION * bytes.length);
    const { labels, values } = template;
    const { buffer, view } = writer;
    const forms = this.#forms;
    let { at } = writer;
    for (let field = 0; field < values.length; field += 1) {
      at = writeFixed(view, at, labels[field]!);
      const index = values[field]!;
      if (index === EVENT_TIME) at = writeFixed(view, at, eventTime);
      else {
        const from = places[index]!;
        const isNumber = forms[index] === NUMBER && bytes[from] !== 0;
        at = isNumber ? copyNumber(bytes, from, buffer, at) : this.copy(bytes, index, from, buffer, at);
      }
    }
    writer.at = writeFixed(view, at, template.end);
  }

  /** Unpacks all values; they begin at `start` and end with the bytes. Throws DamagedValue. */
  read(bytes: Uint8Array, start: number): FeatureValue[] {
    const places = new Int32Array(this.count);
    this.locate(bytes, start, places);
    return this.#forms.map((form, index) => {
      const from = places[index]!;
      const type = this.#types[index]!;
      if (bytes[from] === 0) return null;
      if (form !== LIST) return readScalar(bytes, from, form, type);
      const element = this.#elements[index]!;
      place = from;
      const count = readVarint(bytes) - 1;
      let next = place;
      return Array.from({ length: count }, () => {
        const value = readScalar(bytes, next, element, type);
        place = next;
        skip(bytes, element, element);
        next = place;
        return value;
      });
    });
  }
}
