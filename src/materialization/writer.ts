/**
 * The one road into the stores.
 *
 * Job: commit a batch to the offline store, then publish what it touched: online store, update topic, dead-letter topic.
 * Boundary: does not know where batches come from; the caller commits the position of its group after `write` resolved.
 *
 * Invariants
 * 1. Nothing is published that is not committed.
 * 2. A crash between commit and publication loses nothing: the batch comes again, is not counted again, and its entities
 *    are published again.
 * 3. What is published is the newest visible row of the entity in history, not the event at hand: a late event never
 *    replaces a newer value, even in an online store that lost it.
 */
import type { EventBus } from '../bus/event-bus.js';
import { encodeUpdate, updateTopic } from '../bus/value-update.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { CommitBatch, NewDeadLetter, OfflineStore, TouchedEntity } from '../store/offline-store.js';
import { onlineKey } from '../store/online-key.js';
import type { OnlineStore } from '../store/online-store.js';
import { ValueCodec } from '../store/value-codec.js';
import { deadLetterTopic } from './source-contract.js';

export interface WriterOptions {
  readonly project: string;
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  readonly bus: EventBus;
}

export class Writer {
  readonly #options: WriterOptions;
  readonly #codecs = new WeakMap<ViewVersion, ValueCodec>();

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Writes one batch through all stores; returns how many of its events were new. Rejects when a store is down. */
  async write(batch: CommitBatch): Promise<number> {
    const { written, touched } = await this.#options.offline.commit(batch);
    await this.publish(touched);
    await this.#publishDeadLetters(batch);
    return written;
  }

  /** Puts the newest values into the online store, then announces them. */
  async publish(touched: readonly TouchedEntity[]): Promise<void> {
    const { project, online, bus } = this.#options;
    const present = touched.flatMap(({ view, key, row }) =>
      row ? [{ view, key, row, value: this.#codecOf(view).encode(row) }] : [],
    );
    if (present.length === 0) return;
    await online.write(
      present.map(({ view, key, value }) => ({ key: onlineKey(project, view, key), value, expiresIn: view.ttl })),
    );
    await bus.publish(
      updateTopic(project),
      present.map(({ view, key, value }) => encodeUpdate({ view: view.id, key, value })),
    );
  }

  async #publishDeadLetters(batch: CommitBatch): Promise<void> {
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

  #codecOf(view: ViewVersion): ValueCodec {
    let codec = this.#codecs.get(view);
    if (!codec) {
      codec = new ValueCodec(view);
      this.#codecs.set(view, codec);
    }
    return codec;
  }
}
