/**
 * Reads the current values of many (view, entity) pairs.
 *
 * Job: one read of the online store covers all pairs. Misses go to the offline store, in one statement for each view.
 * That statement also serves other requests that miss the same view in the same turn of the event loop. Fetched values
 * are written back to the online store after the answers. A request for a key that is already being fetched joins that
 * fetch.
 * Boundary: knows stores and codecs, but neither GraphQL nor requests.
 *
 * Invariants
 * 1. One call costs at most one online read. Each view with misses adds one offline statement and one online write,
 *    which it may share with other calls. An aggregation view whose stored values have expired adds one read and one
 *    write of its tiles.
 * 2. A failing online store delays one call. It is then left alone for a while, and the offline store answers instead.
 * 3. A pair that no store can answer is UNAVAILABLE. It never becomes NOT_FOUND and never another entity's value.
 * 4. A value that is newer than `now` is never returned.
 * 5. No call waits for a statement of a view that it does not read, nor for a write.
 */
import { setTimeout } from 'node:timers/promises';
import type { TileSet } from '../aggregation/tile-set.js';
import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import { finishRow } from '../store/finished-row.js';
import type { OfflineStore, StoredRow } from '../store/offline-store.js';
import { onlineKey, tileKey } from '../store/online-key.js';
import type { OnlineEntry, OnlineStore } from '../store/online-store.js';
import { TileCodec } from '../store/tile-codec.js';
import { ValueCodec } from '../store/value-codec.js';
import { type FeatureRow, holdsAt, rowAt, UNAVAILABLE } from './feature-row.js';
import { MissQueue } from './miss-queue.js';
import { PackedRow } from './packed-row.js';

/** One (view, entity) pair to read. */
export interface FeatureReference {
  readonly view: ViewVersion;
  readonly key: EntityKey;
}

/** Configuration of an OnlineQuery. */
export interface OnlineQueryOptions {
  readonly project: string;
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** How long a NOT_FOUND is remembered, in milliseconds; 5,000 by default. */
  readonly negativeTtl?: number;
  /** The most bytes of packed values that one call reads, each value counted once. */
  readonly maxReadBytes?: number;
  /** For how many milliseconds a failing online store is not asked. */
  readonly onlinePause?: number;
  readonly log?: (message: string, error: unknown) => void;
}

/** Counters since the process started; `/metrics` shows them. */
export interface OnlineQueryCounts {
  hits: number;
  misses: number;
  /** Entries of the online store whose bytes could not be decoded as a value of their view. */
  corrupted: number;
  onlineFailures: number;
  offlineFailures: number;
}

interface Miss extends FeatureReference {
  readonly index: number;
  readonly storeKey: string;
}

/** A value that is being fetched from the offline store. */
interface Flight extends Omit<Miss, 'index'> {
  /** The instant that the value is fetched for, in milliseconds since 1970. */
  readonly now: number;
  /** False if the request that started the fetch could not read the online store. */
  readonly useOnline: boolean;
  /** Resolves when the batch of this fetch has been answered; null until the fetch is in a batch. */
  landed: Promise<void> | null;
  /** The fetched row, or null if there is none. Undefined until it is fetched, and if no store could answer. */
  row: StoredRow | null | undefined;
}

/** Bytes from which a value is large. Many large values are read in parts. */
const LARGE_VALUE = 16_384;
/** How many bytes of large values one part has. */
const PART_BYTES = 4_000_000;
/** Bytes from which a read of large values waits until other such reads have ended, so that one arrives at a time. */
const LARGE_READ = 1_000_000;

/** Milliseconds for which writes are gathered: each costs as much as several answers. */
const WRITE_DELAY = 2;

function tooMuchRead(limit: number): FStoreError {
  return new FStoreError('RESPONSE_TOO_LARGE', `the values that are read for the answer have more than ${limit} bytes`);
}

export class OnlineQuery {
  readonly counts: OnlineQueryCounts = { hits: 0, misses: 0, corrupted: 0, onlineFailures: 0, offlineFailures: 0 };
  readonly #options: Required<OnlineQueryOptions>;
  readonly #codecs = new WeakMap<ViewVersion, ValueCodec>();
  readonly #tileCodecs = new WeakMap<ViewVersion, TileCodec>();
  /** The bytes of the largest value that was seen, by id of the view, for views with large values. */
  readonly #largest = new Map<string, number>();
  /** Resolves when all reads of large values that have begun have ended. One runs at a time. */
  #largeReads: Promise<unknown> = Promise.resolve();
  readonly #flights = new Map<string, Flight>();
  readonly #misses = new MissQueue<Flight>((view, flights) => this.#land(view, flights));
  #unwritten: (readonly OnlineEntry[])[] = [];
  #writing: Promise<void> | null = null;
  #onlineRestsUntil = 0;

  constructor(options: OnlineQueryOptions) {
    this.#options = {
      ...{ negativeTtl: 5_000, onlinePause: 1_000, maxReadBytes: Number.MAX_SAFE_INTEGER, log: () => {} },
      ...options,
    };
  }

  /**
   * Returns the value of each reference at `now` (milliseconds since 1970), in order. Rejects with RESPONSE_TOO_LARGE if
   * the values take more than `maxReadBytes`. Does not reject when a store is down.
   */
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

  /** Like `read`, but leaves present values packed. The bytes of a packed row may be damaged. */
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

  /**
   * Reads all references. `unpack` reads bytes of the online store, and returns undefined for a miss. `found` converts
   * a row of the offline store.
   */
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
    const resting = this.#isResting();
    // Every request runs this code, so it creates no promise that it does not need.
    const answer = (stored: readonly (Buffer | null)[] | null): Row[] | Promise<Row[]> => {
      const rows = new Array<Row>(references.length);
      const misses: Miss[] = [];
      let size = 0;
      for (let index = 0; index < references.length; index += 1) {
        const { view, key } = references[index]!;
        const bytes = stored?.[index];
        if (bytes) {
          size += bytes.length;
          if (bytes.length > LARGE_VALUE) this.#noteLarge(view, bytes.length);
        }
        const row = unpack(view, bytes);
        if (row === undefined) misses.push({ view, key, index, storeKey: keys[index]! });
        else rows[index] = row;
      }
      if (size > this.#options.maxReadBytes && stored) this.#checkSize(keys, stored);
      this.counts.hits += references.length - misses.length;
      if (misses.length === 0) return rows;
      return this.#answerMisses(misses, now, resting, stored !== null, (miss, row) => {
        rows[miss.index] = found(miss.view, row);
      }).then(() => rows);
    };
    if (resting) return Promise.resolve(answer(null));
    const largest = this.#largest.size === 0 ? 0 : this.#largestOf(references);
    if (largest * keys.length > LARGE_READ) {
      const stored = this.#largeReads.then(() => this.#readLarge(keys, largest));
      this.#largeReads = stored.catch(() => {});
      return stored.then(answer);
    }
    return this.#readOnline(keys, answer);
  }

  async #answerMisses(
    misses: readonly Miss[],
    now: number,
    resting: boolean,
    useOnline: boolean,
    answer: (miss: Miss, row: FeatureRow) => void,
  ): Promise<void> {
    const flights = this.#takeOff(misses, now, useOnline);
    await Promise.all(new Set(flights.map(({ landed }) => landed)));
    // If the offline store failed too, ask the online store in spite of its pause.
    const spare =
      resting && flights.some(({ row }) => row === undefined)
        ? await this.#readOnline(
            misses.map((miss) => miss.storeKey),
            (stored) => stored,
          )
        : null;
    const show = (miss: Miss, row: StoredRow | null | undefined): void =>
      answer(miss, row === undefined ? UNAVAILABLE : rowAt(miss.view, row, now));
    const corrections: Promise<void>[] = [];
    for (const [position, miss] of misses.entries()) {
      const landed = flights[position]!.row;
      const row = landed === undefined ? this.#unpack(miss.view, spare?.[position], now) : landed;
      // This request may have joined a fetch for a later instant, whose value is in this request's future.
      if (!row || holdsAt(row, now)) show(miss, row);
      else corrections.push(this.#history(miss.view, [miss.key], [now]).then((rows) => show(miss, rows?.[0])));
    }
    await Promise.all(corrections);
  }

  #noteLarge(view: ViewVersion, size: number): void {
    if (size > (this.#largest.get(view.id) ?? 0)) this.#largest.set(view.id, size);
  }

  /** Returns the bytes of the largest known value of these views; 0 if none has large values. */
  #largestOf(references: readonly FeatureReference[]): number {
    let largest = 0;
    let last: ViewVersion | null = null;
    for (const { view } of references) {
      if (view === last) continue;
      last = view;
      largest = Math.max(largest, this.#largest.get(view.id) ?? 0);
    }
    return largest;
  }

  /**
   * Returns the row in bytes of the online store: null for a remembered NOT_FOUND, undefined if the bytes do not hold a
   * value at `now`.
   */
  #unpack(view: ViewVersion, bytes: Buffer | null | undefined, now: number): StoredRow | null | undefined {
    const unpacked = bytes ? this.codecOf(view).decode(bytes) : null;
    if (bytes && !unpacked) this.counts.corrupted += 1;
    return unpacked && holdsAt(unpacked.row, now) ? unpacked.row : undefined;
  }

  /** Returns the value of each key of one view at the past instant `asOf`, by one statement. */
  async readAsOf(view: ViewVersion, keys: readonly EntityKey[], asOf: number): Promise<FeatureRow[]> {
    try {
      const rows = await this.#options.offline.valuesAt(view, keys, asOf);
      return rows.map((row) => rowAt(view, row, asOf));
    } catch (error) {
      this.#offlineFailed(error);
      return keys.map(() => UNAVAILABLE);
    }
  }

  /** Resolves when all fetched values have been written to the online store. */
  async settle(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  /** Throws RESPONSE_TOO_LARGE if `stored`, with each key counted once, takes more than one call may read. */
  #checkSize(keys: readonly string[], stored: readonly (Buffer | null)[]): void {
    const counted = new Set<string>();
    let size = 0;
    for (let index = 0; index < stored.length; index += 1) {
      const bytes = stored[index];
      if (!bytes || counted.has(keys[index]!)) continue;
      counted.add(keys[index]!);
      size += bytes.length;
    }
    const { maxReadBytes } = this.#options;
    if (size > maxReadBytes) throw tooMuchRead(maxReadBytes);
  }

  /**
   * Reads each key once and in parts, so that large values take little more memory than `maxReadBytes`.
   */
  async #readLarge(keys: readonly string[], largest: number): Promise<readonly (Buffer | null)[] | null> {
    const { online, maxReadBytes } = this.#options;
    const unique = [...new Set(keys)];
    const count = Math.max(1, Math.floor(PART_BYTES / largest));
    const found = new Map<string, Buffer | null>();
    let size = 0;
    for (let from = 0; from < unique.length; from += count) {
      const part = unique.slice(from, from + count);
      const stored = await online.read(part).catch((error: unknown) => {
        this.#onlineFailed(error);
        return null;
      });
      if (!stored) return null;
      for (const [index, key] of part.entries()) {
        const bytes = stored[index] ?? null;
        found.set(key, bytes);
        size += bytes?.length ?? 0;
      }
      if (size > maxReadBytes) throw tooMuchRead(maxReadBytes);
    }
    return keys.map((key) => found.get(key) ?? null);
  }

  /** Returns the codec of a view version. */
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

  /** Reads these keys from the online store and passes the result to `use`, or null if the store failed. */
  #readOnline<T>(
    keys: readonly string[],
    use: (stored: readonly (Buffer | null)[] | null) => T | Promise<T>,
  ): Promise<T> {
    return this.#options.online.read(keys).then(use, (error: unknown) => {
      this.#onlineFailed(error);
      return use(null);
    });
  }

  /** Returns the fetch of each missing value: the one in flight, or a new one. */
  #takeOff(misses: readonly Miss[], now: number, useOnline: boolean): Flight[] {
    const own = new Map<ViewVersion, Flight[]>();
    const flights = misses.map(({ view, key, storeKey }) => {
      let flight = this.#flights.get(storeKey);
      if (flight) return flight;
      flight = { view, key, storeKey, now, useOnline, landed: null, row: undefined };
      this.#flights.set(storeKey, flight);
      const list = own.get(view);
      if (list) list.push(flight);
      else own.set(view, [flight]);
      return flight;
    });
    for (const [view, list] of own) {
      this.counts.misses += list.length;
      const landed = this.#misses.add(view, list);
      for (const flight of list) flight.landed = landed;
    }
    return flights;
  }

  async #land(view: ViewVersion, flights: readonly Flight[]): Promise<void> {
    const useOnline = flights.every((flight) => flight.useOnline);
    try {
      const keys = flights.map(({ key }) => key);
      const instants = flights.map(({ now }) => now);
      const rows = view.aggregation
        ? await this.#finish(view, keys, instants, useOnline)
        : await this.#history(view, keys, instants);
      for (const [position, flight] of flights.entries()) flight.row = rows?.[position];
      if (useOnline) this.#writeSoon(this.#entriesOf(view, flights));
    } catch (error) {
      this.#offlineFailed(error);
    }
    for (const { storeKey } of flights) this.#flights.delete(storeKey);
  }

  /** Returns the row of each key at its instant, or null if the offline store failed. */
  async #history(
    view: ViewVersion,
    keys: readonly EntityKey[],
    instants: readonly number[],
  ): Promise<(StoredRow | null)[] | null> {
    try {
      return await this.#options.offline.valuesAt(view, keys, instants);
    } catch (error) {
      this.#offlineFailed(error);
      return null;
    }
  }

  /**
   * Computes the rows of an aggregation view from tiles, each at its instant. Tiles that the online store lacks are
   * read from the offline store and written back. A row is undefined where no store could answer.
   */
  async #finish(
    view: ViewVersion,
    keys: readonly EntityKey[],
    instants: readonly number[],
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
        // One start instant serves all keys: computing a later instant skips the tiles that only an earlier one needs.
        const found = await offline.tilesAt(
          view,
          wanted,
          instants.reduce((first, one) => Math.min(first, one)),
        );
        for (const [position, index] of missing.entries()) sets[index] = found[position] ?? null;
      } catch (error) {
        this.#offlineFailed(error);
      }
      const entries = missing.flatMap((index) => {
        const set = sets[index];
        return set ? [{ key: places[index]!, value: codec.encode(set), expiresIn: view.ttl }] : [];
      });
      if (useOnline) this.#writeSoon(entries);
    }
    const ahead = keys.flatMap((_, index) => ((sets[index]?.eventTime ?? 0) > instants[index]! ? [index] : []));
    const history =
      ahead.length > 0
        ? await this.#history(
            view,
            ahead.map((index) => keys[index]!),
            ahead.map((index) => instants[index]!),
          )
        : null;
    return sets.map((set, index) => {
      if (!set) return set;
      const now = instants[index]!;
      // The tiles hold an event after `now`: another process with a faster clock wrote them.
      if (set.eventTime > now) return history ? (history[ahead.indexOf(index)] ?? null) : undefined;
      return finishRow(view, set, now);
    });
  }

  #entriesOf(view: ViewVersion, flights: readonly Flight[]): OnlineEntry[] {
    const codec = this.codecOf(view);
    return flights.flatMap(({ storeKey, row }) => {
      // An aggregate that was read from history has no version, so the online store cannot compare it with others.
      if (row === undefined || (row && view.aggregation && !row.holds)) return [];
      return [{ key: storeKey, value: codec.encode(row), expiresIn: row ? view.ttl : this.#options.negativeTtl }];
    });
  }

  /** Queues entries for the next gathered write. */
  #writeSoon(entries: readonly OnlineEntry[]): void {
    if (entries.length === 0) return;
    this.#unwritten.push(entries);
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    while (this.#unwritten.length > 0) {
      await setTimeout(WRITE_DELAY);
      const entries = this.#unwritten.flat();
      this.#unwritten = [];
      await this.#writeOnline(entries);
    }
    this.#writing = null;
  }

  async #writeOnline(entries: readonly OnlineEntry[]): Promise<void> {
    if (this.#isResting()) return;
    try {
      await this.#options.online.write(entries);
    } catch (error) {
      this.#onlineFailed(error);
    }
  }

  #isResting(): boolean {
    return performance.now() < this.#onlineRestsUntil;
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
