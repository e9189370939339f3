/**
 * Port: the history of every value, the log of events, and the offset of each consumer.
 *
 * Invariants that every adapter holds (test/contract/offline-store.test.ts)
 * 1. `commit` is one transaction: events, rows, dead letters and offset become visible together or not at all.
 * 2. An event at an offset below the stored one is not written again. The entities that it touches are still returned.
 * 3. Two commits for one (consumer, topic, partition) run one after the other, even from two processes.
 * 4. A view is filled from the event log once, and every later commit writes to it. No event is missing from it and
 *    none is in it twice, whatever other processes commit meanwhile.
 * 5. The value at t is the row with the greatest (event time, sequence) among those with event time ≤ t. In an
 *    aggregation view it is the merge of the events that its windows cover at t.
 * 6. A tile holds each visible event of its interval exactly once. A version of an entity's tiles is never used twice.
 */
import type { TileSet } from '../aggregation/tile-set.js';
import type { SourceMeaning } from '../definition/definition-record.js';
import type { EntityKey } from '../definition/entity-key.js';
import type { FeatureValue } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { RowTable } from './query-reader.js';

/**
 * One row of a view's history. `eventTime` is in milliseconds since 1970; `sequence` is the order of arrival, unique in
 * the store.
 */
export interface StoredRow {
  readonly eventTime: number;
  readonly sequence: number;
  readonly values: readonly FeatureValue[];
  /**
   * Only in an aggregation view, whose `sequence` is the version of the tiles: the values hold from `from` to before
   * `until`.
   */
  readonly holds?: { readonly from: number; readonly until: number };
}

/** A row to write to a view's history. */
export interface NewRow {
  readonly offset: bigint;
  readonly key: EntityKey;
  readonly eventTime: number;
  /** One value for each column of the view's history. */
  readonly values: readonly FeatureValue[];
  /** When it first arrived, in milliseconds since 1970; now by default. */
  readonly arrivedAt?: number;
}

/** An event to write to the event log. */
export interface LoggedEvent {
  readonly offset: bigint;
  readonly eventTime: number;
  /** The event as JSON text. */
  readonly payload: string;
}

/** An unusable event to record. */
export interface NewDeadLetter {
  readonly offset: bigint;
  readonly code: string;
  readonly message: string;
  readonly field: string | null;
  readonly payload: Buffer;
}

/** A recorded dead letter. */
export interface DeadLetter extends Omit<NewDeadLetter, 'offset'> {
  readonly id: string;
  readonly source: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly arrivedAt: Date;
  readonly replayedAt: Date | null;
}

/** How a view that begins later reads the events of the log. */
export interface ViewFill {
  readonly view: ViewVersion;
  /**
   * Returns the row of a logged event (JSON text), or null if the view has none for it. Null if only the view's engine
   * can read events.
   */
  readonly read: ((payload: string) => Pick<NewRow, 'key' | 'eventTime' | 'values'> | null) | null;
}

/**
 * The stream of a source. `consumer` is the built-in consumer's name; `name` is the name of the stream for other
 * engines.
 */
export interface SourceStream {
  readonly name: string;
  readonly topic: string;
  readonly consumer: string;
}

/** The source whose views are filled, and the revision of their definitions. */
export interface FillRequest {
  readonly source: string;
  /** Null for a source without a stream. */
  readonly stream: SourceStream | null;
  readonly revision: number;
}

/** The processed form of one batch of a partition. */
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
  /** Milliseconds since 1970. Rows with a later event time wait until `takeDue` finds them due. */
  readonly now: number;
}

/**
 * An entity whose value may have changed, with its newest visible row or, in an aggregation view, its tiles. Both are
 * null if nothing is visible.
 */
export interface TouchedEntity {
  readonly view: ViewVersion;
  readonly key: EntityKey;
  readonly row: StoredRow | null;
  readonly tiles: TileSet | null;
}

/** How a point-in-time read selects rows of history. */
export interface PointInTimeOptions {
  /** True to see only events before the instant, and none at it. */
  readonly before?: boolean;
  /** True to see only events that had arrived by the instant: the value as it was known then. */
  readonly known?: boolean;
  /** True for a job, which can wait longer than a request. */
  readonly patient?: boolean;
}

/** The result of a commit. */
export interface CommitResult {
  /** How many events of the batch were new. */
  readonly written: number;
  readonly touched: readonly TouchedEntity[];
}

/** Stores history and answers point-in-time reads. */
export interface OfflineStore {
  /** Creates the tables of these views that do not exist yet. */
  prepare(views: readonly ViewVersion[]): Promise<void>;
  /**
   * Writes a batch. Throws DEFINITIONS_STALE if a view was filled at a later revision, because the batch has no rows
   * for it.
   */
  commit(batch: CommitBatch): Promise<CommitResult>;
  /**
   * Fills views of one source, which begin at `revision`, from the event log. Views that are already filled stay as
   * they are. Views whose engine has changed are handed over. Commits of the source wait meanwhile. Returns how many
   * events were read. Throws ENGINE_BUSY if results of another engine are not merged yet, for a view that returns from
   * it or for the source of a new view.
   */
  fill(request: FillRequest, fills: readonly ViewFill[], now: number): Promise<number>;
  /**
   * Reads history: returns for each key, in order, the row at `asOf` (milliseconds since 1970; one instant for all
   * keys, or one for each). Uses one statement for all keys. The caller applies TTLs.
   */
  valuesAt(
    view: ViewVersion,
    keys: readonly EntityKey[],
    asOf: number | readonly number[],
    options?: PointInTimeOptions,
  ): Promise<(StoredRow | null)[]>;
  /**
   * Returns for each key, in order, the tiles that windows at `now` or later may cover; null for an entity without a
   * visible event.
   */
  tilesAt(view: ViewVersion, keys: readonly EntityKey[], now: number): Promise<(TileSet | null)[]>;
  /**
   * Passes entities with rows that are due by `now` to `publish`. Their records are deleted when it has resolved.
   * Returns how many there were.
   */
  takeDue(
    views: readonly ViewVersion[],
    now: number,
    publish: (touched: readonly TouchedEntity[]) => Promise<void>,
  ): Promise<number>;
  /** Passes the events of a source to `take`, in the order of their arrival, in a read-only transaction. */
  readEvents(source: string, meaning: SourceMeaning, take: (table: RowTable) => Promise<void>): Promise<void>;
  /** Returns dead letters, newest first; of all sources if `source` is null. */
  deadLetters(source: string | null, limit: number): Promise<readonly DeadLetter[]>;
  /**
   * Marks dead letters as replayed, and passes those that had not been to `publish` within the same transaction.
   * Returns how many.
   */
  replayDeadLetters(
    ids: readonly string[],
    publish: (letters: readonly DeadLetter[]) => Promise<void>,
  ): Promise<number>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
