/**
 * Opens files of tables.
 *
 * Invariants
 * 1. Only regular files are opened; a pipe or a device never blocks.
 * 2. Where a folder is given, the file that was opened lies in it, whatever links lead to it and whatever changes meanwhile.
 */
import { constants, readSync } from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { basename, sep } from 'node:path';
import { FStoreError } from '../errors.js';
import { shownText, unusable } from './table-limit.js';

/** An open file of a table. */
export interface TableFile {
  readonly handle: FileHandle;
  /** Its name without its folder, for errors. */
  readonly name: string;
  /** Field of the request that names the file, for errors. */
  readonly field: string;
  /** Size in bytes. */
  readonly size: number;
}

/** Opens a file. `within`: the folder that it must lie in. Throws BAD_REQUEST. */
export async function openTableFile(path: string, field: string, within: string | null): Promise<TableFile> {
  const name = shownText(basename(path));
  let handle: FileHandle;
  try {
    // Without O_NONBLOCK, opening a named pipe waits until another process opens it for writing.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw refusal(name, field, error as NodeJS.ErrnoException);
  }
  try {
    const found = await handle.stat();
    if (found.isDirectory()) {
      throw unusable(`${name} is a folder; a source reads folders with \`engine: spark\``, field);
    }
    if (!found.isFile()) throw unusable(`${name} is not a regular file`, field);
    if (within !== null && !(await liesIn(path, found, within))) {
      throw unusable(`${name} is a link that leads out of the folder of batch files`, field);
    }
    return { handle, name, field, size: found.size };
  } catch (error) {
    await handle.close();
    if (error instanceof FStoreError) throw error;
    throw refusal(name, field, error as NodeJS.ErrnoException);
  }
}

/** True if the file that is open is, by its real path, one of the folder. */
async function liesIn(path: string, opened: { readonly dev: number; readonly ino: number }, folder: string) {
  const [real, root] = await Promise.all([realpath(path), realpath(folder)]);
  // The name may stand for another file by now.
  const named = await stat(real);
  const inside = real.startsWith(root.endsWith(sep) ? root : root + sep);
  return inside && isVisible(real.slice(root.length)) && named.dev === opened.dev && named.ino === opened.ino;
}

/** False for a path with a part that begins with a dot. */
function isVisible(path: string): boolean {
  return !path.split(/[\\/]/).some((part) => part.startsWith('.'));
}

function refusal(name: string, field: string, error: NodeJS.ErrnoException): FStoreError {
  const { code } = error;
  if (code === 'ENOENT' || code === 'ENOTDIR') return unusable(`there is no file ${name}`, field, error);
  if (code === 'EACCES' || code === 'EPERM') return unusable(`FStore has no permission to read ${name}`, field, error);
  return unusable(`${name} cannot be opened (${code ?? 'unknown reason'})`, field, error);
}

/** Reads bytes at a position; fewer where the file ends. Blocks, so it is for threads that serve nothing. */
export function readBytes({ handle }: TableFile, position: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let read = 0;
  while (read < length) {
    const got = readSync(handle.fd, bytes, read, length - read, position + read);
    if (got === 0) break;
    read += got;
  }
  return read === length ? bytes : bytes.subarray(0, read);
}

/** The texts of a file, piece by piece, decoded from UTF-8; a byte order mark at the beginning is left out. */
export async function* readTexts(file: TableFile): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const piece = 1 << 18;
  for (let position = 0; ; position += piece) {
    const bytes = readBytes(file, position, piece);
    const text = decoder.decode(bytes, { stream: bytes.length === piece });
    if (text !== '') yield text;
    if (bytes.length < piece) return;
  }
}
