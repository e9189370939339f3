/**
 * Port: how much has been taken in, and up to where. Read apart from everything that serves.
 *
 * Invariants that every adapter holds (test/contract/intake.test.ts)
 * 1. What is counted is what is in history: a batch that comes again is not counted again.
 * 2. One call is one statement, however much is asked for; nothing is read of history itself.
 */

export interface Intake {
  readonly events: number;
  /** Events that became dead letters. */
  readonly unusable: number;
  /** Greatest event time, milliseconds since 1970; null: there is none. */
  readonly newest: number | null;
  /** When something was last taken in, milliseconds since 1970. */
  readonly movedAt: number | null;
  /** Events of the last 60 seconds; those of the minute before count for the part of it that lies within them. */
  readonly perMinute: number;
}

/** What another engine has made of a stream. */
export interface EngineIntake extends Intake {
  /** Events that it has computed and that are not merged yet. */
  readonly unmerged: number;
}

export interface IntakeLedger {
  /** By the name of the consumer; without those that have taken in nothing. */
  ofConsumers(consumers: readonly string[]): Promise<ReadonlyMap<string, Intake>>;
  /** By the name of the stream. */
  ofEngines(streams: readonly string[]): Promise<ReadonlyMap<string, EngineIntake>>;
  /** For each view, by table, the first offset of each partition of its topic that another engine has not computed. */
  viewPositions(
    views: readonly { readonly table: string; readonly topic: string }[],
  ): Promise<ReadonlyMap<string, ReadonlyMap<number, bigint>>>;
  close(): Promise<void>;
}
