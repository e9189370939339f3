/**
 * Port: the newest packed value for each (view version, entity), answered in memory time.
 *
 * Invariants that every adapter holds (test/contract/online-store.test.ts)
 * 1. A write never replaces a newer value: `order` of what is stored never falls, whoever writes in whatever sequence.
 * 2. `read` answers in the order of its keys, null where there is nothing, in one round trip to each server.
 * 3. An entry is gone once its time to live has passed.
 */
export interface OnlineEntry {
  readonly key: string;
  /** A packed value (`value-codec.ts`); its first 16 bytes carry its place in the order of writes. */
  readonly value: Buffer;
  /** Milliseconds; null: until the store needs the room. */
  readonly expiresIn: number | null;
}

export interface OnlineStore {
  read(keys: readonly string[]): Promise<(Buffer | null)[]>;
  /** Stores each entry unless a newer or equal one is there. */
  write(entries: readonly OnlineEntry[]): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
