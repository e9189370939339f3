/** The folder of the embedded PostgreSQL: its path, the user of its server, and the FStore process that owns it. */
import { createHash, randomBytes } from 'node:crypto';
import { chmod, link, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FStoreError } from '../errors.js';
import { makeFolder } from '../system-error.js';

const LEFTOVER_TIMEOUT = 60_000;

export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Returns the user for the server. PostgreSQL refuses to run as root, so then it is `postgres` or `nobody`. Null for
 * the user of this process.
 */
export async function serverUser(): Promise<SystemUser | null> {
  if (process.getuid?.() !== 0) return null;
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const user = users.find(([candidate]) => candidate === name);
    if (user) return { uid: Number(user[2]), gid: Number(user[3]) };
  }
  const message = 'PostgreSQL does not run as root, and there is no user postgres or nobody';
  throw new FStoreError('EMBEDDED_POSTGRES_FAILED', message);
}

/**
 * Creates the folder and returns its path. If the server's user may not enter all parent folders, uses one under
 * /var/tmp.
 */
export async function openFolder(wanted: string, user: SystemUser | null): Promise<string> {
  let folder = wanted;
  if (user && !(await mayEnter(dirname(wanted)))) {
    folder = join('/var/tmp', `fstore-${createHash('sha256').update(wanted).digest('hex').slice(0, 16)}`);
  }
  const first = await makeFolder(folder);
  if (!user) return folder;
  // Everybody may write to /var/tmp, so a folder that another user has created there is not used.
  if (folder !== wanted && (await stat(folder)).uid !== 0) {
    throw new FStoreError('EMBEDDED_POSTGRES_FAILED', `the folder ${folder} belongs to somebody else`);
  }
  // Folders that were just created have the permissions that the umask left.
  for (let place = folder; ; place = dirname(place)) {
    await chmod(place, ((await stat(place)).mode & 0o7777) | 0o011);
    if (place === (first ?? folder)) return folder;
  }
}

/**
 * Returns whether everybody may enter a folder and its parents, with links followed. A missing folder counts as
 * enterable, because it will be created so.
 */
async function mayEnter(path: string): Promise<boolean> {
  const real = await realpath(path).catch(() => null);
  if (real === null) return path === dirname(path) || mayEnter(dirname(path));
  for (let place = real; ; place = dirname(place)) {
    if (((await stat(place)).mode & 0o001) === 0) return false;
    if (place === dirname(place)) return true;
  }
}

/**
 * Returns whether a process is alive. A zombie counts as dead: it may stay forever if nobody reaps it, and it holds
 * nothing.
 */
async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return !/^\d+ \(.*\) Z/s.test(state);
}

/** Returns the first line of a file as a process id, or null. */
async function readPid(file: string): Promise<number | null> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const pid = Number(text.split('\n')[0]);
  return Number.isInteger(pid) && pid > 0 ? pid : null;
}

/**
 * Returns what identifies a process beyond its id, which may be reused: its id and, where the system provides them, its
 * start time and boot id. Null if there is no such process.
 */
async function identity(pid: number): Promise<string | null> {
  if (!(await isAlive(pid))) return null;
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')).split(') ').at(-1)?.split(' ');
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return `${pid}\n${fields?.[19] ?? ''}\n${boot.trim()}`;
}

/**
 * Makes this process the owner of a folder. Throws EMBEDDED_POSTGRES_FAILED with the owner's id if another owner is
 * alive. Returns a function that gives the folder up.
 */
export async function claimFolder(root: string): Promise<() => Promise<void>> {
  const file = join(root, 'owner');
  const mine = (await identity(process.pid)) ?? `${process.pid}`;
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  let released = false;
  const release = async (): Promise<void> => {
    if (!released) await rm(file, { force: true });
    released = true;
  };
  for (;;) {
    await writeFile(draft, mine);
    // A link, not a write: the file appears with its content or not at all, and only one process can create it.
    const claimed = await link(draft, file).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') return false;
        throw error;
      },
    );
    await rm(draft, { force: true });
    if (claimed) return release;
    const found = await readFile(file, 'utf8').catch(() => null);
    if (found === null) continue;
    const pid = Number(found.split('\n')[0]);
    if ((await identity(pid)) === found) {
      throw new FStoreError('EMBEDDED_POSTGRES_FAILED', `process ${pid} uses the data folder ${root}`);
    }
    // The stale claim is moved away before it is checked again. If another process was faster, its claim is put back.
    await rename(file, draft).catch(() => {});
    const moved = await readFile(draft, 'utf8').catch(() => null);
    if (moved !== null && moved !== found) await link(draft, file).catch(() => {});
    await rm(draft, { force: true });
  }
}

/** Waits for the server of an FStore that was killed, and ends it should nobody else do so. */
export async function awaitLeftover(root: string): Promise<void> {
  const data = join(root, 'data');
  const lock = join(data, 'postmaster.pid');
  const deadline = Date.now() + LEFTOVER_TIMEOUT;
  for (let asked = false; ; ) {
    const server = await readPid(lock);
    if (server === null) return;
    const command = await readFile(`/proc/${server}/cmdline`, 'utf8').catch(() => null);
    // PostgreSQL takes any process of this id for the one that had it, though it may be quite another one by now.
    if (!(await isAlive(server)) || (command !== null && !command.includes(data))) return rm(lock, { force: true });
    if (!asked && command !== null) process.kill(server, 'SIGINT');
    asked = true;
    if (Date.now() > deadline) {
      throw new FStoreError('EMBEDDED_POSTGRES_FAILED', `server process ${server} still holds the data folder ${root}`);
    }
    await delay(50);
  }
}
