/**
 * The online store in the memory of one process: a map of limited size, which evicts the least recently used values.
 */
import type { OnlineEntry, OnlineStore } from './online-store.js';
import { isNewer } from './value-codec.js';

/** Settings of a MemoryOnlineStore. */
export interface MemoryOnlineStoreOptions {
  /** Maximum number of bytes of all keys and values together; 256 MiB by default. */
  readonly maxBytes?: number;
  readonly now?: () => number;
}

interface Kept {
  readonly value: Buffer;
  readonly expiresAt: number;
}

const ENTRY_OVERHEAD = 150;

/** Keeps values in memory, with time to live and eviction. */
export class MemoryOnlineStore implements OnlineStore {
  readonly #entries = new Map<string, Kept>();
  readonly #maxBytes: number;
  readonly #now: () => number;
  #bytes = 0;

  constructor({ maxBytes = 256 * 2 ** 20, now = Date.now }: MemoryOnlineStoreOptions = {}) {
    this.#maxBytes = maxBytes;
    this.#now = now;
  }

  async read(keys: readonly string[]): Promise<(Buffer | null)[]> {
    return keys.map((key) => {
      const kept = this.#find(key);
      if (!kept) return null;
      // A map iterates in the order of insertion, so an entry that was just used moves to the end.
      this.#entries.delete(key);
      this.#entries.set(key, kept);
      return kept.value;
    });
  }

  async write(entries: readonly OnlineEntry[]): Promise<void> {
    for (const { key, value, expiresIn } of entries) {
      const kept = this.#find(key);
      if (kept && !isNewer(value, kept.value)) continue;
      this.#remove(key);
      this.#entries.set(key, {
        value,
        expiresAt: expiresIn === null ? Number.POSITIVE_INFINITY : this.#now() + expiresIn,
      });
      this.#bytes += sizeOf(key, value);
    }
    for (const key of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#remove(key);
    }
  }

  async ping(): Promise<void> {}

  async close(): Promise<void> {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #find(key: string): Kept | undefined {
    const kept = this.#entries.get(key);
    if (!kept || kept.expiresAt > this.#now()) return kept;
    this.#remove(key);
    return undefined;
  }

  #remove(key: string): void {
    const kept = this.#entries.get(key);
    if (!kept) return;
    this.#entries.delete(key);
    this.#bytes -= sizeOf(key, kept.value);
  }
}

function sizeOf(key: string, value: Buffer): number {
  return key.length * 2 + value.length + ENTRY_OVERHEAD;
}
