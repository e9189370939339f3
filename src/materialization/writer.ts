/**
 * The only ingest path into the stores.
 *
 * Job: commits a batch to the offline store, then publishes the entities that it touched: to the online store, the
 * update topic and the dead-letter topic.
 * Boundary: does not know where batches come from. The caller commits the offset of its group after `write` has
 * resolved.
 *
 * Invariants
 * 1. Only committed values are published.
 * 2. A crash between commit and publication loses nothing. The batch is delivered again, is not counted again, and its
 *    entities are published again.
 * 3. The published value is the newest visible row of the entity in history, not the event at hand. So a late event
 *    never replaces a newer value, even in an online store that has lost it.
 */
import type { EventBus } from '../bus/event-bus.js';
import { encodeUpdates, updateTopic, type ValueUpdate } from '../bus/value-update.js';
import type { ViewVersion } from '../definition/view-version.js';
import { finishRow } from '../store/finished-row.js';
import type { CommitBatch, NewDeadLetter, OfflineStore, TouchedEntity } from '../store/offline-store.js';
import { onlineKey, tileKey } from '../store/online-key.js';
import type { OnlineEntry, OnlineStore } from '../store/online-store.js';
import { TileCodec } from '../store/tile-codec.js';
import { ValueCodec } from '../store/value-codec.js';
import { deadLetterTopic } from './source-contract.js';

/** The stores of a Writer. */
export interface WriterOptions {
  readonly project: string;
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  readonly bus: EventBus;
  /** Returns the current time in milliseconds since 1970. */
  readonly now: () => number;
}

/** Commits batches to the offline store and publishes their results. */
export class Writer {
  readonly #options: WriterOptions;
  readonly #codecs = new WeakMap<ViewVersion, ViewCodecs>();

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Writes one batch to all stores. Returns how many of its events were new. Rejects if a store is down. */
  async write(batch: CommitBatch): Promise<number> {
    const { written, touched } = await this.#options.offline.commit(batch);
    await this.publish(touched);
    await this.publishDeadLetters(batch);
    return written;
  }

  /**
   * Writes the newest values of entities to the online store, then sends updates. Aggregations are finalized as of now.
   */
  async publish(touched: readonly TouchedEntity[]): Promise<void> {
    const { project, online, bus, now } = this.#options;
    const instant = now();
    const entries: OnlineEntry[] = [];
    const updates: ValueUpdate[] = [];
    for (const { view, key, row, tiles } of touched) {
      const codecs = this.#codecsOf(view);
      const newest = tiles ? finishRow(view, tiles, instant) : row;
      if (!newest) continue;
      const value = codecs.value.encode(newest);
      if (tiles && codecs.tiles) {
        // Tiles are written before the value, because a reader of an expired value reads the tiles next.
        const place = tileKey(project, view, key);
        entries.push({ key: place, value: codecs.tiles.encode(tiles), expiresIn: view.ttl });
      }
      entries.push({ key: onlineKey(project, view, key), value, expiresIn: view.ttl });
      updates.push({ view: view.id, key, value });
    }
    if (updates.length === 0) return;
    await online.write(entries);
    await bus.publish(updateTopic(project), encodeUpdates(updates));
  }

  /** Copies dead letters to the dead-letter topic of their topic. */
  async publishDeadLetters(batch: Pick<CommitBatch, 'topic' | 'partition' | 'deadLetters'>): Promise<void> {
    if (batch.deadLetters.length === 0) return;
    const message = (letter: NewDeadLetter) => ({
      key: null,
      value: letter.payload,
      headers: {
        'fstore-error': letter.code,
        'fstore-reason': letter.message,
        'fstore-origin': `${batch.topic}/${batch.partition}/${letter.offset}`,
      },
    });
    await this.#options.bus.publish(deadLetterTopic(batch.topic), batch.deadLetters.map(message));
  }

  #codecsOf(view: ViewVersion): ViewCodecs {
    let codecs = this.#codecs.get(view);
    if (!codecs) {
      codecs = { value: new ValueCodec(view), tiles: view.aggregation ? new TileCodec(view) : null };
      this.#codecs.set(view, codecs);
    }
    return codecs;
  }
}

interface ViewCodecs {
  readonly value: ValueCodec;
  readonly tiles: TileCodec | null;
}
