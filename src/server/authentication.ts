/** API keys: who may come in at all. Roles and scopes are another matter. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { FStoreError } from '../errors.js';

/** Tells who a caller is by the value of an Authorization header; throws UNAUTHENTICATED if nobody. */
export type Authenticate = (authorization: string | undefined) => string;

/** Lets in whoever shows a key whose SHA-256 is among `hashes`; with no hashes everybody, as `anonymous`. */
export function createAuthenticate(hashes: readonly string[]): Authenticate {
  if (hashes.length === 0) return () => 'anonymous';
  const known = hashes.map((hash) => Buffer.from(hash, 'hex'));
  return (authorization) => {
    const key = /^Bearer (\S+)$/i.exec(authorization ?? '')?.[1];
    if (!key) throw new FStoreError('UNAUTHENTICATED', 'no API key was sent');
    const hash = createHash('sha256').update(key).digest();
    // Every known hash is compared, so that the time taken tells nothing.
    const matches = known.map((one) => timingSafeEqual(one, hash)).filter(Boolean);
    if (matches.length === 0) throw new FStoreError('UNAUTHENTICATED', 'the API key is not known');
    return `key:${hash.toString('hex').slice(0, 8)}`;
  };
}
