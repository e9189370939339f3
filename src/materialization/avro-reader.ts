/**
 * Decodes an Avro datum into the equivalent JSON value.
 *
 * Invariants
 * 1. The bytes must be exactly one datum of the type, with nothing missing, nothing left over, and text in UTF-8.
 *    Otherwise AvroError is thrown.
 * 2. Integers keep every digit: beyond 2^53 they are bigint. Instants are milliseconds, rounded down, as in decoded
 *    JSON.
 * 3. Values without a JSON equivalent (bytes, fixed) become objects, which no column accepts.
 */
import type { AvroRecord, AvroType } from '../definition/avro-schema.js';

/** The bytes are not a datum of their type. */
export class AvroError extends Error {}

const MAX_DEPTH = 50;
/** Maximum size of a decimal, in bytes. */
export const MAX_DECIMAL = 128;

/** Decodes the datum from `start` to the end of `bytes`. Throws AvroError. */
export function readAvro(type: AvroRecord, bytes: Buffer, start = 0): Record<string, unknown> {
  const reader = new Reader(bytes, start);
  const value = reader.read(type, 0);
  if (reader.rest > 0) throw new AvroError(`${reader.rest} bytes follow the datum`);
  return value as Record<string, unknown>;
}

class Reader {
  readonly #bytes: Buffer;
  readonly #text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #at: number;
  /**
   * How many list items are still allowed. Items of zero bytes count too, so a short payload cannot become a huge list.
   */
  #room: number;

  constructor(bytes: Buffer, start: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#room = bytes.length;
  }

  get rest(): number {
    return this.#bytes.length - this.#at;
  }

  read(type: AvroType, depth: number): unknown {
    if (depth > MAX_DEPTH) throw new AvroError('it is nested too deeply');
    switch (type.kind) {
      case 'null':
        return null;
      case 'boolean': {
        const byte = this.#take(1)[0]!;
        if (byte > 1) throw new AvroError(`${byte} is no boolean`);
        return byte === 1;
      }
      case 'int':
        return this.#int();
      case 'long':
        return this.#long();
      case 'timestamp':
        return milliseconds(this.#long(), type.unit);
      case 'date':
        return this.#int() * 86_400_000;
      case 'float':
        return this.#take(4).readFloatLE();
      case 'double':
        return this.#take(8).readDoubleLE();
      case 'string':
        return this.#string();
      case 'bytes':
        return { bytes: this.#take(this.#length()).toString('base64') };
      case 'fixed':
        return { bytes: this.#take(type.size).toString('base64') };
      case 'decimal':
        return decimal(this.#take(type.size ?? this.#length()), type.scale);
      case 'enum':
        return this.#choose(type.symbols, 'a symbol');
      case 'union':
        return this.read(this.#choose(type.branches, 'a type of the union'), depth + 1);
      case 'array':
        return this.#blocks(() => this.read(type.items, depth + 1));
      case 'map':
        return Object.fromEntries(this.#blocks(() => [this.#string(), this.read(type.items, depth + 1)] as const));
      case 'record':
        return Object.fromEntries(type.fields.map((field) => [field.name, this.read(field.type, depth + 1)]));
    }
  }

  #take(count: number): Buffer {
    if (count > this.rest) throw new AvroError('the datum is cut off');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  #string(): string {
    try {
      return this.#text.decode(this.#take(this.#length()));
    } catch (error) {
      if (error instanceof AvroError) throw error;
      throw new AvroError('a text is not UTF-8');
    }
  }

  /** Reads a long: 64 bits, zigzag encoded, seven bits in each byte. */
  #long(): number | bigint {
    let low = 0;
    for (let count = 0; count < 7; count += 1) {
      const byte = this.#take(1)[0]!;
      low += (byte & 0x7f) * 2 ** (7 * count);
      if (byte < 0x80) return low % 2 === 0 ? low / 2 : -(low + 1) / 2;
    }
    let wide = BigInt(low);
    for (let count = 7; count < 10; count += 1) {
      const byte = this.#take(1)[0]!;
      wide |= BigInt(byte & 0x7f) << BigInt(7 * count);
      if (byte < 0x80) {
        if (wide >= 1n << 64n) break;
        const value = (wide >> 1n) ^ -(wide & 1n);
        return Number.isSafeInteger(Number(value)) ? Number(value) : value;
      }
    }
    throw new AvroError('an integer has more than 64 bits');
  }

  #int(): number {
    const value = Number(this.#long());
    if (value < -(2 ** 31) || value >= 2 ** 31) throw new AvroError(`${value} is no int`);
    return value;
  }

  /** Reads how many bytes or items follow. */
  #length(): number {
    const value = Number(this.#long());
    if (value < 0) throw new AvroError('a length is negative');
    return value;
  }

  #choose<T>(choices: readonly T[], what: string): T {
    const index = Number(this.#long());
    const chosen = choices[index];
    if (chosen === undefined) throw new AvroError(`${index} is not the number of ${what}`);
    return chosen;
  }

  #blocks<T>(item: () => T): T[] {
    const items: T[] = [];
    for (;;) {
      let count = Number(this.#long());
      if (count === 0) return items;
      if (count < 0) {
        count = -count;
        this.#length();
      }
      this.#room -= count;
      if (this.#room < 0) throw new AvroError('a list has more items than the event has bytes');
      for (let at = 0; at < count; at += 1) items.push(item());
    }
  }
}

/** Converts to milliseconds, rounded down; a division of numbers would round to the nearest. */
function milliseconds(value: number | bigint, unit: number): number | bigint {
  if (unit === 1) return value;
  const wide = BigInt(value);
  const rest = ((wide % BigInt(unit)) + BigInt(unit)) % BigInt(unit);
  return Number((wide - rest) / BigInt(unit));
}

function decimal(bytes: Buffer, scale: number): number {
  if (bytes.length > MAX_DECIMAL) throw new AvroError(`a decimal has more than ${MAX_DECIMAL} bytes`);
  const unscaled = bytes.length === 0 ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`));
  return Number(`${unscaled}e-${scale}`);
}
