/**
 * Keeps a process at the newest revision of the registry.
 *
 * Invariants
 * 1. `current` moves only to higher revisions.
 * 2. After `refresh` resolved, `current` is at least the revision that the registry had when `refresh` was called.
 * 3. While the registry is down, `current` stays the same. When it is back, following continues.
 */
import type { Registry } from './registry.js';
import { createSnapshot, type Snapshot } from './snapshot.js';

/** How to follow a registry. */
export interface FollowerOptions {
  readonly registry: Registry;
  /** Milliseconds between two polls of the revision; default 1,000. */
  readonly pollInterval?: number;
  readonly log?: (message: string, error: unknown) => void;
}

type SnapshotListener = (snapshot: Snapshot) => void | Promise<void>;

/** Follows one registry. */
export class RegistryFollower {
  readonly #registry: Registry;
  readonly #pollInterval: number;
  readonly #log: (message: string, error: unknown) => void;
  readonly #listeners = new Set<SnapshotListener>();
  #current: Snapshot;
  /** The load in flight, or the last one. It never rejects. */
  #running: Promise<void> = Promise.resolve();
  /** The load that has not begun yet. */
  #next: Promise<Snapshot> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #unwatch: (() => Promise<void>) | null = null;
  #stopped = false;

  private constructor(options: FollowerOptions, first: Snapshot) {
    this.#registry = options.registry;
    this.#pollInterval = options.pollInterval ?? 1_000;
    this.#log = options.log ?? (() => {});
    this.#current = first;
  }

  /** Loads the newest revision and follows from there. Throws REGISTRY_UNAVAILABLE if the first load fails. */
  static async start(options: FollowerOptions): Promise<RegistryFollower> {
    const follower = new RegistryFollower(options, createSnapshot(await options.registry.load()));
    follower.#unwatch = await options.registry.watch(() => void follower.#refreshQuietly());
    follower.#schedule();
    return follower;
  }

  get current(): Snapshot {
    return this.#current;
  }

  /**
   * Calls `listener` with every new snapshot, in order of revisions. `refresh` waits for the promise that it returns,
   * which must not reject. Returns a function to unsubscribe.
   */
  onChange(listener: SnapshotListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Loads the newest revision. Throws REGISTRY_UNAVAILABLE. */
  refresh(): Promise<Snapshot> {
    // A load in flight may have begun before the change that the caller expects. So another load follows it, which all
    // waiting callers share.
    if (!this.#next) {
      const after = this.#running.then(() => {
        this.#next = null;
        return this.#load();
      });
      this.#next = after;
      this.#running = after.then(
        () => {},
        () => {},
      );
    }
    return this.#next;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#unwatch?.();
    await this.#running;
  }

  async #load(): Promise<Snapshot> {
    if ((await this.#registry.revision()) > this.#current.revision) {
      const snapshot = createSnapshot(await this.#registry.load(), this.#current);
      if (snapshot.revision > this.#current.revision) {
        this.#current = snapshot;
        for (const listener of this.#listeners) await listener(snapshot);
      }
    }
    return this.#current;
  }

  async #refreshQuietly(): Promise<void> {
    if (this.#stopped) return;
    try {
      await this.refresh();
    } catch (error) {
      this.#log('the registry cannot be followed; serving the last known definitions', error);
    }
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#refreshQuietly().finally(() => this.#schedule()), this.#pollInterval);
    this.#timer.unref();
  }
}
