/** What the online store on Redis holds beyond its port: commands, faults, and a cluster that changes. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import calculateSlot from 'cluster-key-slot';
import type { OnlineStore } from '../../../src/store/online-store.js';
import { connectRedisOnlineStore } from '../../../src/store/online-store-redis.js';
import { eventually } from '../../harness/eventually.js';
import { createFaultProxy } from '../../harness/fault-proxy.js';
import { commandsBetween, redisCommandStats, testServers } from '../../harness/test-servers.js';
import { scaled } from '../../harness/time-factor.js';
import { amountOf, packed, refusal } from './online-samples.js';
import { type PrivateCluster, startPrivateCluster } from './private-cluster.js';

describe('Redis', () => {
  test('is asked once for any number of keys', async () => {
    const store = await connectRedisOnlineStore({ url: testServers().redisUrl, commandTimeout: scaled(5_000) });
    await store.ping();
    const before = await redisCommandStats(testServers().redisUrl);
    await store.read(Array.from({ length: 1_000 }, (_, index) => `fs:{none|${index}}:v@1`));
    expect(commandsBetween(before, await redisCommandStats(testServers().redisUrl))).toEqual({ mget: 1 });
    await store.close();
  });

  test('that is cut off or silent costs a caller no more than the timeout, and is used again when it is back', async () => {
    const target = new URL(testServers().redisUrl);
    const proxy = await createFaultProxy({ targetHost: target.hostname, targetPort: Number(target.port) });
    const store = await connectRedisOnlineStore({
      url: `redis://127.0.0.1:${proxy.port}`,
      commandTimeout: scaled(200),
    });
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
    store.write(keys.map((key, index) => ({ key, value: packed(time, 1, time - index), expiresIn: 600_000 })));
  /** The times of which values are there: one, unless values were lost, are old or have changed places. */
  const readAll = async () => [
    ...new Set((await store.read(keys)).map((bytes, index) => (bytes ? Number(amountOf(bytes)) + index : null))),
  ];

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
