/**
 * The embedded PostgreSQL: a real server that FStore starts and stops.
 *
 * Invariants
 * 1. The data survives kill -9 of all processes: durability is fully on.
 * 2. The server never outlives FStore, even if FStore was killed: a watcher stops it when FStore's end of a pipe
 *    closes.
 * 3. A data folder has one owner: a second FStore is refused with the pid of the first.
 * 4. The server listens on loopback only, and its password is readable only by the owner of the data folder.
 */
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { installBinaries } from './embedded-binaries-postgres.js';
import { awaitLeftover, claimFolder, openFolder, type SystemUser, serverUser } from './embedded-folder-postgres.js';
import { logSize, passwordInvalid, serverFailure } from './embedded-log-postgres.js';
import { prepareRoles } from './embedded-role-postgres.js';
import { type EmbeddedLog, ENDED_WELL, runServer, supervise } from './embedded-server-postgres.js';

export interface EmbeddedPostgresOptions {
  readonly dataFolder: string;
  readonly log?: EmbeddedLog;
}

export interface EmbeddedPostgres {
  /** Address with the login of FStore itself. */
  readonly url: string;
  /** Address with the login for SQL that users write. */
  readonly readUrl: string;
  readonly version: string;
  /** Stops the server fast: active transactions are rolled back, committed data is on disk. */
  stop(): Promise<void>;
}

/**
 * Starts the server on a data folder, creating both at first, and starts it again whenever it ends.
 *
 * @throws EMBEDDED_POSTGRES_FAILED, EMBEDDED_PASSWORD_INVALID, DISK_FULL, or the error of the file system if the folder cannot be used
 */
export async function startEmbeddedPostgres({
  dataFolder,
  log = () => {},
}: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const user = await serverUser();
  const root = await openFolder(resolve(dataFolder), user);
  if (root !== resolve(dataFolder))
    log('info', 'the data folder is elsewhere, where the server can reach it', { folder: root });
  const release = await claimFolder(root);
  try {
    await awaitLeftover(root);
    const { folder, version } = await installBinaries(root);
    const password = await createCluster(folder, root, user);
    const logStart = await logSize(root);
    const server = await runServer({ binaries: folder, root, password, user, log });
    const logins = await prepareRoles(server.url).catch(async (error: Error) => {
      await server.stop();
      throw await serverFailure(root, `its roles were not created (${error.message})`, logStart);
    });
    return { ...logins, version, stop: () => server.stop().finally(release) };
  } catch (error) {
    await release();
    throw error;
  }
}

/** Creates the database files at the first start; returns the password. */
async function createCluster(folder: string, root: string, user: SystemUser | null): Promise<string> {
  const data = join(root, 'data');
  const passwordFile = join(root, 'password');
  if (await stat(data).catch(() => null)) return readPassword(root, passwordFile);
  const password = randomBytes(18).toString('hex');
  for (const name of await readdir(root)) {
    if (name.endsWith('.draft')) await rm(join(root, name), { recursive: true, force: true }).catch(() => {});
  }
  // A unique name, because the initdb of a killed FStore may still be writing to another draft.
  const draft = `${data}.${randomBytes(6).toString('hex')}.draft`;
  await rm(passwordFile, { force: true });
  await writeFile(passwordFile, password, { mode: 0o600 });
  await mkdir(draft, { mode: 0o700 });
  if (user) {
    await chown(draft, user.uid, user.gid);
    await chown(passwordFile, user.uid, user.gid);
  }
  const options = ['-D', draft, '-U', 'fstore', '-E', 'UTF8', '--locale=C', '-A', 'scram-sha-256', '--no-instructions'];
  const logStart = await logSize(root);
  const initdb = supervise([join(folder, 'bin', 'initdb'), ...options, '--pwfile', passwordFile], root, draft, user);
  const end = await initdb.exited;
  if (end !== ENDED_WELL) throw await serverFailure(root, `initdb failed: ${end}`, logStart);
  // Renamed when it is whole: files whose creation was cut short are never taken for a database.
  await rename(draft, data);
  return password;
}

async function readPassword(root: string, file: string): Promise<string> {
  const password = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw passwordInvalid(root, error.code === 'ENOENT' ? 'it is missing' : error.message);
  });
  if (password.trim() === '') throw passwordInvalid(root, 'it is empty');
  return password.trim();
}
