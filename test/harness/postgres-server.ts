import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { runProcess, startProcess, whenReady } from './child-process.js';
import { freePort } from './free-port.js';
import { postgresBinaries, postgresUser } from './postgres-binaries.js';
import type { TestServer } from './test-server.js';

/**
 * Requests the version of a server.
 *
 * @returns for instance "postgres 15.13"
 * @throws if the server cannot be reached
 */
export async function postgresVersion(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
    return `postgres ${rows[0]?.server_version.split(' ')[0] ?? 'of unknown version'}`;
  } finally {
    await client.end().catch(() => {});
  }
}

/**
 * Starts an empty PostgreSQL with superuser "fstore", without a password, on loopback only. Durability is off: test
 * data need not survive a power failure, and killing the server loses nothing without fsync either.
 */
export async function startPostgres(dataFolder: string): Promise<TestServer> {
  const user = await postgresUser();
  await mkdir(dataFolder, { recursive: true });
  const { folder, statementStatistics } = await postgresBinaries(user, join(dataFolder, 'binaries'));
  const data = join(dataFolder, 'data');
  await mkdir(data, { mode: 0o700 });
  if (user) await chown(data, user.uid, user.gid);
  const logFile = join(dataFolder, 'postgres.log');
  const options = { ...user, cwd: data, logFile, env: { PGDATA: data, LC_ALL: 'C' } };
  const create = ['-U', 'fstore', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'];
  await runProcess(join(folder, 'initdb'), create, options);

  const port = await freePort();
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=200', 'fsync=off'];
  settings.push('synchronous_commit=off', 'full_page_writes=off', 'shared_buffers=128MB');
  if (statementStatistics) settings.push('shared_preload_libraries=pg_stat_statements');
  const arguments_ = ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])];
  // SIGINT is PostgreSQL's "fast" stop; SIGTERM would wait for every client to disconnect.
  const running = startProcess(join(folder, 'postgres'), arguments_, { ...options, stopSignal: 'SIGINT' });
  const endpoint = `postgres://fstore@127.0.0.1:${port}/postgres`;
  try {
    const version = await whenReady(running, () => postgresVersion(endpoint));
    return { endpoint, version, stop: async () => void (await running.stop()) };
  } catch (failure) {
    await running.stop();
    throw failure;
  }
}
