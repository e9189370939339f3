import { createHash } from 'node:crypto';

/** Returns the id of a GraphQL document: the SHA-256 of its text, in hexadecimal. */
export function operationId(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
