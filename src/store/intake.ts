/**
 * Port: counters of what was written, and up to which position. Readers use connections of their own, apart from those
 * that serve.
 *
 * Invariants that every adapter holds (test/contract/intake.test.ts)
 * 1. Exactly the events in history are counted. A batch that is delivered again is not counted again.
 * 2. One call is one statement, however many names it is given. History itself is not read.
 */

/** Counters of events from one origin. */
export interface Intake {
  readonly events: number;
  /** Events that became dead letters. */
  readonly unusable: number;
  /** Greatest event time, in milliseconds since 1970; null if there is none. */
  readonly newest: number | null;
  /** When events were last written, in milliseconds since 1970. */
  readonly movedAt: number | null;
  /**
   * Events of about the last 60 seconds. The events of the minute before this one count in proportion to the part of it
   * that lies within them.
   */
  readonly perMinute: number;
}

/** Counters of what another engine has computed of a stream. */
export interface EngineIntake extends Intake {
  /** Events that the engine has computed and that are not merged yet. */
  readonly unmerged: number;
}

/** Reads the counters. */
export interface IntakeLedger {
  /** Returns the counters by consumer, without consumers that have written nothing. */
  ofConsumers(consumers: readonly string[]): Promise<ReadonlyMap<string, Intake>>;
  /** Returns the counters by stream. */
  ofEngines(streams: readonly string[]): Promise<ReadonlyMap<string, EngineIntake>>;
  /**
   * Returns, by history table, the first offset of each partition that another engine has not yet computed for the
   * view.
   */
  viewPositions(
    views: readonly { readonly table: string; readonly topic: string }[],
  ): Promise<ReadonlyMap<string, ReadonlyMap<number, bigint>>>;
  close(): Promise<void>;
}
