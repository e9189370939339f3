/**
 * Parses Avro schemas from JSON into types in which every name is resolved.
 *
 * Boundary: pure. `materialization/avro-reader.ts` reads the bytes. `spark/fstore_spark/avro.py` does both in Python.
 */
import { elementType, type ValueType } from './value-type.js';

const PRIMITIVES = ['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'] as const;

/** An Avro type with its logical type applied and its names resolved. */
export type AvroType =
  | { readonly kind: (typeof PRIMITIVES)[number] | 'date' }
  /** A long; `unit` is the number of its ticks in a millisecond. */
  | { readonly kind: 'timestamp'; readonly unit: number }
  /** `size` is the length of a fixed in bytes; null if the decimal is of type bytes. */
  | { readonly kind: 'decimal'; readonly scale: number; readonly size: number | null }
  | { readonly kind: 'fixed'; readonly size: number }
  | { readonly kind: 'enum'; readonly symbols: readonly string[] }
  | { readonly kind: 'array' | 'map'; readonly items: AvroType }
  | { readonly kind: 'union'; readonly branches: readonly AvroType[] }
  | AvroRecord;

/** An Avro record: the type of every event. */
export interface AvroRecord {
  readonly kind: 'record';
  readonly fields: readonly { readonly name: string; readonly type: AvroType }[];
}

/** The schema is invalid, or FStore cannot read data of it. */
export class AvroSchemaError extends Error {}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const FULL_NAME = /^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*$/;
const UNITS: Readonly<Record<string, number>> = {
  'timestamp-millis': 1,
  'timestamp-micros': 1_000,
  'timestamp-nanos': 1_000_000,
};
const MAX_DEPTH = 50;
const MAX_FIXED = 65_536;

/** Parses the schema of an event, which must be a record. Throws AvroSchemaError. */
export function parseAvroSchema(schema: unknown): AvroRecord {
  const type = new Parser().parse(schema, '', 0);
  if (type.kind !== 'record') throw new AvroSchemaError(`an event is a record, and this schema is a ${type.kind}`);
  return type;
}

class Parser {
  readonly #named = new Map<string, AvroType>();

  parse(schema: unknown, space: string, depth: number): AvroType {
    if (depth > MAX_DEPTH) throw new AvroSchemaError('it is nested too deeply');
    if (typeof schema === 'string') return this.#reference(schema, space);
    if (Array.isArray(schema)) {
      const branches = schema.map((one) => this.parse(one, space, depth + 1));
      if (branches.length === 0 || branches.some(({ kind }) => kind === 'union')) {
        throw new AvroSchemaError('a union is a list of types that are no unions');
      }
      return { kind: 'union', branches };
    }
    if (typeof schema !== 'object' || schema === null)
      throw new AvroSchemaError('a type is a name, a list or an object');
    return this.#complex(schema as Record<string, unknown>, space, depth);
  }

  #reference(name: string, space: string): AvroType {
    const primitive = PRIMITIVES.find((one) => one === name);
    if (primitive) return { kind: primitive };
    const found =
      (name.includes('.') || !space ? undefined : this.#named.get(`${space}.${name}`)) ?? this.#named.get(name);
    if (!found) throw new AvroSchemaError(`there is no type ${name.slice(0, 80)}`);
    return found;
  }

  #complex(schema: Record<string, unknown>, space: string, depth: number): AvroType {
    const { type, logicalType } = schema;
    if (type === 'array') return { kind: 'array', items: this.parse(schema.items, space, depth + 1) };
    if (type === 'map') return { kind: 'map', items: this.parse(schema.values, space, depth + 1) };
    if (type === 'record' || type === 'error') return this.#record(schema, space, depth);
    if (type === 'enum') {
      const { symbols } = schema;
      if (!Array.isArray(symbols) || symbols.length === 0 || !symbols.every((one) => typeof one === 'string')) {
        throw new AvroSchemaError('an enum has symbols');
      }
      return this.#name(schema, space, { kind: 'enum', symbols });
    }
    if (type === 'fixed') {
      const size = wholeNumber(schema.size, MAX_FIXED, 'the size of a fixed');
      const isDecimal = logicalType === 'decimal';
      return this.#name(
        schema,
        space,
        isDecimal ? { kind: 'decimal', scale: scaleOf(schema), size } : { kind: 'fixed', size },
      );
    }
    const inner = this.parse(type, space, depth + 1);
    if (inner.kind === 'bytes' && logicalType === 'decimal')
      return { kind: 'decimal', scale: scaleOf(schema), size: null };
    if (inner.kind === 'int' && logicalType === 'date') return { kind: 'date' };
    if (inner.kind !== 'long' || typeof logicalType !== 'string') return inner;
    if (logicalType.startsWith('local-timestamp')) {
      throw new AvroSchemaError(`${logicalType} has no zone: write timestamp-millis or timestamp-micros`);
    }
    const unit = Object.hasOwn(UNITS, logicalType) ? UNITS[logicalType] : undefined;
    return unit === undefined ? inner : { kind: 'timestamp', unit };
  }

  #record(schema: Record<string, unknown>, space: string, depth: number): AvroType {
    const fields: { name: string; type: AvroType }[] = [];
    // The name is registered before the fields are parsed, because fields may refer to it.
    const record = this.#name(schema, space, { kind: 'record', fields });
    if (!Array.isArray(schema.fields)) throw new AvroSchemaError('a record has fields');
    const inside = fullName(schema, space).split('.').slice(0, -1).join('.');
    for (const field of schema.fields as unknown[]) {
      const { name, type } = (field ?? {}) as Record<string, unknown>;
      if (typeof name !== 'string' || !NAME.test(name)) throw new AvroSchemaError('a field has a name');
      if (fields.some((one) => one.name === name))
        throw new AvroSchemaError(`there are two fields ${name.slice(0, 80)}`);
      fields.push({ name, type: this.parse(type, inside, depth + 1) });
    }
    return record;
  }

  #name(schema: Record<string, unknown>, space: string, type: AvroType): AvroType {
    const name = fullName(schema, space);
    if (this.#named.has(name)) throw new AvroSchemaError(`there are two types ${name.slice(0, 80)}`);
    this.#named.set(name, type);
    return type;
  }
}

function fullName({ name, namespace }: Record<string, unknown>, space: string): string {
  if (typeof name !== 'string') throw new AvroSchemaError('a record, enum or fixed has a name');
  const own = typeof namespace === 'string' ? namespace : space;
  const full = name.includes('.') || own === '' ? name : `${own}.${name}`;
  if (!FULL_NAME.test(full)) throw new AvroSchemaError(`${full.slice(0, 80)} is no name`);
  return full;
}

function wholeNumber(value: unknown, most: number, what: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw new AvroSchemaError(`${what} lies between 0 and ${most}`);
}

const scaleOf = ({ scale = 0 }: Record<string, unknown>): number => wholeNumber(scale, 300, 'the scale of a decimal');

const CARRIED: Readonly<Record<string, readonly AvroType['kind'][]>> = {
  STRING: ['string', 'enum'],
  BOOL: ['boolean'],
  INT32: ['int', 'long'],
  INT64: ['int', 'long', 'string', 'timestamp'],
  FLOAT64: ['int', 'long', 'float', 'double', 'decimal'],
  TIMESTAMP: ['timestamp', 'date', 'long', 'string'],
};

/** Returns true if some values of an Avro type can be values of `type`. Each value is checked when it is read. */
export function carries(avro: AvroType, type: ValueType): boolean {
  if (avro.kind === 'union') return avro.branches.some((one) => carries(one, type));
  const element = elementType(type);
  if (element) return avro.kind === 'array' && carries(avro.items, element);
  return CARRIED[type]!.includes(avro.kind);
}
