/** How a changed value travels on the update topic: from the writer to every replica's subscriptions. */
import { type EntityKey, entityKey } from '../definition/entity-key.js';
import type { BusMessage, ReceivedMessage } from './event-bus.js';

export interface ValueUpdate {
  /** `name@version` of the view. */
  readonly view: string;
  readonly key: EntityKey;
  /** The packed value, as the online store has it. */
  readonly value: Buffer;
}

/** Topic on which a project's changed values are announced. */
export function updateTopic(project: string): string {
  return `fstore.${project}.updates`;
}

/** Encodes an update; updates of one entity stay in order. */
export function encodeUpdate(update: ValueUpdate): BusMessage {
  return {
    key: update.key.text,
    value: update.value,
    headers: { view: update.view, key: JSON.stringify(update.key.parts) },
  };
}

/** Decodes an update, or returns null for a message that is none. */
export function decodeUpdate(message: ReceivedMessage): ValueUpdate | null {
  const { view, key } = message.headers;
  if (!view || !key) return null;
  try {
    return { view, key: entityKey(JSON.parse(key) as string[]), value: message.value };
  } catch {
    return null;
  }
}
