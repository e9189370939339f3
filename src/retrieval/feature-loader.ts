/**
 * Batches the reads of all resolvers of one request (or of one subscription event).
 *
 * Invariant: a loader lives for one request or one event, because it caches every answer.
 */
import DataLoader from 'dataloader';
import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { FeatureRow } from './feature-row.js';
import type { FeatureReference, OnlineQuery } from './online-query.js';

const MAX_BATCH = 10_000;

/** Loads feature values for the resolvers of one request. */
export class FeatureLoader {
  readonly #query: OnlineQuery;
  readonly #now: number;
  readonly #online: DataLoader<FeatureReference, FeatureRow, string>;
  readonly #asOf = new Map<string, DataLoader<EntityKey, FeatureRow, string>>();

  /** `now` is the instant that the whole request sees, in milliseconds since 1970. */
  constructor(query: OnlineQuery, now: number) {
    this.#query = query;
    this.#now = now;
    this.#online = new DataLoader((references) => query.read(references, now), {
      cacheKeyFn: ({ view, key }) => `${view.id} ${view.entity} ${key.text}`,
      maxBatchSize: MAX_BATCH,
    });
  }

  /** The instant that this loader reads at, in milliseconds since 1970. */
  get now(): number {
    return this.#now;
  }

  /** Returns the current value of one entity. */
  load(view: ViewVersion, key: EntityKey): Promise<FeatureRow> {
    return this.#online.load({ view, key });
  }

  /** Returns the value of one entity at the past instant `asOf`, read from history. */
  loadAsOf(view: ViewVersion, key: EntityKey, asOf: number): Promise<FeatureRow> {
    const id = `${view.id} ${asOf}`;
    let loader = this.#asOf.get(id);
    if (!loader) {
      loader = new DataLoader((keys) => this.#query.readAsOf(view, keys, asOf), { cacheKeyFn: (one) => one.text });
      this.#asOf.set(id, loader);
    }
    return loader.load(key);
  }

  /** Stores the value of an update that just arrived, so that resolving it needs no read. */
  prime(view: ViewVersion, key: EntityKey, row: FeatureRow): void {
    this.#online.prime({ view, key }, row);
  }
}
