/** The invariants of the event bus port, held by every adapter on a real server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { BusMessage, EventBus, ReceivedBatch } from '../../src/bus/event-bus.js';
import { eventually } from '../harness/eventually.js';
import { type BusPlatform, busPlatforms, connectBus } from './bus/bus-platforms.js';
import { Recorder } from './bus/recorder.js';

const DOOMED_CONSUMER = fileURLToPath(new URL('./bus/doomed-consumer.ts', import.meta.url));

const text = (key: string | null, value: string): BusMessage => ({ key, value: Buffer.from(value) });
const numbered = (count: number, keys: number, prefix = ''): BusMessage[] =>
  Array.from({ length: count }, (_, index) => text(`k${index % keys}`, `${prefix}${index}`));
const valuesOf = (messages: readonly BusMessage[]): string[] => messages.map(({ value }) => value.toString());
const unique = (values: readonly string[]): string[] => [...new Set(values)].sort();

describe.each(busPlatforms)('event bus on $name', ({ create }) => {
  let platform: BusPlatform;
  let topic: string;
  let bus: EventBus;
  const opened: EventBus[] = [];
  const children: ChildProcess[] = [];

  const connect = async (partitions = 4): Promise<EventBus> => {
    const connected = await connectBus(platform.address, { partitions });
    opened.push(connected);
    return connected;
  };

  beforeAll(async () => {
    platform = await create();
  });
  beforeEach(async () => {
    topic = `t${randomBytes(5).toString('hex')}`;
    bus = await connect();
    await bus.ensureTopics([topic]);
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await Promise.all(opened.splice(0).map((one) => one.close()));
  });
  afterAll(async () => {
    await platform?.drop();
  });

  /** What a new group finds in the topic, once there are so many messages. */
  const readAll = async (count: number): Promise<Recorder> => {
    const recorder = new Recorder();
    const subscription = await bus.consume(
      `${topic}.reader.${randomBytes(3).toString('hex')}`,
      topic,
      recorder.handler,
    );
    await eventually(() => expect(recorder.values.length).toBeGreaterThanOrEqual(count));
    await subscription.stop();
    expect(recorder.violations).toEqual([]);
    return recorder;
  };

  describe('1. publish resolves after the messages are durable, in their order; equal keys, equal partition', () => {
    test('messages with one key come from one partition in their order, whoever published them', async () => {
      const other = await connect();
      for (let round = 0; round < 5; round += 1) {
        await bus.publish(topic, numbered(40, 8, `${round}a`));
        await other.publish(topic, numbered(40, 8, `${round}b`));
      }
      const { batches } = await readAll(400);
      const messages = batches.flatMap((batch) =>
        batch.messages.map((one) => ({ ...one, partition: batch.partition })),
      );
      for (let key = 0; key < 8; key += 1) {
        const mine = messages.filter((one) => one.key === `k${key}`);
        const expected = Array.from({ length: 5 }, (_, round) =>
          ['a', 'b'].flatMap((who) => Array.from({ length: 5 }, (_, index) => `${round}${who}${key + index * 8}`)),
        );
        expect(mine.map(({ value }) => value.toString())).toEqual(expected.flat());
        expect(new Set(mine.map(({ partition }) => partition)).size).toBe(1);
      }
      expect(new Set(messages.map(({ partition }) => partition)).size).toBeGreaterThan(1);
    });

    test('publishers at once lose nothing, and each keeps its order', async () => {
      const publishers = [bus, await connect(), await connect()];
      await Promise.all(
        Array.from({ length: 30 }, async (_, who) => {
          for (let turn = 0; turn < 5; turn += 1) {
            const messages = Array.from({ length: 4 }, (_, index) => text('shared', `${who}:${turn * 4 + index}`));
            await publishers[who % 3]!.publish(topic, messages);
          }
        }),
      );
      const { values } = await readAll(600);
      expect(values).toHaveLength(600);
      for (let who = 0; who < 30; who += 1) {
        const mine = values.filter((value) => value.startsWith(`${who}:`));
        expect(mine).toEqual(Array.from({ length: 20 }, (_, index) => `${who}:${index}`));
      }
    });

    test('keys, headers and values arrive as they were sent, of half a megabyte too', async () => {
      const large = randomBytes(500_000);
      const messages: BusMessage[] = [
        { key: 'a', value: large, headers: { view: 'v@1', 'odd name': 'ünïcödé 🦊 "x" \\ \u0000' } },
        { key: 'nul \u0000 and {"braces"}, \\N', value: Buffer.from([0, 255, 10, 13]) },
        { key: null, value: Buffer.alloc(0), headers: { empty: '' } },
        { key: '', value: Buffer.from('empty key') },
        ...Array.from({ length: 5 }, (_, index) => ({ key: `large ${index}`, value: large })),
      ];
      await bus.publish(topic, messages);
      const { batches } = await readAll(messages.length);
      const received = batches.flatMap((batch) => batch.messages);
      for (const { key, value, headers = {} } of messages) {
        const found = received.find((one) => one.key === key);
        expect(found?.headers).toEqual(headers);
        expect(found?.value.equals(value)).toBe(true);
      }
    });

    test('messages without a key are spread over the partitions', async () => {
      await bus.publish(
        topic,
        Array.from({ length: 40 }, (_, index) => text(null, `${index}`)),
      );
      const { batches } = await readAll(40);
      expect(new Set(batches.map(({ partition }) => partition))).toEqual(new Set([0, 1, 2, 3]));
    });

    test('publishing nothing does nothing', async () => {
      await bus.publish(topic, []);
      await bus.publish(topic, [text('k', 'only')]);
      expect((await readAll(1)).values).toEqual(['only']);
    });

    test('ten thousand messages come through complete', async () => {
      const messages = numbered(10_000, 100);
      await bus.publish(topic, messages);
      expect(unique((await readAll(10_000)).values)).toEqual(unique(valuesOf(messages)));
    });

    test('what cannot be made durable is refused with BUS_UNAVAILABLE', async () => {
      const missing = bus.publish(`${topic}.missing`, [text('k', 'v')]);
      await expect(missing).rejects.toMatchObject({ code: 'BUS_UNAVAILABLE' });
      await expect(platform.connectNowhere()).rejects.toMatchObject({
        code: 'BUS_UNAVAILABLE',
        cause: expect.anything(),
      });
      const closed = await connect();
      await closed.close();
      await expect(closed.publish(topic, [text('k', 'v')])).rejects.toMatchObject({ code: 'BUS_UNAVAILABLE' });
    });
  });

  describe('2. within a group each partition has one consumer at a time, and nothing is skipped', () => {
    test('a new group reads from the beginning, and groups do not disturb each other', async () => {
      await bus.publish(topic, numbered(20, 5));
      const [one, other] = [new Recorder(), new Recorder()];
      await bus.consume(`${topic}.one`, topic, one.handler);
      await eventually(() => expect(one.values).toHaveLength(20));
      await bus.consume(`${topic}.other`, topic, other.handler);
      await bus.publish(topic, numbered(20, 5, 'later '));
      await eventually(() => expect([one.values.length, other.values.length]).toEqual([40, 40]));
      expect(unique(one.values)).toEqual(unique(other.values));
    });

    test('consumers that come and go never handle a partition at the same time, and lose nothing', async () => {
      const recorder = new Recorder();
      const connections = [bus, await connect(), await connect()];
      let publishing = true;
      let published = 0;
      const publisher = (async () => {
        for (; publishing; published += 20) await bus.publish(topic, numbered(20, 10, `${published}:`));
      })();
      const first = await connections[0]!.consume(topic, topic, recorder.handler);
      const second = await connections[1]!.consume(topic, topic, recorder.handler);
      await eventually(() => expect(recorder.values.length).toBeGreaterThan(100));
      // Two of one process are two consumers all the same.
      const third = await connections[0]!.consume(topic, topic, recorder.handler);
      await second.stop();
      const fourth = await connections[2]!.consume(topic, topic, recorder.handler);
      await first.stop();
      publishing = false;
      await publisher;
      await eventually(() => expect(new Set(recorder.values).size).toBe(published));
      await Promise.all([third.stop(), fourth.stop()]);
      expect(recorder.violations).toEqual([]);
    });

    test('every consumer of a group gets a share of the partitions', async () => {
      const shares: Set<number>[] = [new Set(), new Set()];
      for (const share of shares) {
        const connection = await connect();
        await connection.consume(topic, topic, async ({ partition }) => void share.add(partition));
      }
      await eventually(async () => {
        for (const share of shares) share.clear();
        await bus.publish(topic, numbered(64, 64));
        await eventually(() => expect(shares.reduce((sum, share) => sum + share.size, 0)).toBeGreaterThanOrEqual(4));
        expect(shares.map(({ size }) => size)).toEqual([2, 2]);
      });
    });

    test('when a consumer stops, the next one goes on exactly where it stopped', async () => {
      const [first, second] = [new Recorder(), new Recorder()];
      await bus.publish(topic, numbered(100, 10, 'early '));
      const subscription = await bus.consume(topic, topic, first.handler);
      await eventually(() => expect(first.values).toHaveLength(100));
      await subscription.stop();
      await bus.publish(topic, numbered(100, 10, 'late '));
      await (await connect()).consume(topic, topic, second.handler);
      await eventually(() => expect(second.values).toHaveLength(100));
      expect(unique(second.values)).toEqual(unique(valuesOf(numbered(100, 10, 'late '))));
      expect(first.values).toHaveLength(100);
    });

    test('stop waits for the handler that runs, whose batch is then done', async () => {
      const events: string[] = [];
      let release: () => void = () => {};
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      await bus.publish(topic, [text('k', 'only')]);
      const subscription = await bus.consume(topic, topic, async () => {
        events.push('begun');
        await gate;
        events.push('ended');
      });
      await eventually(() => expect(events).toEqual(['begun']));
      const stopped = subscription.stop().then(() => events.push('stopped'));
      await bus.ping();
      expect(events).toEqual(['begun']);
      release();
      await stopped;
      expect(events).toEqual(['begun', 'ended', 'stopped']);
      await bus.publish(topic, [text('k', 'next')]);
      const after = new Recorder();
      await bus.consume(topic, topic, after.handler);
      await eventually(() => expect(after.values).toEqual(['next']));
    });

    test('when the process of a consumer is killed, another one gets what its handler had not finished', async () => {
      await bus.publish(topic, numbered(40, 20));
      const addressed = [JSON.stringify(platform.address), topic, topic];
      const child = spawn(process.execPath, ['--import', 'tsx', DOOMED_CONSUMER, ...addressed], {
        env: { ...process.env, NODE_OPTIONS: '' },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      children.push(child);
      let output = '';
      child.stdout.on('data', (chunk) => {
        output += String(chunk);
      });
      await eventually(() => expect(output).toContain('\n'));
      const survivor = new Recorder();
      const joined = connect().then((other) => other.consume(topic, topic, survivor.handler));
      child.kill('SIGKILL');
      await joined;
      await eventually(() => expect(unique(survivor.values)).toEqual(unique(valuesOf(numbered(40, 20)))), {
        timeoutMs: 40_000,
      });
      expect(survivor.violations).toEqual([]);
    });

    test('a handler that throws gets the same messages again, in order, and skips none', async () => {
      const attempts = new Map<number, string[][]>();
      const done: string[] = [];
      await bus.publish(topic, numbered(40, 8));
      await bus.consume(topic, topic, async ({ partition, messages }) => {
        const values = messages.map(({ value }) => value.toString());
        const before = attempts.get(partition) ?? [];
        attempts.set(partition, [...before, values]);
        if (before.length < 2) throw new Error(`failure ${before.length + 1} that the test wants`);
        done.push(...values);
      });
      await bus.publish(topic, numbered(40, 8, 'later '));
      await eventually(() => expect(done).toHaveLength(80));
      expect(unique(done)).toHaveLength(80);
      for (const [first = [], second = [], third = []] of attempts.values()) {
        // A repetition begins with what failed; it may hold more, that came meanwhile.
        expect(second.slice(0, first.length)).toEqual(first);
        expect(third.slice(0, second.length)).toEqual(second);
      }
      for (let key = 0; key < 8; key += 1) {
        const mine = done.filter((value) => Number(value.replace('later ', '')) % 8 === key);
        const expected = numbered(40, 8).filter((_, index) => index % 8 === key);
        expect(mine).toEqual([...valuesOf(expected), ...valuesOf(expected).map((value) => `later ${value}`)]);
      }
    });

    test('a partition whose handler fails does not hold up the others', async () => {
      const done = new Set<number>();
      let failing = 0;
      await bus.publish(
        topic,
        Array.from({ length: 40 }, (_, index) => text(null, `${index}`)),
      );
      await bus.consume(topic, topic, async ({ partition }) => {
        if (partition === 1 && failing < 3) {
          failing += 1;
          throw new Error('a failure that the test wants');
        }
        done.add(partition);
      });
      await eventually(() => expect(done).toEqual(new Set([0, 2, 3])));
      await eventually(() => expect(done).toEqual(new Set([0, 1, 2, 3])));
    });

    test('a consumer beyond the number of partitions waits, and takes over when the other one stops', async () => {
      const single = `${topic}.single`;
      const other = await connect(1);
      await other.ensureTopics([single]);
      const recorders = [new Recorder(), new Recorder()];
      const subscriptions = [
        await bus.consume(single, single, recorders[0]!.handler),
        await other.consume(single, single, recorders[1]!.handler),
      ];
      await bus.publish(single, numbered(10, 5));
      await eventually(() => expect(recorders.flatMap(({ values }) => values)).toHaveLength(10));
      const active = recorders.findIndex(({ values }) => values.length > 0);
      await subscriptions[active]!.stop();
      await bus.publish(single, numbered(10, 5, 'late '));
      await eventually(() => expect(recorders[1 - active]!.values).toHaveLength(10));
      expect(unique(recorders[1 - active]!.values)).toEqual(unique(valuesOf(numbered(10, 5, 'late '))));
    });
  });

  describe('3. a follower gets every message published after follow resolved', () => {
    test('two followers at different connections see all of it, and nothing of before', async () => {
      await bus.publish(topic, numbered(50, 10, 'before '));
      const followers = [new Recorder(), new Recorder()];
      const subscriptions = [];
      for (const follower of followers) {
        subscriptions.push(await (await connect()).follow(topic, (batch) => follower.take(batch)));
      }
      const group = new Recorder();
      await bus.consume(topic, topic, group.handler);
      await bus.publish(topic, numbered(500, 10, 'after '));
      for (const follower of followers) {
        await eventually(() => expect(follower.values.length).toBeGreaterThanOrEqual(500));
        expect(unique(follower.values)).toEqual(unique(valuesOf(numbered(500, 10, 'after '))));
        expect(follower.values).toHaveLength(500);
        expect(follower.violations).toEqual([]);
      }
      await eventually(() => expect(group.values).toHaveLength(550));
      await subscriptions[0]!.stop();
      await bus.publish(topic, numbered(10, 10, 'last '));
      await eventually(() => expect(followers[1]!.values).toHaveLength(510));
      expect(followers[0]!.values).toHaveLength(500);
    });

    test('what is published at once after follow resolved is not missed, each time', async () => {
      const publisher = await connect();
      for (let round = 0; round < 8; round += 1) {
        const follower = new Recorder();
        const subscription = await bus.follow(topic, (batch) => follower.take(batch));
        const messages = numbered(4, 4, `${round}:`);
        await Promise.all(messages.map((message) => publisher.publish(topic, [message])));
        await eventually(() => expect(unique(follower.values)).toEqual(valuesOf(messages)));
        await subscription.stop();
      }
    });

    test('a handler that throws once does not end the following', async () => {
      const follower = new Recorder();
      let thrown = false;
      await bus.follow(topic, (batch) => {
        if (!thrown) {
          thrown = true;
          throw new Error('a failure that the test wants');
        }
        follower.take(batch);
      });
      await bus.publish(topic, [text('k', 'lost to the failure')]);
      await eventually(() => expect(thrown).toBe(true));
      await bus.publish(topic, [text('k', 'seen')]);
      await eventually(() => expect(follower.values).toEqual(['seen']));
    });
  });

  test('4. offsets grow strictly within a partition, also from one batch to the next', async () => {
    const last = new Map<number, bigint>();
    const violations: string[] = [];
    let count = 0;
    const check = async ({ partition, messages }: ReceivedBatch): Promise<void> => {
      for (const { offset } of messages) {
        if (offset <= (last.get(partition) ?? -1n))
          violations.push(`${partition}: ${offset} after ${last.get(partition)}`);
        last.set(partition, offset);
        count += 1;
      }
    };
    await bus.consume(topic, topic, check);
    for (let round = 0; round < 20; round += 1) await bus.publish(topic, numbered(20, 10));
    await eventually(() => expect(count).toBe(400));
    expect(violations).toEqual([]);
  });

  test('topics are created once, whoever asks, how often and at once', async () => {
    const topics = Array.from({ length: 4 }, (_, index) => `${topic}.${index}`);
    const connections = await Promise.all(Array.from({ length: 4 }, () => connect()));
    await Promise.all(connections.map((one, index) => one.ensureTopics(index % 2 ? topics : [...topics].reverse())));
    await (await connect(9)).ensureTopics([...topics, topics[0]!]);
    for (const one of topics) await bus.publish(one, [text('k', one)]);
    const recorder = new Recorder();
    for (const one of topics) await bus.consume(`${one}.group`, one, async (batch) => recorder.take(batch));
    await eventually(() => expect(unique(recorder.values)).toEqual(topics));
  });

  test('positions tell what a group has not committed, and of a topic that is not there nothing', async () => {
    const group = `${topic}.lagging`;
    const missing = { group, topic: `${topic}.missing` };
    const lagOf = async (): Promise<bigint> => {
      const [own = [], none] = await bus.positions([{ group, topic }, missing]);
      expect(none).toEqual([]);
      expect(own.map(({ partition }) => partition)).toEqual([0, 1, 2, 3]);
      return own.reduce((sum, { first, end, next }) => sum + end - (next ?? first), 0n);
    };
    expect(await lagOf()).toBe(0n);
    await bus.publish(topic, numbered(100, 20));
    expect(await lagOf()).toBe(100n);
    let stuck = true;
    const subscription = await bus.consume(group, topic, async () => {
      if (stuck) throw new Error('not yet');
    });
    expect(await lagOf()).toBe(100n);
    stuck = false;
    await eventually(async () => expect(await lagOf()).toBe(0n), { timeoutMs: 20_000 });
    await subscription.stop();
    await bus.publish(topic, numbered(30, 20));
    expect(await lagOf()).toBe(30n);
    expect(await bus.positions([])).toEqual([]);
  });

  test('peek shows the newest messages to nobody else, whoever reads and wherever groups are', async () => {
    expect(await bus.peek(`${topic}.missing`, 10)).toBeNull();
    expect(await bus.peek(topic, 10)).toEqual([]);
    const group = `${topic}.group`;
    const recorder = new Recorder();
    await bus.consume(group, topic, recorder.handler);
    await bus.publish(topic, numbered(500, 50));
    await eventually(() => expect(recorder.values).toHaveLength(500));
    const some = valuesOf((await bus.peek(topic, 40))!);
    expect(some).toHaveLength(40);
    expect(unique(some)).toHaveLength(40);
    // Whatever the partition, nothing in it is newer than what was shown of it.
    for (const value of some) expect(Number(value)).toBeGreaterThan(300);
    expect(unique(valuesOf((await bus.peek(topic, 1_000))!))).toEqual(unique(valuesOf(numbered(500, 50))));
    await bus.publish(topic, numbered(20, 20, 'more '));
    await eventually(() => expect(recorder.values).toHaveLength(520));
    expect(recorder.violations).toEqual([]);
  });

  test('ping tells that the bus can be reached', async () => {
    await bus.ping();
    const closed = await connect();
    await closed.close();
    await closed.close();
    await expect(closed.ping()).rejects.toMatchObject({ code: 'BUS_UNAVAILABLE' });
  });
});
