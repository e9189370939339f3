/** Refuses requests and upgrades that pages of other sites cause, and answers preflights of allowed origins. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { FStoreError } from '../errors.js';
import { errorBody, GRAPHQL_PATH } from './http-error.js';
import { crossOriginHeaders, isPreflight, type OriginPolicy, preflightHeaders } from './origin-policy.js';

const JSON_TYPE = 'application/json; charset=utf-8';

/** Checks a request before all other code. Returns true if the request has been answered: refused, or a preflight. */
export function guardRequest(policy: OriginPolicy, request: IncomingMessage, response: ServerResponse): boolean {
  const verdict = policy.judge(request);
  if (verdict === 'pass') return false;
  if (verdict instanceof FStoreError) {
    const body = JSON.stringify(errorBody(verdict, request.url ?? ''));
    const headers = { 'content-type': JSON_TYPE, 'content-length': Buffer.byteLength(body) };
    response.writeHead(verdict.entry.status, headers).end(body);
    return true;
  }
  if (isPreflight(request)) {
    response.writeHead(204, preflightHeaders(request)).end();
    return true;
  }
  for (const [name, value] of Object.entries(crossOriginHeaders(request.headers.origin!))) {
    response.setHeader(name, value);
  }
  return false;
}

/** Checks an upgrade like `guardRequest`. Returns true if it has been refused. */
export function guardUpgrade(policy: OriginPolicy, request: IncomingMessage, socket: Duplex): boolean {
  const verdict = policy.judge(request);
  if (!(verdict instanceof FStoreError)) return false;
  const body = JSON.stringify(errorBody(verdict, GRAPHQL_PATH));
  const head = `content-type: ${JSON_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`;
  socket.end(`HTTP/1.1 ${verdict.entry.status} Forbidden\r\n${head}\r\n\r\n${body}`);
  return true;
}
