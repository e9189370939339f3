/** The encoding of changed values on the update topic, from the writer to the update feed of every replica. */
import { type EntityKey, entityKey } from '../definition/entity-key.js';
import type { BusMessage, ReceivedMessage } from './event-bus.js';

/** A changed value of an entity. */
export interface ValueUpdate {
  /** `name@version` of the view. */
  readonly view: string;
  readonly key: EntityKey;
  /** The packed value, in the encoding of the online store. */
  readonly value: Buffer;
}

/** Returns the topic with the changed values of a project. */
export function updateTopic(project: string): string {
  return `fstore.${project}.updates`;
}

/** Entities are spread over this many lanes. Messages of a lane share one key, so they stay in order. */
const LANES = 16;
const MAX_MESSAGE_BYTES = 256_000;

/**
 * Encodes updates in as few messages as possible: one for each lane, unless it grows beyond MAX_MESSAGE_BYTES.
 * A message costs a writer more than an update (bench/ingest). Updates of one entity stay in order.
 *
 * Layout of an update: length of the header and length of the value (4 bytes each, big-endian), header, value. The
 * header is a JSON array of the view and the parts of the key.
 */
export function encodeUpdates(updates: readonly ValueUpdate[]): BusMessage[] {
  const lanes = new Map<number, { parts: Buffer[]; bytes: number }[]>();
  for (const { view, key, value } of updates) {
    const header = Buffer.from(JSON.stringify([view, ...key.parts]));
    const lengths = Buffer.allocUnsafe(8);
    lengths.writeUInt32BE(header.length, 0);
    lengths.writeUInt32BE(value.length, 4);
    const bytes = 8 + header.length + value.length;
    const lane = laneOf(key.text);
    const messages = lanes.get(lane) ?? [];
    lanes.set(lane, messages);
    let last = messages.at(-1);
    if (!last || last.bytes + bytes > MAX_MESSAGE_BYTES) {
      last = { parts: [], bytes: 0 };
      messages.push(last);
    }
    last.parts.push(lengths, header, value);
    last.bytes += bytes;
  }
  return [...lanes].flatMap(([lane, messages]) =>
    messages.map(({ parts }) => ({ key: `lane${lane}`, value: Buffer.concat(parts), headers: { updates: '1' } })),
  );
}

/** FNV-1a over the UTF-16 units of a key. */
function laneOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % LANES;
}

/** Decodes the updates of a message. Returns none if the message is damaged or holds something else. */
export function decodeUpdates({ headers, value: bytes }: ReceivedMessage): ValueUpdate[] {
  if (headers.updates !== '1') return [];
  const updates: ValueUpdate[] = [];
  try {
    for (let at = 0; at < bytes.length; ) {
      const [header, size] = [bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4)];
      const end = at + 8 + header + size;
      if (end > bytes.length) return [];
      const [view = '', ...parts] = JSON.parse(bytes.toString('utf8', at + 8, at + 8 + header)) as string[];
      updates.push({ view, key: entityKey(parts), value: bytes.subarray(end - size, end) });
      at = end;
    }
  } catch {
    return [];
  }
  return updates;
}
