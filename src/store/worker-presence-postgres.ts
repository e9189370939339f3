/** Tells servers which worker processes are alive, whatever event bus they share: each worker refreshes a row. */
import type pg from 'pg';
import { createPool, reachable } from './connection-postgres.js';

/** Milliseconds between two signs of life of a worker. */
const INTERVAL = 5_000;
/** A worker without a sign of life for so long counts as dead. */
const SILENCE = '15 seconds';
/** Rows of workers that died long ago are deleted. */
const FORGET = '1 hour';

export interface WorkerPresenceOptions {
  readonly url: string;
  readonly project: string;
  readonly log: (level: 'warn', message: string, fields: Record<string, unknown>) => void;
}

/** The workers of a project. */
export class WorkerPresence {
  readonly #pool: pg.Pool;
  readonly #table: string;
  readonly #log: WorkerPresenceOptions['log'];
  #timer: NodeJS.Timeout | null = null;
  #beating: Promise<unknown> = Promise.resolve();
  #owner: string | null = null;
  #failing = false;

  constructor({ url, project, log }: WorkerPresenceOptions) {
    const onError = (error: Error): void =>
      log('warn', 'a connection to PostgreSQL was lost', { error: error.message });
    this.#pool = createPool({ url, size: 1, statementTimeout: 2_000, onError });
    this.#table = `"fstore_${project}".workers`;
    this.#log = log;
  }

  /** Announces this process as a worker until `close`. `owner` names it among all processes. Throws STORE_UNAVAILABLE. */
  async announce(owner: string): Promise<void> {
    this.#owner = owner;
    await this.#beat();
    this.#timer = setInterval(() => {
      this.#beating = this.#beat().then(
        () => {
          this.#failing = false;
        },
        (error: Error) => {
          if (!this.#failing) this.#log('warn', 'the worker cannot tell that it is alive', { error: error.message });
          this.#failing = true;
        },
      );
    }, INTERVAL);
  }

  /** Returns how many workers gave a sign of life within the last 15 seconds. Throws STORE_UNAVAILABLE. */
  async count(): Promise<number> {
    const query = `SELECT count(*)::int AS alive FROM ${this.#table} WHERE seen_at > now() - interval '${SILENCE}'`;
    const { rows } = await reachable(() => this.#pool.query<{ alive: number }>(query));
    return rows[0]?.alive ?? 0;
  }

  async close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    await this.#beating;
    if (this.#owner !== null) {
      const query = `DELETE FROM ${this.#table} WHERE owner = $1`;
      await this.#pool.query(query, [this.#owner]).catch(() => {});
    }
    await this.#pool.end();
  }

  async #beat(): Promise<void> {
    await reachable(() =>
      this.#pool.query(
        `WITH forgotten AS (DELETE FROM ${this.#table} WHERE seen_at < now() - interval '${FORGET}')
         INSERT INTO ${this.#table} (owner) VALUES ($1) ON CONFLICT (owner) DO UPDATE SET seen_at = now()`,
        [this.#owner],
      ),
    );
  }
}
