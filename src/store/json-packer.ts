/**
 * Packs lists of typed values so that their JSON can be copied instead of computed.
 *
 *   numbers    length of their JSON text (1 byte), then the text, two characters in each byte. INT64 lacks its quotes,
 *              TIMESTAMP is milliseconds since 1970
 *   BOOL       one byte: 1 for false, 2 for true
 *   STRING     length of its JSON text without quotes, plus 1 (varint), then the text in UTF-8
 *   lists      count of elements, plus 1 (varint), then the elements
 *   null       one byte, 0
 *
 * Numbers are text because computing the shortest text of a double takes ten times as long as copying it. At two
 * characters in each byte, the text is about as small as the double itself.
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
/** The maximum length of a number: neither the shortest text of a double nor a 64-bit integer is longer. */
const MAX_NUMBER = 26;
/**
 * Maximum bytes of JSON for each byte of a packed value: a one-digit TIMESTAMP takes 2 bytes, and 27 as text in a list.
 */
export const EXPANSION = 14;
/** The same in lists of anything but TIMESTAMP: a BOOL takes 1 byte, its text and a comma 6. */
const LIST_EXPANSION = 6;

/** Bytes of a row from which room is made for each value by itself: EXPANSION times all of them would be far too much. */
export const LARGE_ROW = 16_384;

/** How many bytes a short text may appear to extend beyond the end of damaged bytes. */
const OVERRUN = 128;

const codeOf = new Uint8Array(128).fill(0xff);
/**
 * The two characters of each byte, in the form that `setUint16` writes in little-endian; 0 if the byte is not a valid
 * pair.
 */
const pairOf = new Uint16Array(256);
for (const [high, first] of [...CHARACTERS].entries()) {
  codeOf[first.charCodeAt(0)] = high;
  for (const [low, second] of [...CHARACTERS].entries()) {
    pairOf[(high << 4) | low] = first.charCodeAt(0) | (second.charCodeAt(0) << 8);
  }
}
/** Bits that all pairs have in common. */
const PAIR = 0x2020;
const [NULL, TRUE, FALS] = ['null', 'true', 'fals'].map((text) => Buffer.from(text).readInt32LE(0)) as [
  number,
  number,
  number,
];
const E = 0x65;
const QUOTE = 0x22;
const COMMA = 0x2c;

/** How a value is stored. Elements of a list are stored like scalars. */
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

/** The buffer for packing before the size is known. Packing is synchronous, so one buffer serves all packers. */
let draft = Buffer.allocUnsafe(4_096);
/** A larger draft is not kept for the next values. */
const MAX_DRAFT = 1 << 20;

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

/** The read offset. Reading is synchronous, so one variable serves all packers. */
let place = 0;

/** Reads a varint at `place`. Throws DamagedValue. */
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

/** Copies the text of the number at `from`, plus one byte if its length is odd. Returns the offset of its end. */
function copyNumber(bytes: Uint8Array, from: number, out: DataView, to: number): number {
  const length = bytes[from]!;
  const end = to + length;
  let at = from + 1;
  let good = PAIR;
  for (let next = to; next < end; next += 2) {
    const pair = pairOf[bytes[at++]!]!;
    out.setUint16(next, pair, true);
    good &= pair;
  }
  if (good === 0) throw new DamagedValue('a number has a character that no number has');
  return end;
}

function copyQuotedNumber(bytes: Uint8Array, from: number, { buffer, view }: JsonWriter, to: number): number {
  buffer[to] = QUOTE;
  const end = copyNumber(bytes, from, view, to + 1);
  buffer[end] = QUOTE;
  return end + 1;
}

/** Writes a BOOL that is not null; `kept` is its packed byte. */
function writeBool(kept: number, { buffer, view }: JsonWriter, to: number): number {
  if (kept > 2) throw new DamagedValue('a boolean is neither true nor false');
  view.setInt32(to, kept === 2 ? TRUE : FALS, true);
  buffer[to + 4] = E;
  return to + 6 - kept;
}

function copyBytes(bytes: Uint8Array, from: number, length: number, out: Uint8Array, to: number): number {
  if (length > 64) out.set(bytes.subarray(from, from + length), to);
  else for (let index = 0; index < length; index += 1) out[to + index] = bytes[from + index]!;
  return to + length;
}

const numberText = Buffer.alloc(MAX_NUMBER + 1);
const numberView = new DataView(numberText.buffer, numberText.byteOffset, numberText.length);

/** Returns the text of the number at `from`. */
function numberAt(bytes: Uint8Array, from: number): string {
  return numberText.toString('latin1', 0, copyNumber(bytes, from, numberView, 0));
}

/** Copies a value that is not null. */
function copyScalar(bytes: Uint8Array, from: number, form: Form, writer: JsonWriter, to: number): number {
  switch (form) {
    case NUMBER:
      return copyNumber(bytes, from, writer.view, to);
    case QUOTED:
      return copyQuotedNumber(bytes, from, writer, to);
    case TEXT: {
      place = from;
      const length = readVarint(bytes) - 1;
      writer.buffer[to] = QUOTE;
      const end = copyBytes(bytes, place, length, writer.buffer, to + 1);
      writer.buffer[end] = QUOTE;
      return end + 1;
    }
    case BOOL:
      return writeBool(bytes[from]!, writer, to);
    default:
      return to + writer.buffer.write(`"${timeText(numberAt(bytes, from))}"`, to, 'latin1');
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

/** Marks the position of the event time in a template. */
export const EVENT_TIME = -1;

/** The fixed text of a JSON object, with values in between. */
export class ValueTemplate {
  /**
   * The words of all labels, one after the other. `wordEnds` holds where those of each label end, `lengths` the label's
   * bytes.
   */
  readonly words: Int32Array;
  readonly wordEnds: Int32Array;
  readonly lengths: Int32Array;
  /** For each label what follows it: the index of a value, or EVENT_TIME. */
  readonly values: Int32Array;
  readonly end: FixedBytes;
  /** The number of values if the template contains all values in their order; otherwise -1. */
  readonly whole: number;
  /** Bytes of all fixed text, plus 32 for each label: enough for an event time or null after it. */
  readonly fixedRoom: number;
  /** How often the most frequent value occurs in the template. */
  readonly times: number;

  constructor(parts: readonly { readonly label: FixedBytes; readonly value: number }[], end: FixedBytes) {
    this.words = Int32Array.from(parts.flatMap(({ label }) => [...label.words]));
    this.lengths = Int32Array.from(parts, ({ label }) => label.length);
    let words = 0;
    this.wordEnds = this.lengths.map((_, part) => {
      words += parts[part]!.label.words.length;
      return words;
    });
    this.values = Int32Array.from(parts, ({ value }) => value);
    this.end = end;
    const features = this.values.filter((value) => value !== EVENT_TIME);
    this.whole = features.every((value, index) => value === index) ? features.length : -1;
    this.fixedRoom = parts.reduce((sum, { label }) => sum + label.length + 32, end.length);
    const counts = new Map<number, number>();
    for (const value of this.values) counts.set(value, (counts.get(value) ?? 0) + 1);
    this.times = Math.max(1, ...counts.values());
  }
}

/** Packs values of the same types, unpacks them, and copies their JSON. */
export class JsonPacker {
  readonly #types: readonly ScalarType[];
  readonly #forms: readonly Form[];
  /** The form of a list's elements, or of the scalar itself. */
  readonly #elements: readonly Form[];
  readonly #places: Int32Array;

  constructor(types: readonly ValueType[]) {
    this.#types = types.map((type) => elementType(type) ?? (type as ScalarType));
    this.#elements = this.#types.map((type) => SCALAR_FORMS[type]);
    this.#places = new Int32Array(types.length);
    this.#forms = types.map((type, index) => (elementType(type) ? LIST : this.#elements[index]!));
  }

  /** The number of values. */
  get count(): number {
    return this.#forms.length;
  }

  /** Returns new bytes: `header` bytes for the caller to fill in, then the packed values. */
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
    const packed = Buffer.from(draft.subarray(0, at));
    if (draft.length > MAX_DRAFT) draft = Buffer.allocUnsafe(4_096);
    return packed;
  }

  /**
   * Writes the offset of each value to `places`; the values begin at `start`. Throws DamagedValue if they do not end
   * where the bytes end.
   */
  locate(bytes: Uint8Array, start: number, places: Int32Array): void {
    const forms = this.#forms;
    let at = start;
    for (let index = 0; index < forms.length; index += 1) {
      places[index] = at;
      const form = forms[index]!;
      // An offset beyond the last byte is detected by the check at the end.
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
   * Copies the JSON of the value at `index` from offset `from` to offset `to` of the writer's buffer. Returns the
   * offset of its end. The buffer must have space for EXPANSION times the bytes of all values, plus 5. Throws
   * DamagedValue.
   */
  copy(bytes: Uint8Array, index: number, from: number, writer: JsonWriter, to: number): number {
    if (bytes[from] === 0) {
      writer.view.setInt32(to, NULL, true);
      return to + 4;
    }
    const form = this.#forms[index]!;
    if (form !== LIST) return copyScalar(bytes, from, form, writer, to);
    const element = this.#elements[index]!;
    place = from;
    const count = readVarint(bytes) - 1;
    let next = place;
    let at = to;
    writer.buffer[at++] = 0x5b;
    for (let item = 0; item < count; item += 1) {
      if (item > 0) writer.buffer[at++] = COMMA;
      at = copyScalar(bytes, next, element, writer, at);
      place = next;
      skip(bytes, element, element);
      next = place;
    }
    writer.buffer[at] = 0x5d;
    return at + 1;
  }

  /**
   * Writes a template with the values of `bytes`, which begin at `start`. Throws DamagedValue. A template of all values
   * in order, which most queries use, is copied in the same pass that finds the values. This loop is half of the cost
   * of a wide row.
   */
  copyAll(bytes: Uint8Array, start: number, template: ValueTemplate, eventTime: FixedBytes, writer: JsonWriter): void {
    const places = this.#places;
    if (template.times * bytes.length > LARGE_ROW) {
      this.#copyLarge(bytes, start, template, eventTime, writer);
      return;
    }
    const isWhole = template.whole === this.#forms.length;
    if (!isWhole) this.locate(bytes, start, places);
    writer.reserve(template.fixedRoom + template.times * EXPANSION * bytes.length + OVERRUN);
    const { words, wordEnds, lengths, values } = template;
    const { buffer, view } = writer;
    const forms = this.#forms;
    let { at } = writer;
    let from = start;
    let word = 0;
    for (let field = 0; field < values.length; field += 1) {
      for (let to = at; word < wordEnds[field]!; word += 1, to += 4) view.setInt32(to, words[word]!, true);
      at += lengths[field]!;
      const index = values[field]!;
      if (index === EVENT_TIME) {
        at = writeFixed(view, at, eventTime);
        continue;
      }
      if (!isWhole) from = places[index]!;
      // An offset beyond the last byte is detected by the check at the end.
      const first = bytes[from] ?? 0;
      const form = forms[index]!;
      if (first === 0) {
        view.setInt32(at, NULL, true);
        at += 4;
        from += 1;
      } else if (form <= QUOTED) {
        if (first > MAX_NUMBER) throw new DamagedValue('a number is too long');
        at = form === NUMBER ? copyNumber(bytes, from, view, at) : copyQuotedNumber(bytes, from, writer, at);
        from += 1 + ((first + 1) >> 1);
      } else if (form === TEXT && first < 0x80) {
        const end = from + first;
        buffer[at++] = QUOTE;
        while (++from < end) buffer[at++] = bytes[from]!;
        buffer[at++] = QUOTE;
      } else if (form === BOOL) {
        at = writeBool(first, writer, at);
        from += 1;
      } else {
        place = from;
        skip(bytes, form, this.#elements[index]!);
        const end = place;
        if (end > bytes.length) throw new DamagedValue('a value runs past the end');
        at = this.copy(bytes, index, from, writer, at);
        from = end;
      }
    }
    if (isWhole && from !== bytes.length) throw new DamagedValue('the values do not end where the bytes end');
    writer.at = writeFixed(view, at, template.end);
  }

  /** Does the same as `copyAll`, and makes room for one value after the other. */
  #copyLarge(
    bytes: Uint8Array,
    start: number,
    template: ValueTemplate,
    eventTime: FixedBytes,
    writer: JsonWriter,
  ): void {
    const places = this.#places;
    this.locate(bytes, start, places);
    const { words, wordEnds, lengths, values } = template;
    let word = 0;
    for (let field = 0; field < values.length; field += 1) {
      const index = values[field]!;
      const room = index === EVENT_TIME ? eventTime.length : this.roomOf(bytes, index, places);
      writer.reserve(lengths[field]! + room + OVERRUN);
      let { at } = writer;
      for (let to = at; word < wordEnds[field]!; word += 1, to += 4) writer.view.setInt32(to, words[word]!, true);
      at += lengths[field]!;
      if (index === EVENT_TIME) writer.at = writeFixed(writer.view, at, eventTime);
      else writer.at = this.copy(bytes, index, places[index]!, writer, at);
    }
    writer.fixed(template.end);
  }

  /** The most bytes that the JSON of the value at `index` takes, of bytes whose values have been located in `places`. */
  roomOf(bytes: Uint8Array, index: number, places: Int32Array): number {
    const end = index + 1 < places.length ? places[index + 1]! : bytes.length;
    const size = end - places[index]!;
    const form = this.#forms[index]!;
    if (form === TEXT) return size + 5;
    const factor = form !== LIST || this.#elements[index] === TIME ? EXPANSION : LIST_EXPANSION;
    return factor * size + 5;
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
