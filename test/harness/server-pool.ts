/**
 * Starts real servers for a test run. Each server comes from the first of these sources that can provide it:
 *   1. the environment (FSTORE_TEST_…): it is used, and never stopped;
 *   2. Compose, if both a container engine and its Compose plugin answer;
 *   3. a program on this machine, or one downloaded once into .cache/servers.
 * A server that cannot be provided is an error; there are no substitutes.
 */
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { composeAnswers, startComposeServers } from './compose-servers.js';
import { kafkaReady, startKafka } from './kafka-server.js';
import { mongoVersion, startMongo } from './mongo-server.js';
import { postgresVersion, startPostgres } from './postgres-server.js';
import { startRedisCluster } from './redis-cluster.js';
import { redisVersion, startRedis } from './redis-server.js';
import { endpointVariables, type ServerName, serverNames, type TestServer } from './test-server.js';

/** The servers of a test run. */
export interface ServerPool {
  /** What a client needs to connect, by server name. */
  readonly endpoints: Partial<Record<ServerName, string>>;
  readonly versions: Partial<Record<ServerName, string>>;
  readonly origins: Partial<Record<ServerName, 'environment' | 'compose' | 'native'>>;
  /** Stops every server that this pool started. */
  stop(): Promise<void>;
}

const native: Record<ServerName, (dataFolder: string) => Promise<TestServer>> = {
  redis: startRedis,
  'redis-cluster': startRedisCluster,
  postgres: startPostgres,
  mongo: startMongo,
  kafka: startKafka,
};

const versionOf: Record<ServerName, (endpoint: string) => Promise<string>> = {
  redis: redisVersion,
  'redis-cluster': (nodes) => redisVersion(`redis://${nodes.split(',')[0]}`),
  postgres: postgresVersion,
  mongo: mongoVersion,
  kafka: (brokers) => kafkaReady(brokers).then(() => 'kafka'),
};

const folderPrefix = 'fstore-test-';

/** Removes folders of killed runs; a folder's name contains the pid of its run. */
async function removeAbandonedFolders(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const owner = /^fstore-test-(\d+)-/.exec(name)?.[1];
    if (owner === undefined) continue;
    try {
      process.kill(Number(owner), 0);
    } catch (failure) {
      if ((failure as NodeJS.ErrnoException).code !== 'ESRCH') continue;
      await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => {});
    }
  }
}

async function freshFolder(): Promise<string> {
  await removeAbandonedFolders();
  const folder = await mkdtemp(join(tmpdir(), `${folderPrefix}${process.pid}-`));
  // PostgreSQL runs as another user and must be able to traverse the folder.
  await chmod(folder, 0o711);
  return folder;
}

function missing(name: ServerName, failure: unknown): Error {
  const cause = failure instanceof Error ? failure.message : String(failure);
  return new Error(`${name} can not be had: ${cause}\n  or set ${endpointVariables[name]} to a server of your own`);
}

async function given(name: ServerName, endpoint: string): Promise<TestServer> {
  const version = await versionOf[name](endpoint).catch((failure) => {
    throw new Error(`${endpointVariables[name]}=${endpoint} does not answer: ${String(failure)}`);
  });
  return { endpoint, version, stop: async () => {} };
}

/**
 * Starts servers in parallel, on empty data.
 *
 * @param options.only the servers to start; all by default
 * @param options.dataFolder the folder for their data; by default a new temporary folder that `stop` removes
 * @returns the endpoints and versions of the servers
 * @throws if a server cannot be started, saying why and what to do, after the others have been stopped
 */
export async function startServers(
  options: { only?: readonly ServerName[]; dataFolder?: string } = {},
): Promise<ServerPool> {
  const names = options.only ?? serverNames;
  const dataFolder = options.dataFolder ?? (await freshFolder());
  const wanted = names.filter((name) => !process.env[endpointVariables[name]]);
  const compose = wanted.length > 0 && (await composeAnswers());
  const composed = compose ? startComposeServers(wanted) : undefined;
  const start = async (name: ServerName): Promise<TestServer> => {
    const endpoint = process.env[endpointVariables[name]];
    if (endpoint) return given(name, endpoint);
    if (!composed) return native[name](join(dataFolder, name));
    const { endpoints, stop } = await composed;
    const address = endpoints[name] as string;
    return { endpoint: address, version: await versionOf[name](address), stop };
  };
  const outcomes = await Promise.allSettled(
    names.map((name) => start(name).catch((cause) => Promise.reject(missing(name, cause)))),
  );

  const servers = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
    if (composed) await composed.then((project) => project.stop()).catch(() => {});
    if (options.dataFolder === undefined) await rm(dataFolder, { recursive: true, force: true });
  };
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as Error] : []));
  if (failures.length > 0) {
    await stop();
    throw new Error(failures.map((failure) => failure.message).join('\n'));
  }
  const endpoints: ServerPool['endpoints'] = {};
  const versions: ServerPool['versions'] = {};
  const origins: ServerPool['origins'] = {};
  for (const [index, name] of names.entries()) {
    const server = servers[index] as TestServer;
    endpoints[name] = server.endpoint;
    versions[name] = server.version;
    origins[name] = process.env[endpointVariables[name]] ? 'environment' : compose ? 'compose' : 'native';
  }
  return { endpoints, versions, origins, stop };
}
