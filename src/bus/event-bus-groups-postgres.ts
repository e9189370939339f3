/**
 * Assigns the partitions of a topic to the consumers of a group, across processes.
 *
 * A consumer holds a *slot* of its group and topic, and a *lease* on each partition that it reads. Both are advisory
 * locks of its process's session. All consumers see which slots are held, so all compute the same assignment:
 * partition p belongs to the consumer with the (p mod n)-th of the n held slots.
 *
 * Invariants
 * 1. A partition has at most one leaseholder. The lock ensures that, even while consumers see different slots. But a
 *    session may take its own lock twice, so within a process `#locked` ensures it.
 * 2. A lease ends with the connection that holds it. The server frees the locks of a process that died.
 * 3. A position moves only under a valid lease, and only from the value that its holder last knew.
 * 4. A lease is released after its reader has ended, and taken after the previous reader in this process has ended.
 */
import { createHash } from 'node:crypto';
import type { BusLog } from './event-bus-log.js';
import type { PostgresBusSession, SessionConnection } from './event-bus-session-postgres.js';
import { GROUPS_CHANNEL } from './event-bus-session-postgres.js';

const BALANCE_INTERVAL = 1_000;

/** The right to read one partition for a group, from offset `position` on. */
export interface Lease {
  readonly partition: number;
  readonly position: bigint;
  readonly holds: () => boolean;
  /** Moves the position. Returns false if the lease was lost; the position is then unknown. */
  readonly commit: (from: bigint, to: bigint) => Promise<boolean>;
}

/** Reads a leased partition until it is stopped. `done` resolves after it has ended, and never rejects. */
export interface LeasedReader {
  readonly done: Promise<void>;
  stop(): void;
}

/** A consumer of a group, and the function that reads a partition for it. */
export interface GroupMember {
  readonly group: string;
  readonly topic: string;
  readonly partitions: number;
  readonly read: (lease: Lease) => LeasedReader;
}

interface Membership extends GroupMember {
  readonly slotKeys: readonly bigint[];
  readonly readers: Map<number, { readonly reader: LeasedReader; readonly released: Promise<void> }>;
  slot: { readonly index: number; readonly connection: SessionConnection } | null;
  leaving: boolean;
}

function lockKey(...parts: readonly (string | number)[]): bigint {
  return createHash('sha256').update(JSON.stringify(parts)).digest().readBigInt64BE();
}

/** The consumers of this process in all groups. */
export class PostgresConsumerGroups {
  readonly #session: PostgresBusSession;
  readonly #log: BusLog;
  readonly #members = new Set<Membership>();
  /** Locks that this process holds, each with the connection that took it. */
  readonly #locked = new Map<bigint, SessionConnection>();
  #balancing: Promise<void> = Promise.resolve();
  #again = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(session: PostgresBusSession, log: BusLog) {
    this.#session = session;
    this.#log = log;
  }

  /** Joins a group, which assigns partitions to the member. Returns a function to leave. Rejects without a session. */
  async join(member: GroupMember): Promise<() => Promise<void>> {
    const { group, topic, partitions } = member;
    const connection = this.#session.connection;
    if (!connection) throw new Error('the session of the event bus is lost');
    // With these rows, retention keeps messages that the group has not read.
    await connection.query(
      `INSERT INTO fstore_bus.positions (group_id, topic, partition, next_offset)
       SELECT $1, $2, p, 0 FROM generate_series(0, $3::int - 1) p ON CONFLICT DO NOTHING`,
      [group, topic, partitions],
    );
    const slotKeys = Array.from({ length: partitions }, (_, index) => lockKey('slot', group, topic, index));
    const membership: Membership = { ...member, slotKeys, readers: new Map(), slot: null, leaving: false };
    this.#members.add(membership);
    await this.balance();
    this.#timer ??= setInterval(() => void this.balance(), BALANCE_INTERVAL).unref();
    return () => this.#leave(membership);
  }

  /** Takes and releases partitions according to the held slots. Resolves after a pass that began after the call. */
  balance(): Promise<void> {
    if (this.#again) return this.#balancing;
    this.#again = true;
    this.#balancing = this.#balancing.then(async () => {
      this.#again = false;
      const connection = this.#session.connection;
      if (!connection || this.#members.size === 0) return;
      try {
        const held = await this.#heldSlots(connection);
        for (const member of this.#members) await this.#settle(connection, member, held);
      } catch (error) {
        this.#log('warn', 'the partitions of the event bus could not be shared out', {
          error: (error as Error).message,
        });
      }
    });
    return this.#balancing;
  }

  /** Drops every lease, because the connection that held them is lost. */
  lost(): void {
    this.#locked.clear();
    for (const member of this.#members) for (const { reader } of member.readers.values()) reader.stop();
  }

  close(): void {
    if (this.#timer) clearInterval(this.#timer);
  }

  async #leave(member: Membership): Promise<void> {
    member.leaving = true;
    this.#members.delete(member);
    await this.#balancing;
    for (const { reader } of member.readers.values()) reader.stop();
    await Promise.all([...member.readers.values()].map(({ released }) => released));
    if (member.slot) await this.#unlock(member.slot.connection, member.slotKeys[member.slot.index]!);
  }

  async #heldSlots(connection: SessionConnection): Promise<Set<bigint>> {
    const keys = [...this.#members].flatMap((member) => member.slotKeys.map(String));
    const { rows } = await connection.query<{ key: string }>(
      `SELECT key FROM (
         SELECT (classid::bigint << 32) | objid::bigint AS key FROM pg_locks
         WHERE locktype = 'advisory' AND objsubid = 1 AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       ) l WHERE key = ANY ($1::bigint[])`,
      [keys],
    );
    return new Set(rows.map((row) => BigInt(row.key)));
  }

  async #settle(connection: SessionConnection, member: Membership, held: Set<bigint>): Promise<void> {
    if (member.leaving) return;
    if (member.slot?.connection !== connection) await this.#takeSlot(connection, member, held);
    const slots = member.slotKeys.flatMap((key, index) => (held.has(key) ? [index] : []));
    const rank = member.slot ? slots.indexOf(member.slot.index) : -1;
    const isMine = (partition: number): boolean => partition % slots.length === rank;
    for (const [partition, { reader }] of member.readers) if (!isMine(partition)) reader.stop();
    const wanted = Array.from({ length: member.partitions }, (_, partition) => partition).filter(
      (partition) => isMine(partition) && !member.readers.has(partition),
    );
    if (wanted.length > 0) await this.#takePartitions(connection, member, wanted);
  }

  async #takeSlot(connection: SessionConnection, member: Membership, held: Set<bigint>): Promise<void> {
    member.slot = null;
    for (const [index, key] of member.slotKeys.entries()) {
      if (held.has(key)) continue;
      held.add(key);
      if ((await this.#lock(connection, [key])).length === 0) continue;
      member.slot = { index, connection };
      await connection.query('SELECT pg_notify($1, $2)', [GROUPS_CHANNEL, '']);
      return;
    }
  }

  async #takePartitions(connection: SessionConnection, member: Membership, wanted: readonly number[]): Promise<void> {
    const { group, topic } = member;
    const keys = new Map(wanted.map((partition) => [lockKey('partition', group, topic, partition), partition]));
    const locked = await this.#lock(connection, [...keys.keys()]);
    if (locked.length === 0) return;
    // Read after locking, so that the positions include everything that the previous holder committed.
    const { rows } = await connection.query<{ partition: number; next_offset: string }>(
      'SELECT partition, next_offset FROM fstore_bus.positions WHERE group_id = $1 AND topic = $2',
      [group, topic],
    );
    const positions = new Map(rows.map((row) => [row.partition, BigInt(row.next_offset)]));
    for (const key of locked) this.#read(connection, member, key, keys.get(key)!, positions);
  }

  #read(
    connection: SessionConnection,
    member: Membership,
    key: bigint,
    partition: number,
    positions: ReadonlyMap<number, bigint>,
  ): void {
    const { group, topic } = member;
    const holds = (): boolean => connection.alive && this.#locked.get(key) === connection;
    const commit = async (from: bigint, to: bigint): Promise<boolean> => {
      if (!holds()) return false;
      try {
        const { rowCount } = await connection.query(
          `UPDATE fstore_bus.positions SET next_offset = $5
           WHERE group_id = $1 AND topic = $2 AND partition = $3 AND next_offset = $4`,
          [group, topic, partition, `${from}`, `${to}`],
        );
        return rowCount === 1;
      } catch (error) {
        this.#log('warn', 'a position of the event bus was not kept', { topic, error: (error as Error).message });
        return false;
      }
    };
    const reader = member.read({ partition, position: positions.get(partition) ?? 0n, holds, commit });
    const released = reader.done.then(async () => {
      await this.#unlock(connection, key);
      member.readers.delete(partition);
      if (!member.leaving) void this.balance();
    });
    member.readers.set(partition, { reader, released });
  }

  /** Takes those locks that are free, and returns them. */
  async #lock(connection: SessionConnection, keys: readonly bigint[]): Promise<bigint[]> {
    const free = keys.filter((key) => !this.#locked.has(key));
    if (free.length === 0) return [];
    const { rows } = await connection.query<{ key: string }>(
      `SELECT key FROM (SELECT key, pg_try_advisory_lock(key) AS locked FROM unnest($1::bigint[]) AS k (key)) l
       WHERE locked`,
      [free.map(String)],
    );
    const locked = rows.map((row) => BigInt(row.key));
    for (const key of locked) if (connection.alive) this.#locked.set(key, connection);
    return locked;
  }

  async #unlock(connection: SessionConnection, key: bigint): Promise<void> {
    if (this.#locked.get(key) !== connection) return;
    try {
      const sql = 'SELECT pg_advisory_unlock($1), pg_notify($2, $3)';
      await connection.query(sql, [`${key}`, GROUPS_CHANNEL, '']);
    } catch {
      // The connection is lost, and its locks with it.
    }
    if (this.#locked.get(key) === connection) this.#locked.delete(key);
  }
}
