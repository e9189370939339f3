/**
 * Reads prepared answers from Redis. All keys that are requested in one turn of the event loop are read by one MGET.
 */
import { Redis } from 'ioredis';

interface Waiting {
  readonly keys: readonly string[];
  readonly resolve: (found: (Buffer | null)[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Returns the key of a view's answer for an entity. */
export function fragmentKey(view: string, id: string): string {
  return `${view}:${id}`;
}

/** Reads answers of views from Redis. */
export class FragmentStore {
  readonly #redis: Redis;
  #waiting: Waiting[] = [];

  constructor(url: string) {
    this.#redis = new Redis(url);
  }

  /** Returns the answer of each key, in order; null where there is none. */
  read(keys: readonly string[]): Promise<(Buffer | null)[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ keys, resolve, reject });
      if (this.#waiting.length === 1) setImmediate(() => void this.#flush());
    });
  }

  async #flush(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    try {
      const found = await this.#redis.mgetBuffer(
        waiting.length === 1 ? [...waiting[0]!.keys] : waiting.flatMap(({ keys }) => keys),
      );
      if (waiting.length === 1) return waiting[0]!.resolve(found);
      let at = 0;
      for (const { keys, resolve } of waiting) {
        resolve(found.slice(at, at + keys.length));
        at += keys.length;
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}
