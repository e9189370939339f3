/** Merges batches that another engine has sealed into history, and publishes their entities as the writer does. */
import type { ViewVersion } from '../definition/view-version.js';
import type { NewDeadLetter, OfflineStore, TouchedEntity } from '../store/offline-store.js';
import type { MergedBatch, StagedBatches } from '../store/staged-batches.js';
import type { UnusableRows } from '../store/table-run.js';
import { decodeEvent, type EventContract } from './event-decoder.js';
import type { Writer } from './writer.js';

/** The dependencies of a StagedMerger. */
export interface StagedMergerOptions {
  readonly staged: StagedBatches;
  readonly offline: OfflineStore;
  readonly writer: Writer;
  /** Returns the contract of a source's events, or undefined if the source is no longer declared. */
  readonly contractOf: (source: string) => EventContract | undefined;
  /** Returns the current time in milliseconds since 1970. */
  readonly now: () => number;
}

/** The reason of a row that was unusable only for definitions that have changed since. */
const CHANGED = { message: 'the row did not fit the definitions that it was read with', field: null };

/** Merges sealed batches of other engines. */
export class StagedMerger {
  readonly #options: StagedMergerOptions;

  constructor(options: StagedMergerOptions) {
    this.#options = options;
  }

  /**
   * Merges and publishes all sealed batches of a stream, one by one, and calls `onBatch` for each. Entities of a batch
   * that was merged but not published before a crash are published first. Returns the number of batches.
   */
  async drain(
    stream: string,
    views: readonly ViewVersion[],
    onBatch: (batch: MergedBatch) => void = () => {},
  ): Promise<number> {
    const { staged } = this.#options;
    for (let count = 0; ; count += 1) {
      await staged.publish(stream, views, (view, keys) => this.#publish(view, keys));
      const batch = await staged.merge(stream, views, (unusable) => this.#bury(unusable));
      if (!batch) return count;
      onBatch(batch);
    }
  }

  /**
   * Works out why rows are unusable, because their engine has not. Sends the dead letters to the bus before they are
   * stored, so that none is missing there.
   */
  async #bury({ rows, now, ...place }: UnusableRows): Promise<readonly NewDeadLetter[]> {
    const { contractOf, writer } = this.#options;
    const contract = contractOf(place.source);
    const letters = rows.map(({ offset, payload }): NewDeadLetter => {
      const decoded = contract && decodeEvent(payload, contract, now);
      const reason = decoded?.ok === false ? decoded.error : { code: 'EVENT_MALFORMED', ...CHANGED };
      return { ...reason, offset, payload };
    });
    await writer.publishDeadLetters({ ...place, deadLetters: letters });
    return letters;
  }

  async #publish(view: ViewVersion, keys: Parameters<OfflineStore['tilesAt']>[1]): Promise<void> {
    const { offline, writer, now } = this.#options;
    const instant = now();
    const none = { row: null, tiles: null };
    let touched: TouchedEntity[];
    if (view.aggregation) {
      const sets = await offline.tilesAt(view, keys, instant);
      touched = keys.map((key, index) => ({ ...none, view, key, tiles: sets[index] ?? null }));
    } else {
      const rows = await offline.valuesAt(view, keys, instant, { patient: true });
      touched = keys.map((key, index) => ({ ...none, view, key, row: rows[index] ?? null }));
    }
    await writer.publish(touched);
  }
}
