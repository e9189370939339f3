/**
 * Answers which value holds now for many (view, entity) pairs.
 *
 * Job: one read of the online store for all pairs; for what is missing one statement of the offline store for each view,
 * shared by everybody who misses the same value at the same time, and written back in one write.
 * Boundary: knows stores and codecs, no GraphQL and no request.
 *
 * Invariants
 * 1. At most 1 online read, one offline statement for each view, and 1 online write for one call; for each aggregation view whose values
 *    have run out, 1 more read and 1 more write, of its tiles.
 * 2. An online store that fails costs time once, then is left alone for a while; offline answers instead.
 * 3. A pair that no store can answer is UNAVAILABLE; it never becomes NOT_FOUND and never another entity's value.
 * 4. A value that lies in the future of `now` is not shown.
 */
import type { TileSet } from '../aggregation/tile-set.js';
import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import { finishRow } from '../store/finished-row.js';
import type { OfflineStore, StoredRow } from '../store/offline-store.js';
import { onlineKey, tileKey } from '../store/online-key.js';
import type { OnlineEntry, OnlineStore } from '../store/online-store.js';
import { TileCodec } from '../store/tile-codec.js';
import { ValueCodec } from '../store/value-codec.js';
import { type FeatureRow, holdsAt, rowAt, UNAVAILABLE } from './feature-row.js';
import { PackedRow } from './packed-row.js';

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
  readonly #tileCodecs = new WeakMap<ViewVersion, TileCodec>();
  readonly #flights = new Map<string, Flight>();
  #onlineRestsUntil = 0;

  constructor(options: OnlineQueryOptions) {
    this.#options = { negativeTtl: 5_000, onlinePause: 1_000, log: () => {}, ...options };
  }

  /** The value of each reference at `now` (milliseconds since 1970), in order. Never rejects because a store is down. */
  read(references: readonly FeatureReference[], now: number): Promise<FeatureRow[]> {
    return this.#read(
      references,
      now,
      (view, bytes) => {
        const row = this.#unpack(view, bytes, now);
        return row === undefined ? undefined : rowAt(view, row, now);
      },
      (_, row) => row,
    );
  }

  /** The same, but what is present stays packed, unless it had to be asked of the offline store. Its bytes may be damaged. */
  readPacked(references: readonly FeatureReference[], now: number): Promise<(PackedRow | FeatureRow)[]> {
    let last: { readonly view: ViewVersion; readonly codec: ValueCodec } | null = null;
    return this.#read<PackedRow | FeatureRow>(
      references,
      now,
      (view, bytes) => {
        if (!bytes) return undefined;
        if (last?.view !== view) last = { view, codec: this.codecOf(view) };
        const eventTime = last.codec.eventTimeIfShown(bytes, now, view.ttl);
        if (!Number.isNaN(eventTime)) return new PackedRow(last.codec, bytes, eventTime);
        const row = this.#unpack(view, bytes, now);
        return row === undefined ? undefined : rowAt(view, row, now);
      },
      (view, row) => {
        if (row.status !== 'PRESENT' || row.eventTime === null || row.values === null) return row;
        const codec = this.codecOf(view);
        const { eventTime, values } = row;
        return new PackedRow(codec, codec.encode({ eventTime, sequence: 0, values }), eventTime);
      },
    );
  }

  /** `unpack` says what bytes of the online store show, undefined if they answer nothing; `found` what a row of the offline store shows. */
  #read<Row>(
    references: readonly FeatureReference[],
    now: number,
    unpack: (view: ViewVersion, bytes: Buffer | null | undefined) => Row | undefined,
    found: (view: ViewVersion, row: FeatureRow) => Row,
  ): Promise<Row[]> {
    const { project } = this.#options;
    const keys = new Array<string>(references.length);
    for (let index = 0; index < references.length; index += 1) {
      const { view, key } = references[index]!;
      keys[index] = onlineKey(project, view, key);
    }
    const resting = performance.now() < this.#onlineRestsUntil;
    // Every request comes by here: it waits for what it has to, and for no promise more.
    const answer = (stored: readonly (Buffer | null)[] | null): Row[] | Promise<Row[]> => {
      const rows = new Array<Row>(references.length);
      const misses: Miss[] = [];
      for (let index = 0; index < references.length; index += 1) {
        const reference = references[index]!;
        const row = unpack(reference.view, stored?.[index]);
        if (row === undefined) misses.push({ ...reference, index, storeKey: keys[index]! });
        else rows[index] = row;
      }
      this.counts.hits += references.length - misses.length;
      if (misses.length === 0) return rows;
      return this.#answerMisses(misses, now, resting, stored !== null, (miss, row) => {
        rows[miss.index] = found(miss.view, row);
      }).then(() => rows);
    };
    return resting ? Promise.resolve(answer(null)) : this.#readOnline(keys, answer);
  }

  async #answerMisses(
    misses: readonly Miss[],
    now: number,
    resting: boolean,
    writeBack: boolean,
    answer: (miss: Miss, row: FeatureRow) => void,
  ): Promise<void> {
    // Whoever asks twice for the same is answered once.
    const once = [...new Map(misses.map((miss) => [miss.storeKey, miss])).values()];
    const found = await this.#readOffline(once, now, writeBack);
    // A store that rests is better than none.
    const spare =
      resting && found.includes(undefined)
        ? await this.#readOnline(
            once.map((miss) => miss.storeKey),
            (stored) => stored,
          )
        : null;
    const answers = new Map<string, FeatureRow>();
    for (const [position, { view, storeKey }] of once.entries()) {
      const row = found[position] === undefined ? this.#unpack(view, spare?.[position], now) : found[position];
      answers.set(storeKey, row === undefined ? UNAVAILABLE : rowAt(view, row, now));
    }
    for (const miss of misses) answer(miss, answers.get(miss.storeKey)!);
  }

  /** The row that bytes of the online store hold, null for a remembered NOT_FOUND, undefined if they answer nothing. */
  #unpack(view: ViewVersion, bytes: Buffer | null | undefined, now: number): StoredRow | null | undefined {
    const unpacked = bytes ? this.codecOf(view).decode(bytes) : null;
    if (bytes && !unpacked) this.counts.corrupted += 1;
    return unpacked && holdsAt(unpacked.row, now) ? unpacked.row : undefined;
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

  #tileCodecOf(view: ViewVersion): TileCodec {
    let codec = this.#tileCodecs.get(view);
    if (!codec) {
      codec = new TileCodec(view);
      this.#tileCodecs.set(view, codec);
    }
    return codec;
  }

  /** Calls `use` with what the online store has for these keys, or with null if it failed. */
  #readOnline<T>(
    keys: readonly string[],
    use: (stored: readonly (Buffer | null)[] | null) => T | Promise<T>,
  ): Promise<T> {
    return this.#options.online.read(keys).then(use, (error: unknown) => {
      this.#onlineFailed(error);
      return use(null);
    });
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
      return {
        list,
        rows: view.aggregation ? this.#finish(view, keys, now, writeBack) : this.#history(view, keys, now),
      };
    });
    const started: string[] = [];
    for (const { list, rows } of statements) {
      for (const [position, miss] of list.entries()) {
        this.#flights.set(
          miss.storeKey,
          rows.then((values) => values?.[position]),
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
          if (!row || holdsAt(row, now)) return row;
          const { view, key } = misses[index]!;
          return (await this.#history(view, [key], now))?.[0];
        }),
      );
    } finally {
      for (const key of started) this.#flights.delete(key);
    }
  }

  async #history(view: ViewVersion, keys: readonly EntityKey[], now: number): Promise<(StoredRow | null)[] | null> {
    try {
      return await this.#options.offline.valuesAt(view, keys, now);
    } catch (error) {
      this.#offlineFailed(error);
      return null;
    }
  }

  /**
   * The rows that tiles make at `now`: tiles come from the online store, and where it has none from history, written back.
   * Undefined where no store could answer.
   */
  async #finish(
    view: ViewVersion,
    keys: readonly EntityKey[],
    now: number,
    useOnline: boolean,
  ): Promise<(StoredRow | null | undefined)[]> {
    const { project, offline } = this.#options;
    const codec = this.#tileCodecOf(view);
    const places = keys.map((key) => tileKey(project, view, key));
    const packed = useOnline ? await this.#readOnline(places, (stored) => stored) : null;
    const sets = keys.map((_, index) => {
      const bytes = packed?.[index];
      const set = bytes ? codec.decode(bytes) : undefined;
      if (set === null) this.counts.corrupted += 1;
      return set ?? undefined;
    }) as (TileSet | null | undefined)[];
    const missing = keys.flatMap((_, index) => (sets[index] === undefined ? [index] : []));
    if (missing.length > 0) {
      try {
        const wanted = missing.map((index) => keys[index]!);
        const found = await offline.tilesAt(view, wanted, now);
        for (const [position, index] of missing.entries()) sets[index] = found[position] ?? null;
      } catch (error) {
        this.#offlineFailed(error);
      }
      const entries = missing.flatMap((index) => {
        const set = sets[index];
        return set ? [{ key: places[index]!, value: codec.encode(set), expiresIn: view.ttl }] : [];
      });
      if (useOnline) await this.#writeOnline(entries);
    }
    const ahead = keys.flatMap((_, index) => ((sets[index]?.eventTime ?? 0) > now ? [index] : []));
    const history =
      ahead.length > 0
        ? await this.#history(
            view,
            ahead.map((index) => keys[index]!),
            now,
          )
        : null;
    return sets.map((set, index) => {
      if (!set) return set;
      // The clock of who wrote the tiles is ahead of this one's.
      if (set.eventTime > now) return history ? (history[ahead.indexOf(index)] ?? null) : undefined;
      return finishRow(view, set, now);
    });
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
      // An aggregate that history answered has no version to be kept by.
      if (row && miss.view.aggregation && !row.holds) continue;
      const value = this.codecOf(miss.view).encode(row);
      entries.push({ key: miss.storeKey, value, expiresIn: row ? miss.view.ttl : this.#options.negativeTtl });
    }
    await this.#writeOnline(entries);
  }

  async #writeOnline(entries: readonly OnlineEntry[]): Promise<void> {
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
