/**
 * Notices applies through LISTEN, on a connection of its own.
 *
 * Boundary: a hint for RegistryFollower, which polls as well.
 * Invariants
 * 1. After `open` resolved, the listener is called for every later apply while the connection is open.
 * 2. After a lost connection it reconnects, without a limit of attempts. Then it calls the listener, because it may
 *    have missed applies.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

/** Channel of notifications that name the project of an apply. */
export const REGISTRY_CHANNEL = 'fstore_registry';
const CONNECT_TIMEOUT = 3_000;
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;

/** A watch of one project. */
export class PostgresRegistryWatch {
  readonly #url: string;
  readonly #project: string;
  readonly #listener: () => void;
  readonly #stop = new AbortController();
  #client: pg.Client | null = null;
  #running: Promise<void> = Promise.resolve();

  private constructor(url: string, project: string, listener: () => void) {
    this.#url = url;
    this.#project = project;
    this.#listener = listener;
  }

  /** Starts listening. Rejects with the driver's error if the first connection fails. */
  static async open(url: string, project: string, listener: () => void): Promise<PostgresRegistryWatch> {
    const watch = new PostgresRegistryWatch(url, project, listener);
    const lost = await watch.#connect();
    watch.#running = watch.#keepListening(lost);
    return watch;
  }

  /** Ends the watch. Afterwards the listener is not called. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#client?.end().catch(() => {});
    await this.#running;
  }

  /** Resolves when it listens, with a promise that resolves when the connection is lost. */
  async #connect(): Promise<{ readonly lost: Promise<void> }> {
    const client = new pg.Client({
      connectionString: this.#url,
      connectionTimeoutMillis: CONNECT_TIMEOUT,
      keepAlive: true,
      application_name: 'fstore registry watch',
    });
    // The driver emits `end` in every case. A listener for `error` is needed too, or the error would end the process.
    const lost = new Promise<void>((resolve) => client.once('end', resolve));
    client.on('error', () => void client.end().catch(() => {}));
    client.on('notification', ({ payload }) => {
      if (payload === this.#project && !this.#stop.signal.aborted) this.#listener();
    });
    this.#client = client;
    try {
      await client.connect();
      await client.query(`LISTEN ${REGISTRY_CHANNEL}`);
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
    return { lost };
  }

  async #keepListening(first: { readonly lost: Promise<void> }): Promise<void> {
    let connection = first;
    for (;;) {
      await connection.lost;
      for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
        await delay(pause, undefined, { signal: this.#stop.signal }).catch(() => {});
        if (this.#stop.signal.aborted) return;
        try {
          connection = await this.#connect();
          break;
        } catch {
          // The server is still unreachable. The follower polls meanwhile.
        }
      }
      if (this.#stop.signal.aborted) await this.#client?.end().catch(() => {});
      else this.#listener();
    }
  }
}
