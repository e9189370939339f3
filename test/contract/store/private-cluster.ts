/** A Redis Cluster of a test's own, whose nodes may be killed, silenced and relieved of slots. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { type RunningProcess, whenReady } from '../../harness/child-process.js';
import { freePorts } from '../../harness/free-port.js';
import { type ClusterNode, formCluster } from '../../harness/redis-cluster.js';
import { redisBinary, redisClient, redisVersion, startRedisProcess } from '../../harness/redis-server.js';
import { scaled } from '../../harness/time-factor.js';

export interface PrivateCluster {
  readonly nodes: readonly string[];
  /** A connection to one node alone. */
  readonly clients: readonly Redis[];
  kill(node: number, signal: NodeJS.Signals): void;
  /** Starts a node that was killed; it takes its place again, empty. */
  restart(node: number): Promise<void>;
  /** The node that holds a slot. */
  ownerOf(slot: number): Promise<number>;
  stop(): Promise<void>;
}

/** Starts three masters. */
export async function startPrivateCluster(): Promise<PrivateCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'fstore-cluster-'));
  const binary = await redisBinary();
  const ports = await freePorts(6);
  const places = ports.slice(0, 3).map((port, index): ClusterNode => ({ port, busPort: ports[index + 3]! }));
  const start = async ({ port, busPort }: ClusterNode): Promise<RunningProcess> => {
    const settings = [
      '--cluster-enabled',
      'yes',
      '--cluster-port',
      `${busPort}`,
      '--cluster-node-timeout',
      `${scaled(2_000)}`,
    ];
    const process = await startRedisProcess(binary, port, join(folder, `${port}`), settings);
    await whenReady(process, () => redisVersion(`redis://127.0.0.1:${port}`));
    return process;
  };
  const running = await Promise.all(places.map(start));
  await formCluster(places);
  const clients = places.map(({ port }) => redisClient(`redis://127.0.0.1:${port}`));
  await Promise.all(clients.map((client) => client.connect()));
  return {
    nodes: places.map(({ port }) => `127.0.0.1:${port}`),
    clients,
    kill: (node, signal) => void running[node]!.kill(signal),
    async restart(node) {
      await running[node]!.exited;
      running[node] = await start(places[node]!);
    },
    async ownerOf(slot) {
      const slots = (await clients[0]!.call('CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
      const range = slots.find(([first, last]) => first <= slot && slot <= last)!;
      return places.findIndex(({ port }) => port === range[2][1]);
    },
    async stop() {
      for (const client of clients) client.disconnect();
      for (const process of running) process.kill('SIGCONT');
      await Promise.all(running.map((process) => process.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
