/**
 * Port: the newest packed value of each (view version, entity), read at the speed of memory.
 *
 * Invariants that every adapter holds (test/contract/online-store.test.ts)
 * 1. A write never replaces a newer value, whichever processes write in whichever order. The first 16 bytes of a value
 *    define what newer means.
 * 2. `read` answers in the order of its keys, null for a key without a value, in one round trip to each server.
 * 3. An entry disappears when its time to live has passed.
 */

/** A value to store. */
export interface OnlineEntry {
  readonly key: string;
  /** A packed value (`value-codec.ts`). Its first 16 bytes hold its position in the order of writes. */
  readonly value: Buffer;
  /** Time to live in milliseconds; null to keep the value until the store evicts it. */
  readonly expiresIn: number | null;
}

/** Stores packed values by key. */
export interface OnlineStore {
  /** Returns the value of each key, or null where there is none. */
  read(keys: readonly string[]): Promise<(Buffer | null)[]>;
  /** Stores each entry unless a newer or equal one exists. */
  write(entries: readonly OnlineEntry[]): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
