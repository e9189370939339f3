/** Converts a batch of the event bus into the batch that the writer commits. Pure. */
import type { ReceivedBatch } from '../bus/event-bus.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { CommitBatch, LoggedEvent, NewDeadLetter, NewRow } from '../store/offline-store.js';
import { decodeEvent, eventJson, rowOf } from './event-decoder.js';
import type { SourceContract } from './source-contract.js';

/**
 * Returns the events of a batch, their rows in each of `views`, and the dead letters. Every event is checked against
 * all views of the source. `now` is in milliseconds since 1970.
 */
export function processBatch(
  batch: ReceivedBatch,
  contract: SourceContract,
  consumer: string,
  now: number,
  views: readonly ViewVersion[] = contract.views,
): CommitBatch {
  const events: LoggedEvent[] = [];
  const deadLetters: NewDeadLetter[] = [];
  const rows = new Map<ViewVersion, NewRow[]>(views.map((view) => [view, []]));
  for (const { offset, value } of batch.messages) {
    const decoded = decodeEvent(value, contract, now);
    if (!decoded.ok) {
      const { code, message, field } = decoded.error;
      deadLetters.push({ offset, code, message, field, payload: value });
      continue;
    }
    const { event } = decoded;
    events.push({ offset, eventTime: event.eventTime, payload: eventJson(event, contract.meaning) });
    for (const [view, list] of rows) list.push({ offset, ...rowOf(event, view) });
  }
  const last = batch.messages.at(-1);
  return {
    revision: contract.revision,
    consumer,
    source: contract.source,
    topic: batch.topic,
    partition: batch.partition,
    nextOffset: last ? last.offset + 1n : 0n,
    events,
    rows: [...rows].map(([view, list]) => ({ view, rows: list })).filter(({ rows: list }) => list.length > 0),
    deadLetters,
    now,
  };
}
