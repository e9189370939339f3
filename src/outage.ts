/**
 * Why a server that FStore needs does not answer: for the log and for the start of a process. Clients are told no
 * addresses and no messages of drivers.
 */
import { FStoreError } from './errors.js';

/** SQLSTATEs of PostgreSQL that mean a wrong login (class 28) or a database that does not exist (class 3D). */
const LOGIN_REFUSED = /^(?:28|3D)/;

/** Returns `host:port` of each server of an address, without its user, password, path and parameters. */
export function hostsOf(address: string): string {
  const afterScheme = address.replace(/^[\w+.-]+:\/\//, '');
  const authority = afterScheme.split(/[/?]/, 1)[0] ?? '';
  return authority.slice(authority.lastIndexOf('@') + 1);
}

/** Returns the message of the error at the bottom of a chain of causes: what the operating system or the server said. */
export function outageReason(error: unknown): string {
  let deepest = error as Error & { readonly code?: string; readonly errors?: readonly Error[] };
  while (deepest.cause instanceof Error) deepest = deepest.cause;
  // A host name with several addresses gives one error for each.
  const one = deepest.errors?.[0] ?? deepest;
  return one.message || deepest.code || 'no reason given';
}

/**
 * Opens a connection to a server. A failure names the server, its host and port, and the reason.
 *
 * @param server what is opened, such as `PostgreSQL`
 * @param field the variable that holds its address
 * @param address the address; null for a server that FStore started itself, whose failures keep their own message
 * @throws CONFIG_INVALID if PostgreSQL refuses the login or does not have the database, else what `connect` throws
 */
export async function connecting<T>(
  server: string,
  field: string,
  address: string | null,
  connect: () => Promise<T>,
): Promise<T> {
  try {
    return await connect();
  } catch (error) {
    if (address === null) throw error;
    const at = `${server} at ${hostsOf(address)}`;
    const { code } = error as { readonly code?: unknown };
    if (!(error instanceof FStoreError)) {
      if (typeof code !== 'string' || !LOGIN_REFUSED.test(code)) throw error;
      const message = `${at} refuses the login: ${outageReason(error)}`;
      throw new FStoreError('CONFIG_INVALID', message, { field }, [], { cause: error });
    }
    if (error.entry.status !== 503) throw error;
    const message = `${at} cannot be reached: ${outageReason(error)}`;
    throw new FStoreError(error.code, message, { field }, [], { cause: error });
  }
}
