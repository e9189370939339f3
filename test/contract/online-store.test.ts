/** The port of the online store, held by memory, Redis and a Redis Cluster. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import calculateSlot from 'cluster-key-slot';
import { entityKey } from '../../src/definition/entity-key.js';
import { FStoreError } from '../../src/errors.js';
import { onlineKey } from '../../src/store/online-key.js';
import type { OnlineStore } from '../../src/store/online-store.js';
import { MemoryOnlineStore } from '../../src/store/online-store-memory.js';
import { connectRedisOnlineStore } from '../../src/store/online-store-redis.js';
import { ValueCodec } from '../../src/store/value-codec.js';
import { eventually } from '../harness/eventually.js';
import { createFaultProxy } from '../harness/fault-proxy.js';
import { commandsBetween, redisCommandStats, redisNamespace, testServers } from '../harness/test-servers.js';
import { exampleView } from '../unit/fakes/example-view.js';
import { type PrivateCluster, startPrivateCluster } from './store/private-cluster.js';

const codec = new ValueCodec(exampleView);
const packed = (eventTime: number, sequence: number, amount = eventTime) =>
  codec.encode({ eventTime, sequence, values: [amount] });
const amountOf = (bytes: Buffer | null): unknown => (bytes ? codec.decode(bytes)?.row?.values[0] : null);

/** How a call fails, and whether it took its time. */
async function refusal(call: () => Promise<unknown>): Promise<{ code: string; slow: boolean }> {
  const start = performance.now();
  const error = await call().then(
    () => null,
    (failure: unknown) => failure,
  );
  return { code: error instanceof FStoreError ? error.code : `${error}`, slow: performance.now() - start > 2_000 };
}

const stores: [name: string, open: () => Promise<OnlineStore>][] = [
  ['memory', async () => new MemoryOnlineStore()],
  ['Redis', () => connectRedisOnlineStore({ url: testServers().redisUrl })],
  [
    'Redis Cluster',
    () =>
      connectRedisOnlineStore({
        clusterNodes: testServers().redisClusterNodes.map(({ host, port }) => `${host}:${port}`),
      }),
  ],
];

describe.each(stores)('the online store on %s', (_, open) => {
  let store: OnlineStore;
  const project = redisNamespace().replace(':', '');
  let count = 0;
  const freshKey = (): string => {
    count += 1;
    return onlineKey(project, exampleView, entityKey([`u${count}`]));
  };
  const put = (key: string, value: Buffer, expiresIn: number | null = 60_000) =>
    store.write([{ key, value, expiresIn }]);
  const get = async (key: string) => amountOf((await store.read([key]))[0] ?? null);

  beforeAll(async () => {
    store = await open();
  });
  afterAll(() => store.close());

  test('answers in the order of the keys, null where there is nothing, and the same key twice', async () => {
    const [a, b, c] = [freshKey(), freshKey(), freshKey()];
    await store.write([
      { key: a, value: packed(1, 1), expiresIn: null },
      { key: c, value: packed(3, 1), expiresIn: null },
    ]);
    expect((await store.read([c, b, a, c])).map(amountOf)).toEqual([3, null, 1, 3]);
    expect(await store.read([])).toEqual([]);
  });

  test('never replaces a newer value, by event time first and by sequence among equal times', async () => {
    const key = freshKey();
    await put(key, packed(10, 5, 1));
    await put(key, packed(9, 6, 2));
    expect(await get(key)).toBe(1);
    await put(key, packed(10, 4, 3));
    expect(await get(key)).toBe(1);
    await put(key, packed(10, 5, 4));
    expect(await get(key)).toBe(1);
    await put(key, packed(10, 6, 5));
    expect(await get(key)).toBe(5);
    await put(key, packed(-1, 7, 6));
    expect(await get(key)).toBe(5);
  });

  test('keeps the newest of values that many write at once in any order', async () => {
    const key = freshKey();
    const writes = Array.from({ length: 50 }, (_, index) => packed(Math.floor(index / 2), index, index));
    const shuffled = writes.map((value, index) => ({ value, rank: (index * 37) % 50 })).sort((x, y) => x.rank - y.rank);
    await Promise.all(shuffled.map(({ value }) => put(key, value)));
    expect(await get(key)).toBe(49);
  });

  test('keeps the newest of several values for one key in one write, in any order', async () => {
    const keys = [freshKey(), freshKey()] as const;
    const [older, newer] = [packed(1, 1), packed(2, 2)];
    const entry = (key: string, value: Buffer) => ({ key, value, expiresIn: null });
    await store.write([entry(keys[0], older), entry(keys[0], newer), entry(keys[1], newer), entry(keys[1], older)]);
    expect((await store.read(keys)).map(amountOf)).toEqual([2, 2]);
  });

  test('does not touch what is there when an equal value comes: its time to live goes on', async () => {
    const key = freshKey();
    await put(key, packed(1, 1), 100);
    await put(key, packed(1, 1), 60_000);
    await eventually(async () => expect(await get(key)).toBeNull());
  });

  test('replaces what is not a packed value at all', async () => {
    const [short, damaged] = [freshKey(), freshKey()];
    await put(short, Buffer.from('short'));
    await put(damaged, Buffer.alloc(22, 0xff));
    await put(short, packed(1, 1));
    await put(damaged, packed(1, 1));
    expect([await get(short), await get(damaged)]).toEqual([1, 1]);
  });

  test('lets every row replace a remembered NOT_FOUND, and no NOT_FOUND replace a row', async () => {
    const key = freshKey();
    await put(key, codec.encode(null));
    const [bytes] = await store.read([key]);
    expect(codec.decode(bytes as Buffer)).toEqual({ row: null });
    await put(key, packed(-62_135_596_800_000, 1, 7));
    await put(key, codec.encode(null));
    expect(await get(key)).toBe(7);
  });

  test('forgets an entry when its time to live has passed', async () => {
    const [short, long] = [freshKey(), freshKey()];
    await put(short, packed(1, 1), 30);
    await put(long, packed(1, 1), 60_000);
    await eventually(async () => expect(await get(short)).toBeNull());
    expect(await get(long)).toBe(1);
  });

  test('takes and answers thousands of keys at once, bytes as they are', async () => {
    const entries = Array.from({ length: 5_000 }, (_, index) => ({
      key: freshKey(),
      // Bytes of every kind, line ends and invalid UTF-8 among them.
      value: Buffer.concat([packed(index, 1), randomBytes(index % 40)]),
      expiresIn: 60_000,
    }));
    await store.write(entries);
    const found = await store.read(entries.map((entry) => entry.key));
    expect(found.every((bytes, index) => bytes?.equals(entries[index]!.value))).toBe(true);
  });

  test('answers a ping', async () => {
    await expect(store.ping()).resolves.toBeUndefined();
  });
});

describe('memory', () => {
  const entry = (key: string, size: number, expiresIn: number | null = null) => ({
    key,
    value: Buffer.concat([packed(1, 1), Buffer.alloc(size)]),
    expiresIn,
  });
  const present = async (store: OnlineStore, ...keys: string[]) =>
    (await store.read(keys)).map((bytes) => bytes !== null);

  test('makes room by forgetting what was used least lately', async () => {
    const store = new MemoryOnlineStore({ maxBytes: 4_000 });
    await store.write([entry('a', 1_000), entry('b', 1_000), entry('c', 1_000)]);
    await store.read(['a']);
    await store.write([entry('d', 1_000)]);
    expect(await present(store, 'a', 'b', 'c', 'd')).toEqual([true, false, true, true]);
    await store.write([entry('e', 5_000)]);
    expect(await present(store, 'a', 'c', 'd', 'e')).toEqual([false, false, false, false]);
  });

  test('counts a value that is replaced once', async () => {
    const store = new MemoryOnlineStore({ maxBytes: 4_000 });
    for (let sequence = 1; sequence < 100; sequence += 1) {
      await store.write([{ key: 'a', value: packed(1, sequence), expiresIn: null }]);
    }
    await store.write([entry('b', 1_000), entry('c', 1_000)]);
    expect(await present(store, 'a', 'b', 'c')).toEqual([true, true, true]);
  });

  test('forgets at the very millisecond, and lets an older value in then', async () => {
    let now = 1_000;
    const store = new MemoryOnlineStore({ now: () => now });
    await store.write([{ key: 'a', value: packed(5, 5), expiresIn: 100 }]);
    now = 1_099;
    expect(await present(store, 'a')).toEqual([true]);
    now = 1_100;
    expect(await present(store, 'a')).toEqual([false]);
    await store.write([{ key: 'a', value: packed(4, 4), expiresIn: 100 }]);
    expect((await store.read(['a'])).map(amountOf)).toEqual([4]);
  });
});

describe('Redis', () => {
  test('is asked once for any number of keys', async () => {
    const store = await connectRedisOnlineStore({ url: testServers().redisUrl });
    await store.ping();
    const before = await redisCommandStats(testServers().redisUrl);
    await store.read(Array.from({ length: 1_000 }, (_, index) => `fs:{none|${index}}:v@1`));
    expect(commandsBetween(before, await redisCommandStats(testServers().redisUrl))).toEqual({ mget: 1 });
    await store.close();
  });

  test('that is cut off or silent costs a caller no more than the timeout, and is used again when it is back', async () => {
    const target = new URL(testServers().redisUrl);
    const proxy = await createFaultProxy({ targetHost: target.hostname, targetPort: Number(target.port) });
    const store = await connectRedisOnlineStore({ url: `redis://127.0.0.1:${proxy.port}`, commandTimeout: 200 });
    const key = 'fs:{fault|u1}:v@1';
    await store.write([{ key, value: packed(1, 1), expiresIn: 60_000 }]);
    for (const fault of [() => proxy.cut(), () => proxy.halfOpen()]) {
      await fault();
      const refused = { code: 'STORE_UNAVAILABLE', slow: false };
      await eventually(async () => expect(await refusal(() => store.read([key]))).toEqual(refused));
      expect(await refusal(() => store.write([{ key, value: packed(1, 1), expiresIn: null }]))).toEqual(refused);
      expect(await refusal(() => store.ping())).toEqual(refused);
      await proxy.heal();
      await eventually(async () => expect(amountOf((await store.read([key]))[0] ?? null)).toBe(1));
    }
    await store.close();
    await proxy.close();
  });
});

describe('Redis Cluster', () => {
  let cluster: PrivateCluster;
  let store: OnlineStore;
  beforeAll(async () => {
    cluster = await startPrivateCluster();
    store = await connectRedisOnlineStore({ clusterNodes: cluster.nodes });
  });
  afterAll(async () => {
    await store?.close();
    await cluster?.stop();
  });

  /** Two views of each of some entities: pairs of keys that share a slot. */
  const keys = Array.from({ length: 300 }, (_, user) => [`fs:{p|user|${user}}:a@1`, `fs:{p|user|${user}}:b@1`]).flat();
  const writeAll = (time: number) =>
    store.write(keys.map((key) => ({ key, value: packed(time, 1), expiresIn: 600_000 })));
  const readAll = async () => [...new Set((await store.read(keys)).map(amountOf))];

  test('is asked once a node, by one MGET for each slot', async () => {
    await writeAll(1);
    const urls = cluster.nodes.map((node) => `redis://${node}`);
    const before = await Promise.all(urls.map(redisCommandStats));
    expect(await readAll()).toEqual([1]);
    const after = await Promise.all(urls.map(redisCommandStats));
    const counts = before.map((stats, node) => commandsBetween(stats, after[node]!));
    const slots = new Set(keys.map((key) => calculateSlot(key)));
    expect(counts.reduce((sum, { mget }) => sum + (mget ?? 0), 0)).toBe(slots.size);
    expect(counts.flatMap((count) => Object.keys(count).filter((name) => !name.startsWith('cluster')))).toEqual([
      'mget',
      'mget',
      'mget',
    ]);
  });

  test('answers and takes everything while a slot moves from one node to another', async () => {
    const slot = calculateSlot(keys[0]!);
    const from = await cluster.ownerOf(slot);
    const to = (from + 1) % 3;
    const [source, target] = [cluster.clients[from]!, cluster.clients[to]!];
    const [sourceId, targetId] = [await source.call('CLUSTER', 'MYID'), await target.call('CLUSTER', 'MYID')];
    const moveKey = (key: string) =>
      source.call('MIGRATE', '127.0.0.1', cluster.nodes[to]!.split(':')[1]!, key, 0, 5_000);
    let time = 10;
    const isWhole = async () => {
      time += 1;
      await writeAll(time);
      expect(await readAll()).toEqual([time]);
    };
    const newKey = `fs:{p|user|0}:c@1`;
    await target.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', sourceId as string);
    await source.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', targetId as string);
    await isWhole();
    await store.write([{ key: newKey, value: packed(1, 1), expiresIn: 600_000 }]);
    expect((await store.read([newKey])).map(amountOf)).toEqual([1]);
    await moveKey(keys[0]!);
    await isWhole();
    await moveKey(keys[1]!);
    await isWhole();
    for (const client of [target, source, cluster.clients[(from + 2) % 3]!]) {
      await client.call('CLUSTER', 'SETSLOT', slot, 'NODE', targetId as string);
    }
    await isWhole();
    expect((await store.read([newKey])).map(amountOf)).toEqual([1]);
  });

  test('gets its script again after it has forgotten it', async () => {
    await writeAll(100);
    for (const client of cluster.clients) await client.script('FLUSH');
    await writeAll(101);
    expect(await readAll()).toEqual([101]);
  });

  test.each<NodeJS.Signals>(['SIGSTOP', 'SIGKILL'])(
    'with a node under %s refuses quickly, and works again when the node is back',
    async (signal) => {
      await writeAll(200);
      cluster.kill(0, signal);
      const refused = { code: 'STORE_UNAVAILABLE', slow: false };
      for (let attempt = 0; attempt < 5; attempt += 1) {
        expect(await refusal(() => store.read(keys))).toEqual(refused);
        expect(await refusal(() => writeAll(201))).toEqual(refused);
      }
      if (signal === 'SIGKILL') await cluster.restart(0);
      else cluster.kill(0, 'SIGCONT');
      await eventually(async () => {
        await writeAll(300);
        expect(await readAll()).toEqual([300]);
      });
    },
  );
});
