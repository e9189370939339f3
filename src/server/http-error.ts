/** The form of a refusal over HTTP, and what Fastify's own refusals are called in the table of errors. */
import type { FastifyError } from 'fastify';
import { FStoreError } from '../errors.js';

export const GRAPHQL_PATH = '/graphql';

/** The body of a refusal: GraphQL clients look for `errors`, all others for `error`. */
export function errorBody(error: FStoreError, url: string): Record<string, unknown> {
  if (url.startsWith(GRAPHQL_PATH)) return { errors: [{ message: error.message, extensions: error.extensions }] };
  return { error: { message: error.message, ...error.extensions } };
}

/** A refusal of Fastify as an error of the table; null for anything else. */
export function refusalOf(error: FastifyError): FStoreError | null {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new FStoreError('EVENT_TOO_LARGE', 'the request body is too large');
  if (error.statusCode && error.statusCode >= 400 && error.statusCode < 500) {
    return new FStoreError('BAD_REQUEST', error.message);
  }
  return null;
}
