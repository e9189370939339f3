/** Why the embedded PostgreSQL ended or did not start: the end of its log, and the free space of its disk. */
import { open, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { FStoreError } from '../errors.js';

const LOG_TAIL_BYTES = 64_000;
/** PostgreSQL needs room for a segment of its write-ahead log (16 MB) and for a checkpoint. */
const LEAST_FREE_BYTES = 32_000_000;
/** Lines of the log that say why a server ends, and those among them that concern one client only. */
const REASON = /(?:PANIC|FATAL|DETAIL|HINT): |No space left|could not bind/;
const CLIENT_REASON =
  /FATAL: {2}(?:terminating|the database system is|password auth|sorry|no PostgreSQL user|role |database )/;

/** Path of the log of the server whose data folder is `root`. */
export const logFile = (root: string): string => join(root, 'postgres.log');

export function passwordInvalid(root: string, reason: string): FStoreError {
  return new FStoreError('EMBEDDED_PASSWORD_INVALID', `the file ${join(root, 'password')} cannot be used: ${reason}`);
}

/** Size of the server's log in bytes; 0 if there is none. */
export async function logSize(root: string): Promise<number> {
  return (await stat(logFile(root)).catch(() => null))?.size ?? 0;
}

/**
 * Returns an error that says why a program of PostgreSQL ended, from its log and the free space of its disk.
 *
 * @param what what happened, in words
 * @param logStart bytes of the log that are older than the program
 */
export async function serverFailure(root: string, what: string, logStart: number): Promise<FStoreError> {
  const file = logFile(root);
  const lines = await logLines(file, logStart);
  const reasons = lines.filter((line) => REASON.test(line) && !CLIENT_REASON.test(line));
  const shown = (reasons.length > 0 ? reasons.slice(-3) : lines.slice(-5)).join(' / ') || '(nothing)';
  const free = await statfs(root).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => Number.POSITIVE_INFINITY,
  );
  // The log lies on the same disk, so it may lack the line that says so.
  if (free < LEAST_FREE_BYTES || reasons.some((line) => line.includes('No space left'))) {
    const left = `the disk of ${root} has ${Math.round(free / 1e6)} MB left`;
    return new FStoreError('DISK_FULL', `${what}; ${left}; ${file} ends with: ${shown}`);
  }
  return new FStoreError('EMBEDDED_POSTGRES_FAILED', `${what}; ${file} ends with: ${shown}`);
}

async function logLines(file: string, start: number): Promise<string[]> {
  const handle = await open(file, 'r').catch(() => null);
  if (!handle) return [];
  try {
    const { size } = await handle.stat();
    const from = Math.max(start, size - LOG_TAIL_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(Math.max(0, size - from)), 0, undefined, from);
    const lines = buffer.toString('utf8', 0, bytesRead).trimEnd().split('\n');
    return lines.filter((line) => line !== '');
  } finally {
    await handle.close();
  }
}
