import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { whenReady } from './child-process.js';
import { eventually } from './eventually.js';
import { freePorts } from './free-port.js';
import { redisBinary, redisClient, redisVersion, startRedisProcess } from './redis-server.js';
import type { TestServer } from './test-server.js';

const slotCount = 16_384;

/** A future node of a cluster: its port for clients, and its port for the other nodes. */
export interface ClusterNode {
  readonly port: number;
  readonly busPort: number;
}

async function agrees(client: Redis, nodeCount: number): Promise<void> {
  const info = String(await client.call('CLUSTER', 'INFO'));
  const peers = String(await client.call('CLUSTER', 'NODES'))
    .trim()
    .split('\n');
  const whole = /cluster_state:ok/.test(info) && new RegExp(`cluster_size:${nodeCount}\\b`).test(info);
  if (!whole || peers.length !== nodeCount || peers.some((peer) => / (handshake|fail\??)/.test(peer))) {
    throw new Error(`the cluster has not formed: ${info}`);
  }
}

/**
 * Forms one cluster of empty nodes on 127.0.0.1: assigns the slots, introduces the nodes, and waits until all agree.
 *
 * @throws if they do not agree within 30 s
 */
export async function formCluster(nodes: readonly ClusterNode[]): Promise<void> {
  const clients = nodes.map((node) => redisClient(`redis://127.0.0.1:${node.port}`));
  try {
    for (const [index, client] of clients.entries()) {
      await client.connect();
      const first = Math.floor((index * slotCount) / nodes.length);
      const last = Math.floor(((index + 1) * slotCount) / nodes.length) - 1;
      await client.call('CLUSTER', 'ADDSLOTSRANGE', first, last);
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    }
    for (const client of clients) {
      for (const { port, busPort } of nodes) await client.call('CLUSTER', 'MEET', '127.0.0.1', port, busPort);
    }
    await eventually(() => Promise.all(clients.map((client) => agrees(client, nodes.length))), {
      timeoutMs: 30_000,
      everyMs: 50,
    });
  } finally {
    for (const client of clients) client.disconnect();
  }
}

/** Starts three masters without replicas on free ports. The endpoint is "host:port,host:port,host:port". */
export async function startRedisCluster(dataFolder: string): Promise<TestServer> {
  const binary = await redisBinary();
  const ports = await freePorts(6);
  const nodes = ports.slice(0, 3).map((port, index): ClusterNode => ({ port, busPort: ports[index + 3] as number }));
  const running = await Promise.all(
    nodes.map(({ port, busPort }) => {
      const settings = [
        '--cluster-enabled',
        'yes',
        '--cluster-port',
        String(busPort),
        '--cluster-node-timeout',
        '5000',
      ];
      return startRedisProcess(binary, port, join(dataFolder, String(port)), settings);
    }),
  );
  const stop = async () => void (await Promise.all(running.map((node) => node.stop())));
  try {
    const versions = await Promise.all(
      nodes.map(({ port }, index) => whenReady(running[index]!, () => redisVersion(`redis://127.0.0.1:${port}`))),
    );
    await formCluster(nodes);
    return { endpoint: nodes.map(({ port }) => `127.0.0.1:${port}`).join(','), version: versions[0] as string, stop };
  } catch (failure) {
    await stop();
    throw failure;
  }
}
