/**
 * Keeps a process at the newest revision of the registry.
 *
 * Invariants
 * 1. `current` moves only to higher revisions.
 * 2. After `refresh` resolved, `current` is at least the revision that the registry had when `refresh` was called.
 * 3. While the registry is down, `current` stays the same. When it is back, following continues.
 * 4. A revision with definitions of an unknown kind is never served: a start fails, and a running follower keeps `current`.
 */
import { DEFINITION_KINDS } from '../definition/definition.js';
import { FStoreError } from '../errors.js';
import type { Registry, RegistryState } from './registry.js';
import { createSnapshot, type Snapshot } from './snapshot.js';

/** How to follow a registry. */
export interface FollowerOptions {
  readonly registry: Registry;
  /** Milliseconds between two polls of the revision; default 1,000. */
  readonly pollInterval?: number;
  /** Called when following begins to fail, when the reason changes, and when it succeeds again. */
  readonly log?: (level: 'info' | 'warn' | 'error', message: string, fields: Record<string, unknown>) => void;
}

type SnapshotListener = (snapshot: Snapshot) => void | Promise<void>;

/** Throws DATA_TOO_NEW for a state that has definitions which only a newer FStore understands. */
function refuseUnknownKinds({ records }: RegistryState): void {
  const unknown = records.find(({ kind }) => !DEFINITION_KINDS.has(kind));
  if (!unknown) return;
  const message = `the registry holds the definition ${unknown.name} of kind ${unknown.kind}, which this FStore does not know`;
  throw new FStoreError('DATA_TOO_NEW', message);
}

/** Follows one registry. */
export class RegistryFollower {
  readonly #registry: Registry;
  readonly #pollInterval: number;
  readonly #log: NonNullable<FollowerOptions['log']>;
  readonly #listeners = new Set<SnapshotListener>();
  #current: Snapshot;
  /** The load in flight, or the last one. It never rejects. */
  #running: Promise<void> = Promise.resolve();
  /** The load that has not begun yet. */
  #next: Promise<Snapshot> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #unwatch: (() => Promise<void>) | null = null;
  #stopped = false;
  /** Code of what keeps this process from following, and the revision that it cannot read. */
  #failure: string | null = null;
  #refused: { readonly revision: number; readonly error: unknown } | null = null;

  private constructor(options: FollowerOptions, first: Snapshot) {
    this.#registry = options.registry;
    this.#pollInterval = options.pollInterval ?? 1_000;
    this.#log = options.log ?? (() => {});
    this.#current = first;
  }

  /** Loads the newest revision and follows from there. Throws REGISTRY_UNAVAILABLE, or DATA_TOO_NEW for unknown kinds. */
  static async start(options: FollowerOptions): Promise<RegistryFollower> {
    const first = await options.registry.load();
    refuseUnknownKinds(first);
    const follower = new RegistryFollower(options, createSnapshot(first));
    follower.#unwatch = await options.registry.watch(() => void follower.#refreshQuietly());
    follower.#schedule();
    return follower;
  }

  get current(): Snapshot {
    return this.#current;
  }

  /** The code of the error that keeps this process from following the registry; null while it follows. */
  get failure(): string | null {
    return this.#failure;
  }

  /**
   * Calls `listener` with every new snapshot, in order of revisions. `refresh` waits for the promise that it returns,
   * which must not reject. Returns a function to unsubscribe.
   */
  onChange(listener: SnapshotListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Catches up with the registry. Throws REGISTRY_UNAVAILABLE, or DATA_TOO_NEW for unknown kinds. */
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
    const revision = await this.#registry.revision();
    if (revision > this.#current.revision) {
      const snapshot = await this.#read(revision);
      if (snapshot.revision > this.#current.revision) {
        this.#current = snapshot;
        for (const listener of this.#listeners) await listener(snapshot);
      }
    }
    return this.#current;
  }

  /** Loads a revision once: one that cannot be read is refused with the same error until there is another one. */
  async #read(revision: number): Promise<Snapshot> {
    if (this.#refused?.revision === revision) throw this.#refused.error;
    const state = await this.#registry.load();
    try {
      refuseUnknownKinds(state);
      return createSnapshot(state, this.#current);
    } catch (error) {
      this.#refused = { revision: state.revision, error };
      throw error;
    }
  }

  async #refreshQuietly(): Promise<void> {
    if (this.#stopped) return;
    let failure: string | null = null;
    try {
      await this.refresh();
    } catch (error) {
      failure = error instanceof FStoreError ? error.code : 'INTERNAL';
      if (failure !== this.#failure && !this.#stopped) {
        const level = failure === 'REGISTRY_UNAVAILABLE' ? 'warn' : 'error';
        this.#log(level, 'the registry cannot be followed; this process serves the last known definitions', {
          code: failure,
          err: error,
        });
      }
    }
    if (failure === null && this.#failure !== null) {
      this.#log('info', 'the registry is followed again', { revision: this.#current.revision });
    }
    this.#failure = failure;
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#refreshQuietly().finally(() => this.#schedule()), this.#pollInterval);
    this.#timer.unref();
  }
}
