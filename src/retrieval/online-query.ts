/**
 * Answers which value holds now for many (view, entity) pairs.
 *
 * Job: one read of the online store for all pairs. What is missing is asked of the offline store with what other requests of the same
 * turn of the event loop miss of the same view, and written back behind the answers. Who misses what somebody waits for waits with him.
 * Boundary: knows stores and codecs, no GraphQL and no request.
 *
 * Invariants
 * 1. One call costs at most 1 online read, and for each view with misses one offline statement and 1 online write, which it may share with
 *    other calls; for each aggregation view whose values have run out, 1 more read and 1 more write, of its tiles.
 * 2. An online store that fails costs time once, then is left alone for a while; offline answers instead.
 * 3. A pair that no store can answer is UNAVAILABLE; it never becomes NOT_FOUND and never another entity's value.
 * 4. A value that lies in the future of `now` is not shown.
 * 5. No call waits for a statement of a view that it does not ask for, nor for the write.
 */
import { setTimeout } from 'node:timers/promises';
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
import { MissQueue } from './miss-queue.js';
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

/** A value that the offline store is asked for. */
interface Flight extends Omit<Miss, 'index'> {
  /** The instant that it is asked for. */
  readonly now: number;
  /** False if the online store has just failed who asks. */
  readonly useOnline: boolean;
  /** Resolves when its batch has landed; null until it is in one. */
  landed: Promise<void> | null;
  /** Undefined until it has landed, and if no store could answer. */
  row: StoredRow | null | undefined;
}

/** Milliseconds for which writes are gathered: each costs as much as several answers. */
const WRITE_DELAY = 2;

export class OnlineQuery {
  readonly counts: OnlineQueryCounts = { hits: 0, misses: 0, corrupted: 0, onlineFailures: 0, offlineFailures: 0 };
  readonly #options: Required<OnlineQueryOptions>;
  readonly #codecs = new WeakMap<ViewVersion, ValueCodec>();
  readonly #tileCodecs = new WeakMap<ViewVersion, TileCodec>();
  readonly #flights = new Map<string, Flight>();
  readonly #misses = new MissQueue<Flight>((view, flights) => this.#land(view, flights));
  #unwritten: (readonly OnlineEntry[])[] = [];
  #writing: Promise<void> | null = null;
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
    const resting = this.#isResting();
    // Every request comes by here: it waits for what it has to, and for no promise more.
    const answer = (stored: readonly (Buffer | null)[] | null): Row[] | Promise<Row[]> => {
      const rows = new Array<Row>(references.length);
      const misses: Miss[] = [];
      for (let index = 0; index < references.length; index += 1) {
        const { view, key } = references[index]!;
        const row = unpack(view, stored?.[index]);
        if (row === undefined) misses.push({ view, key, index, storeKey: keys[index]! });
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
    useOnline: boolean,
    answer: (miss: Miss, row: FeatureRow) => void,
  ): Promise<void> {
    const flights = this.#takeOff(misses, now, useOnline);
    await Promise.all(new Set(flights.map(({ landed }) => landed)));
    // A store that rests is better than none.
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
      // Who joined the flight of a request that began later may have got a value of its own future.
      if (!row || holdsAt(row, now)) show(miss, row);
      else corrections.push(this.#history(miss.view, [miss.key], [now]).then((rows) => show(miss, rows?.[0])));
    }
    await Promise.all(corrections);
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

  /** Resolves when all that was found has been written back. */
  async settle(): Promise<void> {
    while (this.#writing) await this.#writing;
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

  /** The flight to each of these values: one that is under way, or a new one. */
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

  /** The row of each key at its instant; null if the offline store failed. */
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
   * The rows that tiles make, each at its instant: tiles come from the online store, and where it has none from history, written back.
   * Undefined where no store could answer.
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
        // Tiles that only the earliest needs are passed over when the others are finished.
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
      // The clock of who wrote the tiles is ahead of this one's.
      if (set.eventTime > now) return history ? (history[ahead.indexOf(index)] ?? null) : undefined;
      return finishRow(view, set, now);
    });
  }

  #entriesOf(view: ViewVersion, flights: readonly Flight[]): OnlineEntry[] {
    const codec = this.codecOf(view);
    return flights.flatMap(({ storeKey, row }) => {
      // An aggregate that history answered has no version to be kept by.
      if (row === undefined || (row && view.aggregation && !row.holds)) return [];
      return [{ key: storeKey, value: codec.encode(row), expiresIn: row ? view.ttl : this.#options.negativeTtl }];
    });
  }

  /** Writes entries with those of the next moment. */
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
