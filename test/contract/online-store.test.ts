/** The port of the online store, held by memory, Redis and a Redis Cluster. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
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

const codec = new ValueCodec(exampleView);
const packed = (eventTime: number, sequence: number, amount = eventTime) =>
  codec.encode({ eventTime, sequence, values: [amount] });
const amountOf = (bytes: Buffer | null): unknown => (bytes ? codec.decode(bytes)?.row?.values[0] : null);

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
      value: packed(index, 1),
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
    const refusal = async (): Promise<{ code: string; slow: boolean }> => {
      const start = performance.now();
      const error = await store.read([key]).then(
        () => null,
        (failure: unknown) => failure,
      );
      return { code: error instanceof FStoreError ? error.code : `${error}`, slow: performance.now() - start > 2_000 };
    };
    for (const fault of [() => proxy.cut(), () => proxy.halfOpen()]) {
      await fault();
      await eventually(async () => expect(await refusal()).toEqual({ code: 'STORE_UNAVAILABLE', slow: false }));
      await proxy.heal();
      await eventually(async () => expect(amountOf((await store.read([key]))[0] ?? null)).toBe(1));
    }
    await store.close();
    await proxy.close();
  });
});
