/**
 * Hears of applies by LISTEN, on a connection of its own.
 *
 * Boundary: a hint for RegistryFollower, which also polls.
 * Invariants
 * 1. Once `open` resolved, the listener hears of every later apply while the connection lives.
 * 2. After a lost connection it listens again, for as long as it takes, and calls the listener: it may have missed some.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

export const REGISTRY_CHANNEL = 'fstore_registry';
const CONNECT_TIMEOUT = 3_000;
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;

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

  /** Starts listening. Rejects, with the driver's error, when the first connection fails. */
  static async open(url: string, project: string, listener: () => void): Promise<PostgresRegistryWatch> {
    const watch = new PostgresRegistryWatch(url, project, listener);
    const lost = await watch.#connect();
    watch.#running = watch.#keepListening(lost);
    return watch;
  }

  /** Ends the watch; afterwards the listener is not called any more. */
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
    // Both come: `error` for what went wrong, without which the process would crash, and `end` in every case.
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
          // Not back yet; meanwhile whoever watches polls.
        }
      }
      if (this.#stop.signal.aborted) await this.#client?.end().catch(() => {});
      else this.#listener();
    }
  }
}
