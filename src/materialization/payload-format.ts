/** How payloads of a topic are read and written, where they are not JSON. */
import { type AvroRecord, parseAvroSchema } from '../definition/avro-schema.js';
import type { SourceMeaning } from '../definition/definition-record.js';
import type { FeatureValue } from '../definition/value-type.js';
import { type ErrorCode, FStoreError } from '../errors.js';
import { AvroError, readAvro } from './avro-reader.js';
import { writeAvro } from './avro-writer.js';
import type { SchemaRegistry } from './schema-registry.js';

export interface PayloadFormat {
  /** Gets what reading these payloads takes. Throws SCHEMA_REGISTRY_UNAVAILABLE. */
  prepare(payloads: readonly Buffer[]): Promise<void>;
  /** The value of JSON that a payload stands for. Throws UnreadablePayload. */
  read(payload: Buffer): unknown;
  /** The payload of an event. Throws EVENT_FIELD_TYPE with the column, or SOURCE_NOT_PUSHABLE. */
  write(columns: ReadonlyMap<string, FeatureValue>): Buffer;
}

/** Why a payload is no event. */
export class UnreadablePayload extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** The format of a source's payloads; null: they are JSON. */
export type PayloadFormats = (source: string, meaning: SourceMeaning) => PayloadFormat | null;

/** Every payload is JSON. */
export const onlyJson: PayloadFormats = () => null;

/** Formats of all sources; `registry` null: there is none, and sources that need it were refused when they were applied. */
export function payloadFormats(registry: SchemaRegistry | null): PayloadFormats {
  const known = new WeakMap<SourceMeaning, PayloadFormat>();
  return (source, meaning) => {
    if (!meaning.avro) return null;
    const format =
      known.get(meaning) ?? (meaning.avro.schema ? ownSchema(meaning.avro.schema) : registered(source, registry));
    known.set(meaning, format);
    return format;
  };
}

/** Payloads are data of one schema, and nothing else. */
function ownSchema(schema: unknown): PayloadFormat {
  const type = parseAvroSchema(schema);
  return {
    prepare: async () => {},
    read: (payload) => readDatum(type, payload, 0),
    write: (columns) => writeAvro(type, columns),
  };
}

const HEADER = 5;

/** The number of the schema in a payload: a zero, four bytes; then comes the datum. */
function schemaId(payload: Buffer): number | null {
  return payload.length < HEADER || payload[0] !== 0 ? null : payload.readUInt32BE(1);
}

/** Payloads name the schema that they were written with. */
function registered(source: string, registry: SchemaRegistry | null): PayloadFormat {
  return {
    prepare: async (payloads) => {
      if (!registry) {
        throw new FStoreError(
          'SCHEMA_REGISTRY_UNAVAILABLE',
          `this process has no FSTORE_SCHEMA_REGISTRY_URL for ${source}`,
        );
      }
      await registry.load(new Set(payloads.map(schemaId).filter((id) => id !== null)));
    },
    read: (payload) => {
      const id = schemaId(payload);
      if (id === null) {
        throw new UnreadablePayload(
          'EVENT_MALFORMED',
          'the event does not begin with a zero and the number of its schema',
        );
      }
      const type = registry?.get(id) ?? { kind: 'none' as const, reason: 'there is no schema registry' };
      if (type.kind === 'none') throw new UnreadablePayload('EVENT_SCHEMA_UNKNOWN', type.reason);
      return readDatum(type, payload, HEADER);
    },
    write: () => {
      const message = `events of source ${source} are Avro of a schema registry, which FStore does not write: send them to its topic`;
      throw new FStoreError('SOURCE_NOT_PUSHABLE', message, { field: 'source' });
    },
  };
}

function readDatum(type: AvroRecord, payload: Buffer, start: number): unknown {
  try {
    return readAvro(type, payload, start);
  } catch (error) {
    if (!(error instanceof AvroError)) throw error;
    throw new UnreadablePayload('EVENT_MALFORMED', `the event is no Avro of its schema: ${error.message}`);
  }
}
