/** The body of a refusal over HTTP, and FStore's errors for refusals of Fastify. */
import type { FastifyError } from 'fastify';
import { FStoreError } from '../errors.js';

export const GRAPHQL_PATH = '/graphql';

/** Returns the body of a refusal. GraphQL clients expect `errors`, all others `error`. */
export function errorBody(error: FStoreError, url: string): Record<string, unknown> {
  if (url.startsWith(GRAPHQL_PATH)) return { errors: [{ message: error.message, extensions: error.extensions }] };
  return { error: { message: error.message, ...error.extensions } };
}

/** Returns a refusal of Fastify as an FStoreError; null for any other error. */
export function refusalOf(error: FastifyError): FStoreError | null {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new FStoreError('EVENT_TOO_LARGE', 'the request body is too large');
  if (error.statusCode && error.statusCode >= 400 && error.statusCode < 500) {
    return new FStoreError('BAD_REQUEST', error.message);
  }
  return null;
}
