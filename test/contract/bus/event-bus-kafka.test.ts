/** What the event bus on Kafka promises beyond the port: long handlers, followers that are assigned anew, tombstones. */
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import type { BusMessage, EventBus } from '../../../src/bus/event-bus.js';
import { connectKafkaBus } from '../../../src/bus/event-bus-kafka.js';
import { eventually } from '../../harness/eventually.js';
import { testServers } from '../../harness/test-servers.js';
import { Recorder } from './recorder.js';

const numbered = (count: number, prefix = ''): BusMessage[] =>
  Array.from({ length: count }, (_, index) => ({ key: `k${index % 20}`, value: Buffer.from(`${prefix}${index}`) }));

describe('event bus on Kafka, beyond the port', () => {
  const kafka = new Kafka({ brokers: testServers().kafkaBrokers, logLevel: logLevel.NOTHING });
  let admin: Admin;
  let topic: string;
  let bus: EventBus;

  beforeAll(async () => {
    admin = kafka.admin();
    await admin.connect();
  });
  beforeEach(async () => {
    topic = `t${randomBytes(5).toString('hex')}`;
    bus = await connectKafkaBus({ brokers: testServers().kafkaBrokers });
    await bus.ensureTopics([topic]);
  });
  afterEach(async () => {
    await bus?.close();
  });
  afterAll(async () => {
    await admin?.disconnect();
  });

  /** The group of the one follower of this test's topic. */
  const followerGroup = async (): Promise<string> => {
    const { groups } = await admin.listGroups();
    const followers = groups.map(({ groupId }) => groupId).filter((id) => id.startsWith('fstore.follower.'));
    const described = await admin.describeGroups(followers);
    const mine = described.groups.find(({ members }) =>
      members.some(({ memberAssignment }) => memberAssignment.includes(topic)),
    );
    if (!mine) throw new Error('the group of the follower is not there');
    return mine.groupId;
  };

  test('a follower whose group is assigned anew, more than once, misses nothing and repeats nothing', async () => {
    const follower = new Recorder();
    await bus.follow(topic, (batch) => follower.take(batch));
    const expected: string[] = [];
    const publish = async (prefix: string): Promise<void> => {
      await bus.publish(topic, numbered(100, prefix));
      expected.push(...numbered(100, prefix).map(({ value }) => value.toString()));
    };
    await publish('alone ');
    for (const round of [1, 2]) {
      // It takes half of the partitions, and with them messages that the follower has to read later.
      const intruder = kafka.consumer({ groupId: await followerGroup(), maxWaitTimeInMs: 100, heartbeatInterval: 500 });
      const joined = new Promise((resolve) => intruder.on(intruder.events.GROUP_JOIN, resolve));
      await intruder.connect();
      await intruder.subscribe({ topics: [topic] });
      await intruder.run({ autoCommit: false, eachBatch: async () => {} });
      await joined;
      await publish(`${round} together `);
      await intruder.disconnect();
      await publish(`${round} alone again `);
    }
    await eventually(() => expect(new Set(follower.values).size).toBe(500), { timeoutMs: 30_000 });
    expect(follower.values).toHaveLength(500);
    expect([...follower.values].sort()).toEqual([...expected].sort());
  });

  test('a handler may take longer than a session lasts: the partition stays, and its batch is handled once', async () => {
    const begun: string[] = [];
    let ended = 0;
    await bus.publish(topic, [{ key: 'k', value: Buffer.from('slow') }]);
    await bus.consume(topic, topic, async ({ messages }) => {
      begun.push(...messages.map(({ value }) => value.toString()));
      if (begun.length === 1) await new Promise((resolve) => setTimeout(resolve, 13_000));
      ended += 1;
    });
    await eventually(() => expect(ended).toBe(1), { timeoutMs: 30_000 });
    await bus.publish(topic, [{ key: 'k', value: Buffer.from('next') }]);
    await eventually(() => expect(begun).toEqual(['slow', 'next']));
  });

  test('a look at the newest messages leaves no group behind, and ends where a transaction has left a mark', async () => {
    const producer = kafka.producer({
      transactionalId: `${topic}.transaction`,
      maxInFlightRequests: 1,
      idempotent: true,
    });
    await producer.connect();
    for (const value of ['one', 'two']) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: [{ key: 'k', value }] });
      await transaction.commit();
    }
    await producer.disconnect();
    const found = await bus.peek(topic, 100);
    expect(found?.map(({ value }) => value.toString())).toEqual(['one', 'two']);
    const { groups } = await admin.listGroups();
    expect(groups.filter(({ groupId }) => groupId.startsWith('fstore.peek.'))).toEqual([]);
  }, 40_000);

  test('a tombstone arrives as an empty value, and the last of equal headers counts', async () => {
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({
      topic,
      messages: [{ key: 'gone', value: null, headers: { h: ['1', '2'], b: Buffer.from('ü') } }],
    });
    await producer.disconnect();
    const recorder = new Recorder();
    await bus.consume(topic, topic, recorder.handler);
    await eventually(() => expect(recorder.batches).toHaveLength(1));
    const [message] = recorder.batches[0]!.messages;
    expect(message).toEqual({ offset: 0n, key: 'gone', value: Buffer.alloc(0), headers: { h: '2', b: 'ü' } });
  });

  test('a key goes to the partition that clients of other languages choose for it', async () => {
    // What the Java client's own murmur2 says for four partitions.
    const placed = { user_1: 3, user_2: 2, a: 0, 'merchant|4': 0, ü: 2 };
    await bus.publish(
      topic,
      Object.keys(placed).map((key) => ({ key, value: Buffer.from(key) })),
    );
    const recorder = new Recorder();
    await bus.consume(topic, topic, recorder.handler);
    await eventually(() => expect(recorder.values).toHaveLength(5));
    const found = Object.fromEntries(Object.keys(placed).map((key) => [key, [...recorder.partitionsOf(key)]]));
    expect(found).toEqual(Object.fromEntries(Object.entries(placed).map(([key, partition]) => [key, [partition]])));
  });
});
