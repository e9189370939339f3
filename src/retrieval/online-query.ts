/**
 * Answers which value holds now for many (view, entity) pairs.
 *
 * Job: one read of the online store for all pairs; for what is missing one statement of the offline store for each view,
 * shared by everybody who misses the same value at the same time, and written back in one write.
 * Boundary: knows stores and codecs, no GraphQL and no request.
 *
 * Invariants
 * 1. At most 1 online read, one offline statement for each view, and 1 online write for one call.
 * 2. An online store that fails costs time once, then is left alone for a while; offline answers instead.
 * 3. A pair that no store can answer is UNAVAILABLE; it never becomes NOT_FOUND and never another entity's value.
 * 4. A value that lies in the future of `now` is not shown.
 */
import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { OfflineStore, StoredRow } from '../store/offline-store.js';
import { onlineKey } from '../store/online-key.js';
import type { OnlineEntry, OnlineStore } from '../store/online-store.js';
import { ValueCodec } from '../store/value-codec.js';
import { type FeatureRow, rowAt, UNAVAILABLE } from './feature-row.js';

/** One value that is asked for. */
export interface FeatureReference {
  readonly view: ViewVersion;
  readonly key: EntityKey;
}

export interface OnlineQueryOptions {
  readonly project: string;
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** How long a NOT_FOUND is remembered, milliseconds. */
  readonly negativeTtl?: number;
  /** How long a failing online store is left alone, milliseconds. */
  readonly onlinePause?: number;
  readonly log?: (message: string, error: unknown) => void;
}

export interface OnlineQueryCounts {
  hits: number;
  misses: number;
  /** Bytes in the online store that are no value of their view. */
  corrupted: number;
  onlineFailures: number;
  offlineFailures: number;
}

interface Miss extends FeatureReference {
  readonly index: number;
  readonly storeKey: string;
}

/** A value found by the offline store, or undefined if the store could not answer. */
type Flight = Promise<StoredRow | null | undefined>;

export class OnlineQuery {
  readonly counts: OnlineQueryCounts = { hits: 0, misses: 0, corrupted: 0, onlineFailures: 0, offlineFailures: 0 };
  readonly #options: Required<OnlineQueryOptions>;
  readonly #codecs = new WeakMap<ViewVersion, ValueCodec>();
  readonly #flights = new Map<string, Flight>();
  #onlineRestsUntil = 0;

  constructor(options: OnlineQueryOptions) {
    this.#options = { negativeTtl: 5_000, onlinePause: 1_000, log: () => {}, ...options };
  }

  /** The value of each reference at `now` (milliseconds since 1970), in order. Never rejects because a store is down. */
  async read(references: readonly FeatureReference[], now: number): Promise<FeatureRow[]> {
    const { project } = this.#options;
    const keys = references.map(({ view, key }) => onlineKey(project, view, key));
    const resting = performance.now() < this.#onlineRestsUntil;
    const stored = resting ? null : await this.#readOnline(keys);
    const rows: FeatureRow[] = new Array(references.length);
    const misses: Miss[] = [];
    for (const [index, reference] of references.entries()) {
      const row = this.#unpack(reference.view, stored?.[index], now);
      if (row === undefined) misses.push({ ...reference, index, storeKey: keys[index]! });
      else rows[index] = rowAt(reference.view, row, now);
    }
    this.counts.hits += references.length - misses.length;
    if (misses.length > 0) {
      const found = await this.#readOffline(misses, now, stored !== null);
      // A store that rests is better than none.
      const spare =
        resting && found.includes(undefined) ? await this.#readOnline(misses.map((miss) => miss.storeKey)) : null;
      for (const [position, miss] of misses.entries()) {
        const row = found[position] === undefined ? this.#unpack(miss.view, spare?.[position], now) : found[position];
        rows[miss.index] = row === undefined ? UNAVAILABLE : rowAt(miss.view, row, now);
      }
    }
    return rows;
  }

  /** The row that bytes of the online store hold, null for a remembered NOT_FOUND, undefined if they answer nothing. */
  #unpack(view: ViewVersion, bytes: Buffer | null | undefined, now: number): StoredRow | null | undefined {
    const unpacked = bytes ? this.codecOf(view).decode(bytes) : null;
    if (bytes && !unpacked) this.counts.corrupted += 1;
    return unpacked && (unpacked.row?.eventTime ?? 0) <= now ? unpacked.row : undefined;
  }

  /** The value of each key of one view at a past instant `asOf`: one statement. */
  async readAsOf(view: ViewVersion, keys: readonly EntityKey[], asOf: number): Promise<FeatureRow[]> {
    try {
      const rows = await this.#options.offline.valuesAt(view, keys, asOf);
      return rows.map((row) => rowAt(view, row, asOf));
    } catch (error) {
      this.#offlineFailed(error);
      return keys.map(() => UNAVAILABLE);
    }
  }

  /** The codec of a view; one for each view version. */
  codecOf(view: ViewVersion): ValueCodec {
    let codec = this.#codecs.get(view);
    if (!codec) {
      codec = new ValueCodec(view);
      this.#codecs.set(view, codec);
    }
    return codec;
  }

  async #readOnline(keys: readonly string[]): Promise<(Buffer | null)[] | null> {
    try {
      return await this.#options.online.read(keys);
    } catch (error) {
      this.#onlineFailed(error);
      return null;
    }
  }

  async #readOffline(
    misses: readonly Miss[],
    now: number,
    writeBack: boolean,
  ): Promise<(StoredRow | null | undefined)[]> {
    this.counts.misses += misses.length;
    const mine = new Map<ViewVersion, Miss[]>();
    const joined = misses.map((miss) => {
      const flight = this.#flights.get(miss.storeKey);
      if (flight) return { miss, flight };
      const list = mine.get(miss.view);
      if (list) list.push(miss);
      else mine.set(miss.view, [miss]);
      return { miss, flight: null };
    });
    const statements = [...mine].map(([view, list]) => {
      const keys = list.map((miss) => miss.key);
      return { list, rows: this.#valuesAt(view, keys, now) };
    });
    const started: string[] = [];
    for (const { list, rows } of statements) {
      for (const [position, miss] of list.entries()) {
        this.#flights.set(
          miss.storeKey,
          rows.then((values) => (values ? (values[position] ?? null) : undefined)),
        );
        started.push(miss.storeKey);
      }
    }
    try {
      const flights = joined.map(({ miss, flight }) => flight ?? this.#flights.get(miss.storeKey)!);
      const found = await Promise.all(flights);
      if (writeBack)
        await this.#writeBack(
          misses.filter((_, index) => joined[index]?.flight === null),
          found,
          misses,
        );
      // Who joined the flight of a request that began later may have got a value of its own future.
      return await Promise.all(
        found.map(async (row, index) => {
          if (!row || row.eventTime <= now) return row;
          const { view, key } = misses[index]!;
          return (await this.#valuesAt(view, [key], now))?.[0];
        }),
      );
    } finally {
      for (const key of started) this.#flights.delete(key);
    }
  }

  async #valuesAt(view: ViewVersion, keys: readonly EntityKey[], now: number): Promise<(StoredRow | null)[] | null> {
    try {
      return await this.#options.offline.valuesAt(view, keys, now);
    } catch (error) {
      this.#offlineFailed(error);
      return null;
    }
  }

  async #writeBack(
    mine: readonly Miss[],
    found: readonly (StoredRow | null | undefined)[],
    misses: readonly Miss[],
  ): Promise<void> {
    const owned = new Set(mine);
    const entries: OnlineEntry[] = [];
    for (const [position, miss] of misses.entries()) {
      const row = found[position];
      if (row === undefined || !owned.has(miss)) continue;
      const value = this.codecOf(miss.view).encode(row);
      entries.push({ key: miss.storeKey, value, expiresIn: row ? miss.view.ttl : this.#options.negativeTtl });
    }
    if (entries.length === 0) return;
    try {
      await this.#options.online.write(entries);
    } catch (error) {
      this.#onlineFailed(error);
    }
  }

  #onlineFailed(error: unknown): void {
    this.counts.onlineFailures += 1;
    this.#onlineRestsUntil = performance.now() + this.#options.onlinePause;
    this.#options.log('online store failed; the offline store answers', error);
  }

  #offlineFailed(error: unknown): void {
    this.counts.offlineFailures += 1;
    this.#options.log('offline store failed; its values are UNAVAILABLE', error);
  }
}
