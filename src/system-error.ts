/**
 * Errors of the operating system that a user can mend, in codes of the table: files, folders, disks, limits and ports.
 * Network errors of stores are not among them; each adapter gives those the code of its store.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type ErrorCode, FStoreError } from './errors.js';

interface SystemReason {
  readonly code: ErrorCode;
  readonly reason: string;
}

const path = (reason: string): SystemReason => ({ code: 'PATH_UNUSABLE', reason });
const disk = (reason: string): SystemReason => ({ code: 'DISK_FULL', reason });
const files = (reason: string): SystemReason => ({ code: 'TOO_MANY_OPEN_FILES', reason });

/** Every errno that a user can mend. */
const REASONS: Readonly<Record<string, SystemReason>> = {
  EACCES: path('permission denied'),
  EPERM: path('operation not permitted'),
  EROFS: path('the file system is read-only'),
  ENOENT: path('no such file or folder'),
  ENOTDIR: path('a part of the path is a file, not a folder'),
  EISDIR: path('it is a folder, not a file'),
  EEXIST: path('it exists already and is not a folder'),
  ENOTEMPTY: path('the folder is not empty'),
  ELOOP: path('too many symbolic links'),
  ENAMETOOLONG: path('the name is too long'),
  EBUSY: path('it is in use'),
  EIO: path('the device reports an input/output error'),
  ENOSPC: disk('no space left on the device'),
  EDQUOT: disk('the disk quota is used up'),
  EFBIG: disk('the file would be larger than the system allows'),
  EMFILE: files('this process has too many files and connections open'),
  ENFILE: files('the system has too many files open'),
};

/** Why a host name or an address cannot be listened on, by errno. */
const HOST_REASONS: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: 'this machine does not have the address',
  ENOTFOUND: 'the host name does not resolve',
  EAI_AGAIN: 'the host name does not resolve',
  EINVAL: 'it is not an address to listen on',
  EAFNOSUPPORT: 'this machine does not support this kind of address',
};

function errnoOf(error: unknown): NodeJS.ErrnoException | null {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  return typeof code === 'string' && typeof syscall === 'string' ? (error as NodeJS.ErrnoException) : null;
}

/**
 * Returns an error of the operating system as an error of the table; null for every other error.
 *
 * @param error anything that was thrown
 * @param named what the message names: the path too (for the user of this machine), or the reason only (for clients)
 */
export function systemError(error: unknown, named: 'path' | 'reason'): FStoreError | null {
  const found = errnoOf(error);
  const entry = found && REASONS[found.code ?? ''];
  if (!found || !entry) return null;
  const object = named === 'path' && found.path ? `${found.path}: ` : '';
  const message = `${object}${entry.reason} (${found.code}, ${found.syscall})`;
  return new FStoreError(entry.code, message, {}, [], { cause: error });
}

/**
 * Returns a failed start as an error that names the variable of the folder at fault. Errors that do not come from the file system
 * return as they are.
 */
export function folderError(error: unknown, variable: string, folder: string): unknown {
  const known = systemError(error, 'path');
  if (!known) return error;
  if (known.code !== 'PATH_UNUSABLE') return known;
  const message = `the folder ${resolve(folder)} cannot be used: ${known.message}`;
  return new FStoreError('CONFIG_INVALID', message, { field: variable }, [], { cause: error });
}

/**
 * Creates a folder and the folders above it. `mkdir` of Node 20 with `recursive` never ends in a file system that takes no folders,
 * such as /proc.
 *
 * @returns the first folder that it created; undefined if the folder existed
 * @throws the error of the file system
 */
export async function makeFolder(folder: string): Promise<string | undefined> {
  const make = (): Promise<string | undefined> =>
    mkdir(folder).then(
      () => folder,
      async (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST' && (await stat(folder)).isDirectory()) return undefined;
        throw error;
      },
    );
  try {
    return await make();
  } catch (error) {
    const above = dirname(folder);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === folder) throw error;
    const first = await makeFolder(above);
    const own = await make();
    return first ?? own;
  }
}

/**
 * Creates a folder that FStore writes to, and writes and removes a file in it.
 *
 * @throws CONFIG_INVALID that names `variable`, or DISK_FULL
 */
export async function checkFolder(variable: string, folder: string): Promise<void> {
  const probe = join(folder, `.fstore-${randomUUID()}`);
  try {
    await makeFolder(resolve(folder));
    await writeFile(probe, 'probe');
  } catch (error) {
    throw folderError(error, variable, folder);
  } finally {
    await rm(probe, { force: true }).catch(() => {});
  }
}

/** Returns why a server cannot listen, as an error that names the variable at fault; every other error as it is. */
export function listenError(error: unknown, host: string, port: number): unknown {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  const options = { cause: error };
  if (code === 'EADDRINUSE') {
    const message = `port ${port} of ${host} is in use by another process`;
    return new FStoreError('PORT_IN_USE', message, { field: 'FSTORE_PORT' }, [], options);
  }
  if (code === 'EACCES' || code === 'EPERM') {
    const message = `this process may not listen on port ${port}: ports below 1024 are usually reserved for root`;
    return new FStoreError('CONFIG_INVALID', message, { field: 'FSTORE_PORT' }, [], options);
  }
  const reason = HOST_REASONS[code ?? ''];
  if (reason === undefined) return error;
  return new FStoreError(
    'CONFIG_INVALID',
    `FStore cannot listen on ${host}: ${reason}`,
    { field: 'FSTORE_HOST' },
    [],
    options,
  );
}
