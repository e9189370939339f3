/** How payloads of a topic are decoded and encoded if they are not JSON. */
import { type AvroRecord, parseAvroSchema } from '../definition/avro-schema.js';
import type { SourceMeaning } from '../definition/definition-record.js';
import type { FeatureValue } from '../definition/value-type.js';
import { type ErrorCode, FStoreError } from '../errors.js';
import { AvroError, readAvro } from './avro-reader.js';
import { writeAvro } from './avro-writer.js';
import type { SchemaRegistry } from './schema-registry.js';

/** A format of payloads. */
export interface PayloadFormat {
  /** Loads what decoding these payloads requires. Throws SCHEMA_REGISTRY_UNAVAILABLE. */
  prepare(payloads: readonly Buffer[]): Promise<void>;
  /** Decodes a payload into the equivalent JSON value. Throws UnreadablePayload. */
  read(payload: Buffer): unknown;
  /** Encodes an event. Throws EVENT_FIELD_TYPE with the column, or SOURCE_NOT_PUSHABLE. */
  write(columns: ReadonlyMap<string, FeatureValue>): Buffer;
}

/** A payload that cannot be decoded; `code` is the error code of its dead letter. */
export class UnreadablePayload extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** Returns the format of a source's payloads, or null if they are JSON. */
export type PayloadFormats = (source: string, meaning: SourceMeaning) => PayloadFormat | null;

/** Treats every payload as JSON. */
export const onlyJson: PayloadFormats = () => null;

/**
 * Returns the formats of all sources. `registry` is null if there is none; sources that need it are then refused when
 * they are applied.
 */
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

/** Returns the format of payloads that consist of one datum of a declared schema. */
function ownSchema(schema: unknown): PayloadFormat {
  const type = parseAvroSchema(schema);
  return {
    prepare: async () => {},
    read: (payload) => readDatum(type, payload, 0),
    write: (columns) => writeAvro(type, columns),
  };
}

const HEADER = 5;

/** Returns the schema id of a payload, or null. The id takes four bytes after a zero byte, and the datum follows. */
function schemaId(payload: Buffer): number | null {
  return payload.length < HEADER || payload[0] !== 0 ? null : payload.readUInt32BE(1);
}

/** Returns the format of payloads that name the schema that they were written with. */
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
