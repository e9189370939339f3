/**
 * Collects what the resolvers of one request (or of one subscription event) ask for, and answers it in one go.
 *
 * Invariant: a loader lives for one request or one event, because it remembers what it answered.
 */
import DataLoader from 'dataloader';
import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { FeatureRow } from './feature-row.js';
import type { FeatureReference, OnlineQuery } from './online-query.js';

const MAX_BATCH = 10_000;

export class FeatureLoader {
  readonly #query: OnlineQuery;
  readonly #now: number;
  readonly #online: DataLoader<FeatureReference, FeatureRow, string>;
  readonly #asOf = new Map<string, DataLoader<EntityKey, FeatureRow, string>>();

  /** `now`: the instant that the whole request sees, milliseconds since 1970. */
  constructor(query: OnlineQuery, now: number) {
    this.#query = query;
    this.#now = now;
    this.#online = new DataLoader((references) => query.read(references, now), {
      cacheKeyFn: ({ view, key }) => `${view.id} ${view.entity} ${key.text}`,
      maxBatchSize: MAX_BATCH,
    });
  }

  get now(): number {
    return this.#now;
  }

  /** The value that holds now. */
  load(view: ViewVersion, key: EntityKey): Promise<FeatureRow> {
    return this.#online.load({ view, key });
  }

  /** The value that held at `asOf`, from history. */
  loadAsOf(view: ViewVersion, key: EntityKey, asOf: number): Promise<FeatureRow> {
    const id = `${view.id} ${asOf}`;
    let loader = this.#asOf.get(id);
    if (!loader) {
      loader = new DataLoader((keys) => this.#query.readAsOf(view, keys, asOf), { cacheKeyFn: (one) => one.text });
      this.#asOf.set(id, loader);
    }
    return loader.load(key);
  }

  /** Gives the value of an update that just arrived, so that showing it needs no read. */
  prime(view: ViewVersion, key: EntityKey, row: FeatureRow): void {
    this.#online.prime({ view, key }, row);
  }
}
