import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts } from './free-port.js';
import { formCluster } from './redis-cluster.js';
import { repositoryRoot } from './server-cache.js';
import type { ServerName } from './test-server.js';
import { scaled } from './time-factor.js';

const run = promisify(execFile);

/** Returns whether a container engine and Compose both answer. One without the other is of no use here. */
export async function composeAnswers(): Promise<boolean> {
  try {
    await run('docker', ['info'], { timeout: scaled(10_000) });
    await run('docker', ['compose', 'version'], { timeout: scaled(10_000) });
    return true;
  } catch {
    return false;
  }
}

/**
 * Starts services of docker/compose.yaml as a Compose project for this process alone, on free ports of 127.0.0.1.
 *
 * @returns the endpoints, and a function that removes the project with its volumes
 * @throws with the output of Compose if a service does not become healthy
 */
export async function startComposeServers(names: readonly ServerName[]) {
  const ports = (await freePorts(10)) as [number, number, number, number, ...number[]];
  const [redis, postgres, mongo, kafka] = ports;
  const nodes = [4, 5, 6].map((index) => ({ port: ports[index]!, busPort: ports[index + 3]! }));
  const files = ['compose.yaml', 'compose.test.yaml'].flatMap((file) => ['-f', join(repositoryRoot, 'docker', file)]);
  const project = ['compose', '-p', `fstore-test-${process.pid}`, ...files];
  const env = {
    ...process.env,
    FSTORE_API_KEY_SHA256: 'not-used-by-the-servers',
    POSTGRES_PASSWORD: 'fstore',
    REDIS_PORT: String(redis),
    POSTGRES_PORT: String(postgres),
    MONGO_PORT: String(mongo),
    KAFKA_PORT: String(kafka),
    CLUSTER_PORTS: nodes.map(({ port }) => port).join(' '),
    CLUSTER_PORT_1: String(nodes[0]?.port),
    CLUSTER_PORT_2: String(nodes[1]?.port),
    CLUSTER_PORT_3: String(nodes[2]?.port),
  };
  const stop = async () => void (await run('docker', [...project, 'down', '--volumes', '--timeout', '10'], { env }));
  try {
    await run('docker', [...project, 'up', '--detach', '--wait', '--wait-timeout', `${scaled(180)}`, ...names], {
      env,
    });
    if (names.includes('redis-cluster')) {
      // All three nodes run in one container, so the bus ports need not be published and keep their default numbers.
      await formCluster(nodes.map(({ port }) => ({ port, busPort: port + 10_000 })));
    }
  } catch (failure) {
    await stop().catch(() => {});
    throw failure;
  }
  const endpoints: Record<ServerName, string> = {
    redis: `redis://127.0.0.1:${redis}`,
    'redis-cluster': nodes.map(({ port }) => `127.0.0.1:${port}`).join(','),
    postgres: `postgres://fstore:fstore@127.0.0.1:${postgres}/fstore`,
    // The replica set names its node by a host that only containers can resolve, so clients must connect directly.
    mongo: `mongodb://127.0.0.1:${mongo}/?directConnection=true`,
    kafka: `127.0.0.1:${kafka}`,
  };
  return { endpoints, stop };
}
