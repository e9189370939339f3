/** Takes what another engine has sealed into history, and from there into all stores: the writer's road from the second step on. */
import type { ViewVersion } from '../definition/view-version.js';
import type { NewDeadLetter, OfflineStore, TouchedEntity } from '../store/offline-store.js';
import type { MergedBatch, StagedBatches } from '../store/staged-batches.js';
import type { UnusableRows } from '../store/table-run.js';
import { decodeEvent, type EventContract } from './event-decoder.js';
import type { Writer } from './writer.js';

export interface StagedMergerOptions {
  readonly staged: StagedBatches;
  readonly offline: OfflineStore;
  readonly writer: Writer;
  /** What events of a source are checked against; undefined: it has gone. */
  readonly contractOf: (source: string) => EventContract | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Of a row that was unusable for definitions which have changed since. */
const CHANGED = { message: 'the row did not fit the definitions that it was read with', field: null };

export class StagedMerger {
  readonly #options: StagedMergerOptions;

  constructor(options: StagedMergerOptions) {
    this.#options = options;
  }

  /**
   * Merges and publishes whatever of a stream is sealed, batch by batch; `onBatch` is told of each. What a crash left between the two
   * steps is published first. Returns how many batches there were.
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

  /** Why rows are unusable, which their engine has not worked out; told to the bus before it is written, so that no letter is missing. */
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
