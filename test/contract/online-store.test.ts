/** The port of the online store, held by memory, Redis and a Redis Cluster. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { entityKey } from '../../src/definition/entity-key.js';
import { onlineKey } from '../../src/store/online-key.js';
import type { OnlineStore } from '../../src/store/online-store.js';
import { MemoryOnlineStore } from '../../src/store/online-store-memory.js';
import { connectRedisOnlineStore } from '../../src/store/online-store-redis.js';
import { eventually } from '../harness/eventually.js';
import { redisNamespace, testServers } from '../harness/test-servers.js';
import { scaled } from '../harness/time-factor.js';
import { exampleView } from '../unit/fakes/example-view.js';
import { amountOf, codec, packed } from './store/online-samples.js';

const stores: [name: string, open: () => Promise<OnlineStore>][] = [
  ['memory', async () => new MemoryOnlineStore()],
  ['Redis', () => connectRedisOnlineStore({ url: testServers().redisUrl, commandTimeout: scaled(5_000) })],
  [
    'Redis Cluster',
    () =>
      connectRedisOnlineStore({
        clusterNodes: testServers().redisClusterNodes.map(({ host, port }) => `${host}:${port}`),
        commandTimeout: scaled(5_000),
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
