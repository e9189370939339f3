/** What the online store in memory holds beyond its port: its bound and its clock. */
import { describe, expect, test } from '@jest/globals';
import type { OnlineStore } from '../../../src/store/online-store.js';
import { MemoryOnlineStore } from '../../../src/store/online-store-memory.js';
import { amountOf, packed } from './online-samples.js';

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
