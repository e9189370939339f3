/** Takes what another engine has sealed into history, and from there into all stores: the writer's road from the second step on. */
import type { ViewVersion } from '../definition/view-version.js';
import type { OfflineStore, TouchedEntity } from '../store/offline-store.js';
import type { MergedBatch, StagedBatches } from '../store/staged-batches.js';
import type { Writer } from './writer.js';

export interface StagedMergerOptions {
  readonly staged: StagedBatches;
  readonly offline: OfflineStore;
  readonly writer: Writer;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

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
      const batch = await staged.merge(stream, views);
      if (!batch) return count;
      onBatch(batch);
    }
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
