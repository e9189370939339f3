/**
 * Port: the history of every value, the log of events, and how far each topic has been taken in.
 *
 * Invariants that every adapter holds (test/contract/offline-store.test.ts)
 * 1. `commit` is one transaction: events, rows, dead letters and offset become visible together or not at all.
 * 2. An event at an offset below the stored one is not written again; the entities it touches are still returned.
 * 3. Two commits for one (consumer, topic, partition) run one after the other, even from two processes.
 * 4. A view is filled from the event log once, and from then on written by every commit: no event is missing from it and
 *    none is in it twice, whatever other processes commit meanwhile.
 * 5. The value at t is the row with the greatest (event time, sequence) among those with event time ≤ t; of an aggregation view, the
 *    merge of the events that its windows cover at t.
 * 6. A tile holds each event of its stretch that is visible exactly once; a version of an entity's tiles is never given twice.
 */
import type { TileSet } from '../aggregation/tile-set.js';
import type { SourceMeaning } from '../definition/definition-record.js';
import type { EntityKey } from '../definition/entity-key.js';
import type { FeatureValue, ValueType } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';

/** One row of a view's history. `sequence` is the order of arrival, unique in the store. */
export interface StoredRow {
  readonly eventTime: number;
  readonly sequence: number;
  readonly values: readonly FeatureValue[];
  /** Of an aggregation view only, whose `sequence` is the version of its tiles: the instants from and until which the values hold. */
  readonly holds?: { readonly from: number; readonly until: number };
}

export interface NewRow {
  readonly offset: bigint;
  readonly key: EntityKey;
  readonly eventTime: number;
  /** One for each column that the view's history keeps. */
  readonly values: readonly FeatureValue[];
  /** When it first arrived; default: now. */
  readonly arrivedAt?: number;
}

export interface LoggedEvent {
  readonly offset: bigint;
  readonly eventTime: number;
  /** The event as JSON text. */
  readonly payload: string;
}

export interface NewDeadLetter {
  readonly offset: bigint;
  readonly code: string;
  readonly message: string;
  readonly field: string | null;
  readonly payload: Buffer;
}

export interface DeadLetter extends Omit<NewDeadLetter, 'offset'> {
  readonly id: string;
  readonly source: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly arrivedAt: Date;
  readonly replayedAt: Date | null;
}

/** What a view that begins later takes over from the event log. */
export interface ViewFill {
  readonly view: ViewVersion;
  /** The row of a logged event (JSON text), or null if the view has none for it; null: only its engine can read events. */
  readonly read: ((payload: string) => Pick<NewRow, 'key' | 'eventTime' | 'values'> | null) | null;
}

/** The stream of a source: who takes it in, and under which name other engines do. */
export interface SourceStream {
  readonly name: string;
  readonly topic: string;
  readonly consumer: string;
}

export interface FillRequest {
  readonly source: string;
  /** Null for a source without a stream. */
  readonly stream: SourceStream | null;
  readonly revision: number;
}

/** What one batch of a topic's partition becomes. */
export interface CommitBatch {
  /** Revision of the definitions that the batch was processed with. */
  readonly revision: number;
  readonly consumer: string;
  readonly source: string;
  readonly topic: string;
  readonly partition: number;
  /** The offset after the last message of the batch. */
  readonly nextOffset: bigint;
  readonly events: readonly LoggedEvent[];
  readonly rows: readonly { readonly view: ViewVersion; readonly rows: readonly NewRow[] }[];
  readonly deadLetters: readonly NewDeadLetter[];
  /** Rows later than this wait until `takeDue` is asked for them. Milliseconds since 1970. */
  readonly now: number;
}

/**
 * An entity whose value may have changed: with the newest row that is visible, or, of an aggregation view, with its tiles.
 * Both null: nothing is visible.
 */
export interface TouchedEntity {
  readonly view: ViewVersion;
  readonly key: EntityKey;
  readonly row: StoredRow | null;
  readonly tiles: TileSet | null;
}

/** How a point-in-time read looks at history. */
export interface PointInTimeOptions {
  /** Only what happened before the instant, not at it. */
  readonly before?: boolean;
  /** Only what had arrived by the instant: the value as it was known then. */
  readonly known?: boolean;
  /** A job asks, which can wait longer than a request. */
  readonly patient?: boolean;
}

export interface CommitResult {
  /** How many events of the batch were new. */
  readonly written: number;
  readonly touched: readonly TouchedEntity[];
}

/** Rows that a spine is made of. */
export interface SpineTable {
  readonly schema: readonly { readonly name: string; readonly type: ValueType }[];
  readonly batches: AsyncIterable<readonly (readonly FeatureValue[])[]>;
}

/** Where a spine comes from: a SELECT (with the types that its columns must have), or all events of a source. */
export type SpineOrigin =
  | { readonly sql: string; readonly types?: readonly ValueType[] }
  | { readonly source: string; readonly meaning: SourceMeaning };

export interface OfflineStore {
  /** Creates what the history of these views needs; does nothing for views that have it. */
  prepare(views: readonly ViewVersion[]): Promise<void>;
  /** Throws DEFINITIONS_STALE if a view was filled at a later revision: the batch has no rows for it. */
  commit(batch: CommitBatch): Promise<CommitResult>;
  /**
   * Fills views of one source, which begin at `revision`, with what the event log has; views that were filled before are
   * left alone. Views that change hands between engines do it here. Commits of the source wait meanwhile. Returns how many events were
   * read. Throws ENGINE_BUSY while what another engine has computed of a view that comes back, or of a source that a new view reads, is
   * not merged.
   */
  fill(request: FillRequest, fills: readonly ViewFill[], now: number): Promise<number>;
  /**
   * The point-in-time read: for each key, in order, the values at `asOf` (milliseconds since 1970, one for all keys or one for each
   * key), from history. One statement for all keys. TTLs are the reader's business.
   */
  valuesAt(
    view: ViewVersion,
    keys: readonly EntityKey[],
    asOf: number | readonly number[],
    options?: PointInTimeOptions,
  ): Promise<(StoredRow | null)[]>;
  /** For each key, in order, the tiles that windows at `now` or later may cover; null for an entity without a visible event. */
  tilesAt(view: ViewVersion, keys: readonly EntityKey[], now: number): Promise<(TileSet | null)[]>;
  /**
   * Hands entities with rows whose time has come by `now` to `publish`, and forgets them once it has resolved.
   * Returns how many there were.
   */
  takeDue(
    views: readonly ViewVersion[],
    now: number,
    publish: (touched: readonly TouchedEntity[]) => Promise<void>,
  ): Promise<number>;
  /** Hands the rows of a spine to `take`; nothing is written. Throws BAD_REQUEST for a query that the store refuses. */
  readSpine(origin: SpineOrigin, take: (table: SpineTable) => Promise<void>): Promise<void>;
  /** Dead letters of a source, newest first; `source` null: of all sources. */
  deadLetters(source: string | null, limit: number): Promise<readonly DeadLetter[]>;
  /** Marks dead letters as replayed and returns those that had not been; `publish` runs inside the same transaction. */
  replayDeadLetters(
    ids: readonly string[],
    publish: (letters: readonly DeadLetter[]) => Promise<void>,
  ): Promise<number>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
