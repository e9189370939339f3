/** What the event bus in PostgreSQL promises beyond the port: fencing, reconnection, retention, and that idling is cheap. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import type { BusMessage, EventBus } from '../../../src/bus/event-bus.js';
import { connectPostgresBus } from '../../../src/bus/event-bus-postgres.js';
import { eventually } from '../../harness/eventually.js';
import { createFaultProxy } from '../../harness/fault-proxy.js';
import { createTestDatabase, type TestDatabase } from '../../harness/test-servers.js';
import { Recorder } from './recorder.js';

const text = (key: string, value: string): BusMessage => ({ key, value: Buffer.from(value) });
const numbered = (count: number, prefix = ''): BusMessage[] =>
  Array.from({ length: count }, (_, index) => text(`k${index % 10}`, `${prefix}${index}`));

describe('event bus on PostgreSQL, beyond the port', () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  let topic: string;
  let topics = 0;
  const opened: EventBus[] = [];

  const connect = async (options: { url?: string; partitions?: number; retentionMs?: number } = {}) => {
    const bus = await connectPostgresBus({ url: database.url, ...options });
    opened.push(bus);
    await bus.ensureTopics([topic]);
    return bus;
  };
  const positions = async (): Promise<Record<string, string>> => {
    const sql = 'SELECT group_id, sum(next_offset) AS read FROM fstore_bus.positions WHERE topic = $1 GROUP BY 1';
    const { rows } = await pool.query<{ group_id: string; read: string }>(sql, [topic]);
    return Object.fromEntries(rows.map((row) => [row.group_id, row.read]));
  };
  const terminateSessions = async (): Promise<void> => {
    await pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'fstore bus session'`,
    );
  };

  beforeAll(async () => {
    database = await createTestDatabase();
    pool = new pg.Pool({ connectionString: database.url, max: 2 });
    pool.on('error', () => {});
  });
  beforeEach(() => {
    topics += 1;
    topic = `topic_${topics}`;
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((bus) => bus.close()));
  });
  afterAll(async () => {
    await pool?.end();
    await database?.drop();
  });

  test('the result of a handler whose lease was lost does not move the position', async () => {
    const gates: (() => void)[] = [];
    const begun: bigint[] = [];
    const handler = async ({ messages }: { messages: readonly { offset: bigint }[] }): Promise<void> => {
      begun.push(messages[0]!.offset);
      await new Promise<void>((resolve) => gates.push(resolve));
    };
    const bus = await connect({ partitions: 1 });
    await bus.publish(topic, [text('k', 'only')]);
    await bus.consume('group', topic, handler);
    await eventually(() => expect(begun).toEqual([0n]));
    await terminateSessions();
    const other = await connect();
    await other.consume('group', topic, handler);
    gates[0]!();
    await eventually(() => expect(begun).toEqual([0n, 0n]));
    expect(await positions()).toEqual({ group: '0' });
    gates[1]!();
    await eventually(async () => expect(await positions()).toEqual({ group: '1' }));
  });

  test('a backend that is ended hands its partitions to the others, and no message is skipped', async () => {
    const recorder = new Recorder();
    for (let count = 0; count < 3; count += 1) await (await connect()).consume('group', topic, recorder.handler);
    const publisher = await connect();
    for (let round = 0; round < 10; round += 1) {
      await publisher.publish(topic, numbered(50, `${round}:`));
      if (round % 3 === 1) await terminateSessions();
    }
    await eventually(() => expect(new Set(recorder.values).size).toBe(500));
    await eventually(async () => expect(await positions()).toEqual({ group: '500' }));
  });

  test('a position that was set back by hand is found out, and read again from there', async () => {
    const recorder = new Recorder();
    const bus = await connect({ partitions: 1 });
    await bus.consume('group', topic, recorder.handler);
    await bus.publish(topic, numbered(10));
    await eventually(async () => expect(await positions()).toEqual({ group: '10' }));
    await pool.query('UPDATE fstore_bus.positions SET next_offset = 0 WHERE topic = $1', [topic]);
    await bus.publish(topic, [text('k', 'last')]);
    await eventually(() => expect(recorder.values).toHaveLength(22));
    await eventually(async () => expect(await positions()).toEqual({ group: '11' }));
    const first = numbered(10).map(({ value }) => value.toString());
    expect(recorder.values).toEqual([...first, 'last', ...first, 'last']);
  });

  test('a server that goes away refuses what is published, and all goes on when it is back', async () => {
    const { hostname, port } = new URL(database.url);
    const proxy = await createFaultProxy({ targetHost: hostname, targetPort: Number(port) });
    try {
      const url = new URL(database.url);
      url.port = String(proxy.port);
      const direct = await connect();
      const bus = await connect({ url: url.href });
      const [consumed, followed] = [new Recorder(), new Recorder()];
      await bus.consume('group', topic, consumed.handler);
      await bus.follow(topic, (batch) => followed.take(batch));
      await bus.publish(topic, numbered(20, 'before '));
      await eventually(() => expect(new Set(consumed.values).size).toBe(20));
      await proxy.cut();
      const refused = { code: 'BUS_UNAVAILABLE', cause: expect.anything() };
      await expect(bus.publish(topic, [text('k', 'refused')])).rejects.toMatchObject(refused);
      await expect(bus.ping()).rejects.toMatchObject(refused);
      await expect(bus.consume('another', topic, async () => {})).rejects.toMatchObject({ code: 'BUS_UNAVAILABLE' });
      await direct.publish(topic, numbered(20, 'meanwhile '));
      await proxy.heal();
      await eventually(() => bus.publish(topic, numbered(20, 'after ')));
      await eventually(() => expect(new Set(consumed.values).size).toBe(60));
      await eventually(() => expect(followed.values.length).toBe(60));
      expect(new Set(followed.values).size).toBe(60);
      await eventually(async () => expect((await positions()).group).toBe('60'));
    } finally {
      await Promise.all(opened.splice(0).map((bus) => bus.close()));
      await proxy.close();
    }
  });

  test('old messages go when every group has read them, and offsets grow on', async () => {
    const stored = async (name = topic): Promise<number> => {
      const sql = 'SELECT count(*)::int AS stored FROM fstore_bus.messages WHERE topic = $1';
      return (await pool.query<{ stored: number }>(sql, [name])).rows[0]!.stored;
    };
    const bus = await connect({ partitions: 1, retentionMs: 300 });
    const [quick, slow] = [new Recorder(), new Recorder()];
    let blocked = true;
    await bus.publish(topic, numbered(10));
    await bus.consume('quick', topic, quick.handler);
    await bus.consume('slow', topic, async (batch) => {
      if (blocked) throw new Error('a failure that the test wants');
      await slow.handler(batch);
    });
    await eventually(async () => expect((await positions()).quick).toBe('10'));
    // What nobody reads goes by its age alone; two of them, one after the other, tell that a whole sweep has passed.
    for (const sign of ['first', 'second']) {
      const other = `${topic}_${sign}`;
      await bus.ensureTopics([other]);
      await bus.publish(other, [text('k', sign)]);
      await eventually(async () => expect(await stored(other)).toBe(0));
    }
    expect(await stored()).toBe(10);
    blocked = false;
    await eventually(async () => expect(await stored()).toBe(0));
    expect(slow.values).toHaveLength(10);
    await bus.publish(topic, [text('k', 'later')]);
    await eventually(() => expect(quick.batches.at(-1)?.messages.at(-1)?.offset).toBe(10n));
    await eventually(async () => expect(await positions()).toEqual({ quick: '11', slow: '11' }));
  });
});
