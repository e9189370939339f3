/** Authentication by API keys. It decides who may enter at all; roles and scopes are out of its scope. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { FStoreError } from '../errors.js';

/** Returns the name of a caller, given the value of an Authorization header. Throws UNAUTHENTICATED. */
export type Authenticate = (authorization: string | undefined) => string;

/**
 * Returns an `Authenticate` that accepts keys whose SHA-256 is in `hashes`. Without hashes it accepts everybody as
 * `anonymous`.
 */
export function createAuthenticate(hashes: readonly string[]): Authenticate {
  if (hashes.length === 0) return () => 'anonymous';
  const known = hashes.map((hash) => Buffer.from(hash, 'hex'));
  return (authorization) => {
    const key = /^Bearer (\S+)$/i.exec(authorization ?? '')?.[1];
    if (!key) throw new FStoreError('UNAUTHENTICATED', 'no API key was sent');
    const hash = createHash('sha256').update(key).digest();
    // Compares all known hashes, so that the time taken reveals nothing.
    const matches = known.map((one) => timingSafeEqual(one, hash)).filter(Boolean);
    if (matches.length === 0) throw new FStoreError('UNAUTHENTICATED', 'the API key is not known');
    return `key:${hash.toString('hex').slice(0, 8)}`;
  };
}
