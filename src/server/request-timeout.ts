/**
 * How long a client may take to send a request, and what one that takes longer is answered.
 *
 * Node looks at the time of each request until it is complete; an answer may take as long as it needs. Uploads that are streamed to disk
 * may take longer than a request; they have a least speed instead (`training-set-door.ts`).
 */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { FStoreError } from '../errors.js';
import { errorBody } from './http-error.js';

/** Milliseconds for the head of a request, and for a new connection that says nothing. */
const HEAD_TIMEOUT = 15_000;
/** Milliseconds between two looks at unfinished requests; Node's 30 s would add as much to each limit. */
const CHECK_INTERVAL = 1_000;

const uploads = new WeakSet<Duplex>();

/** Options of the HTTP server by which a request has to be there within `requestTimeout` milliseconds. */
export function timeoutOptions(requestTimeout: number): {
  readonly headersTimeout: number;
  readonly connectionsCheckingInterval: number;
} {
  return {
    headersTimeout: Math.min(HEAD_TIMEOUT, requestTimeout),
    connectionsCheckingInterval: Math.min(CHECK_INTERVAL, requestTimeout),
  };
}

/** Lets the request on this socket take longer than others. */
export function exemptUpload(socket: Duplex): void {
  uploads.add(socket);
}

/** Answers what Node refuses before there is a request, or while one is read; for the event `clientError`. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  const isLate = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  if (isLate && uploads.has(socket)) return;
  const { _httpMessage: response } = socket as { _httpMessage?: ServerResponse };
  if (error.code === 'ECONNRESET' || !socket.writable || response?.headersSent) {
    socket.destroy();
    return;
  }
  const isLong = error.code === 'HPE_HEADER_OVERFLOW';
  const known = isLate
    ? new FStoreError('REQUEST_TIMEOUT', 'the request was not complete in time')
    : new FStoreError('BAD_REQUEST', isLong ? 'the headers are too long' : 'the request is not valid HTTP/1.1');
  const status = isLate ? '408 Request Timeout' : isLong ? '431 Request Header Fields Too Large' : '400 Bad Request';
  const body = JSON.stringify(errorBody(known, response?.req?.url ?? ''));
  const head = `content-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}`;
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\n${head}\r\n\r\n${body}`, () => socket.destroy());
}
