/** The adapters of the registry on real servers, each test file in a database of its own. */

import type { Registry } from '../../../src/registry/registry.js';
import { connectMongoRegistry } from '../../../src/registry/registry-mongo.js';
import { connectPostgresRegistry } from '../../../src/registry/registry-postgres.js';
import { createFaultProxy, type FaultProxy } from '../../harness/fault-proxy.js';
import { createTestDatabase, createTestMongo } from '../../harness/test-servers.js';

export interface RegistryPlatform {
  /** Another connection, as another process would have it. */
  connect(project: string): Promise<Registry>;
  /** A connection that runs through a proxy, and the proxy. */
  connectThroughProxy(project: string): Promise<{ registry: Registry; proxy: FaultProxy }>;
  /** Tries a server that is not there. */
  connectNowhere(): Promise<Registry>;
  drop(): Promise<void>;
}

interface Adapter {
  readonly url: string;
  readonly connect: (url: string, project: string) => Promise<Registry>;
  readonly drop: () => Promise<void>;
}

function platformOf({ url, connect, drop }: Adapter): RegistryPlatform {
  const at = (port: number): string => {
    const other = new URL(url);
    other.host = `127.0.0.1:${port}`;
    // A replica set tells its clients its own address; only a direct connection stays on the proxy.
    if (other.protocol === 'mongodb:') other.search = '?directConnection=true';
    return other.href;
  };
  return {
    connect: (project) => connect(url, project),
    connectThroughProxy: async (project) => {
      const { hostname, port } = new URL(url);
      const proxy = await createFaultProxy({ targetHost: hostname, targetPort: Number(port) });
      return { registry: await connect(at(proxy.port), project), proxy };
    },
    connectNowhere: () => connect(at(1), 'nowhere'),
    drop,
  };
}

export const registryPlatforms: readonly { name: string; create: () => Promise<RegistryPlatform> }[] = [
  {
    name: 'PostgreSQL',
    create: async () => {
      const { url, drop } = await createTestDatabase();
      return platformOf({ url, drop, connect: (at, project) => connectPostgresRegistry({ url: at, project }) });
    },
  },
  {
    name: 'MongoDB',
    create: async () => {
      const { url, drop } = createTestMongo();
      return platformOf({ url, drop, connect: (at, project) => connectMongoRegistry({ url: at, project }) });
    },
  },
];
