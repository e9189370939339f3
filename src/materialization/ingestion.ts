/** The push API: events are checked before they are accepted, and durable when the client gets its answer. */
import type { BusMessage, EventBus } from '../bus/event-bus.js';
import { entityKey } from '../definition/entity-key.js';
import { errorOfIssues, FStoreError, type Issue } from '../errors.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { DeadLetter, OfflineStore } from '../store/offline-store.js';
import {
  checkEvent,
  type DecodedEvent,
  type DecodeResult,
  type EventContract,
  type EventLimits,
  eventJson,
  type UnusableEvent,
} from './event-decoder.js';
import { onlyJson, type PayloadFormats } from './payload-format.js';
import { batchTopic, busTopic, contractOf, REVISION_HEADER } from './source-contract.js';

const MAX_EVENTS = 10_000;

/** The dependencies of Ingestion. */
export interface IngestionOptions {
  readonly bus: EventBus;
  readonly offline: OfflineStore;
  readonly limits: EventLimits;
  readonly now: () => number;
  /** How payloads of sources are encoded; as JSON by default. */
  readonly formats?: PayloadFormats;
}

/** Publishes pushed events, and replays dead letters. */
export class Ingestion {
  readonly #options: IngestionOptions;

  constructor(options: IngestionOptions) {
    this.#options = options;
  }

  /**
   * Checks all events (parsed JSON) and publishes them if every one is usable; otherwise publishes none. Returns the
   * number of events. Throws SOURCE_UNKNOWN, SOURCE_NOT_PUSHABLE, LIST_TOO_LONG, BUS_UNAVAILABLE, and the codes of
   * unusable events with the field `events.<index>.<column>`.
   */
  async ingest(snapshot: Snapshot, source: string, events: readonly unknown[]): Promise<number> {
    const { bus, limits, formats = onlyJson } = this.#options;
    const contract = contractOf(snapshot, source, limits, formats);
    if (events.length > MAX_EVENTS) {
      throw new FStoreError('LIST_TOO_LONG', `${events.length} events at once, at most ${MAX_EVENTS} are allowed`, {
        field: 'events',
      });
    }
    const issues: Issue[] = [];
    const messages: BusMessage[] = [];
    const now = this.#options.now();
    const headers = { [REVISION_HEADER]: `${snapshot.revision}` };
    for (const [index, input] of events.entries()) {
      const checked = payloadOf(checkEvent(input, contract, now), contract);
      if (checked.ok) {
        const { value } = checked;
        const size = value.length;
        if (size <= limits.maxBytes) {
          const parts = contract.keyColumns.map((column) => `${checked.event.columns.get(column)}`);
          messages.push({ key: parts.length > 0 ? entityKey(parts).text : null, value, headers });
          continue;
        }
        const message = `the event has ${size} bytes, at most ${limits.maxBytes} are allowed`;
        issues.push({ code: 'EVENT_TOO_LARGE', message, field: `events.${index}`, path: ['events', index] });
        continue;
      }
      const { code, message, field } = checked.error;
      const path = field === null ? ['events', index] : ['events', index, field];
      issues.push({ code, message, field: path.join('.'), path });
      if (issues.length >= 100) break;
    }
    if (issues.length > 0) throw errorOfIssues(issues);
    if (messages.length > 0) await bus.publish(contract.topic, messages);
    return messages.length;
  }

  /**
   * Sends dead letters to their topic again, unchanged. Rows of a batch go to the stream of their source. Returns the
   * number of dead letters. Throws DEAD_LETTER_UNKNOWN, or SOURCE_NOT_PUSHABLE for a row whose source has no stream;
   * then none is sent.
   */
  async replay(snapshot: Snapshot, ids: readonly string[]): Promise<number> {
    const { bus, offline } = this.#options;
    const count = await offline.replayDeadLetters(ids, async (letters: readonly DeadLetter[]) => {
      const topics = letters.map((letter) => this.#replayTopic(snapshot, letter));
      for (const [index, letter] of letters.entries()) {
        const headers = { 'fstore-replay-of': `${letter.topic}/${letter.partition}/${letter.offset}` };
        await bus.publish(topics[index]!, [{ key: null, value: letter.payload, headers }]);
      }
    });
    if (count === 0 && ids.length > 0) {
      throw new FStoreError('DEAD_LETTER_UNKNOWN', `no dead letter has the id ${ids[0]}`, { field: 'ids' });
    }
    return count;
  }

  /**
   * Returns the topic to replay a dead letter to. Rows of a batch go to their source's stream, because nobody consumes
   * the topic that they are stored under.
   */
  #replayTopic(snapshot: Snapshot, { source, topic, id }: DeadLetter): string {
    if (topic !== batchTopic(snapshot.project, source)) return topic;
    const meaning = snapshot.sources.get(source)?.meaning;
    if (typeof meaning?.topic === 'string' && !meaning.avro) return busTopic(snapshot.project, meaning.topic);
    const message = `dead letter ${id} is a row of source ${source}, which has no stream of JSON to replay it to`;
    throw new FStoreError('SOURCE_NOT_PUSHABLE', message, { field: 'ids' });
  }
}

/** Returns the payload of a checked event, or why there is none. Throws SOURCE_NOT_PUSHABLE. */
function payloadOf(
  checked: DecodeResult,
  { format, meaning }: EventContract,
):
  | { readonly ok: true; readonly value: Buffer; readonly event: DecodedEvent }
  | { readonly ok: false; readonly error: UnusableEvent } {
  if (!checked.ok) return checked;
  const { event } = checked;
  try {
    const value = format ? format.write(event.columns) : Buffer.from(eventJson(event, meaning));
    return { ok: true, value, event };
  } catch (error) {
    if (!(error instanceof FStoreError) || error.code !== 'EVENT_FIELD_TYPE') throw error;
    const { code, message, location } = error;
    return { ok: false, error: { code, message, field: location.field ?? null } };
  }
}
