/** Statistics of PostgreSQL on executed statements and on the tables that they wrote. */
import pg from 'pg';

/** The cost of one statement. */
export interface StatementCost {
  readonly query: string;
  readonly calls: number;
  readonly meanMs: number;
  readonly totalMs: number;
  /** Share of the time of all statements. */
  readonly share: number;
  readonly rowsPerCall: number;
  readonly walKbPerCall: number;
}

/** The size and the writes of one table. */
export interface TableCost {
  readonly table: string;
  readonly rows: number;
  readonly megabytes: number;
  readonly inserted: number;
  readonly updated: number;
  /** Share of updates that needed no new index entry (HOT); null without updates. */
  readonly hotShare: number | null;
}

/** Reads the statistics of one database. */
export class PostgresCost {
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(url: string): Promise<PostgresCost> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return new PostgresCost(client);
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  /** Returns the settings that are necessary to interpret the figures. */
  async settings(): Promise<Record<string, string>> {
    const names = ['server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers'];
    const { rows } = await this.#client.query<{ name: string; setting: string }>(
      'SELECT name, current_setting(name) AS setting FROM pg_settings WHERE name = ANY($1)',
      [names],
    );
    return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
  }

  /** Resets the counters. Returns false if the server has not loaded pg_stat_statements. */
  async reset(): Promise<boolean> {
    try {
      await this.#client.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
      await this.#client.query(
        'SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)',
      );
      return true;
    } catch {
      return false;
    }
  }

  /** Returns the statements of this database that took the most time since `reset`. */
  async statements(limit: number): Promise<StatementCost[]> {
    const { rows } = await this.#client.query<StatementCost>(
      `SELECT regexp_replace(query, '\\s+', ' ', 'g') AS query, calls::int, total_exec_time / calls AS "meanMs",
         total_exec_time AS "totalMs", total_exec_time / sum(total_exec_time) OVER () AS share,
         rows::float8 / calls AS "rowsPerCall", (wal_bytes / calls / 1024)::float8 AS "walKbPerCall"
       FROM pg_stat_statements
       WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query NOT LIKE '%pg_stat%'
       ORDER BY total_exec_time DESC LIMIT $1`,
      [limit],
    );
    return rows;
  }

  async tables(): Promise<TableCost[]> {
    const { rows } = await this.#client.query<TableCost>(
      `SELECT relname AS table, n_live_tup::int AS rows, pg_total_relation_size(relid) / 1048576.0::float8 AS megabytes,
         n_tup_ins::int AS inserted, n_tup_upd::int AS updated,
         n_tup_hot_upd::float8 / nullif(n_tup_upd, 0) AS "hotShare"
       FROM pg_stat_user_tables WHERE n_tup_ins > 100 ORDER BY 3 DESC`,
    );
    return rows;
  }
}
