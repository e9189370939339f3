/** GraphQL over WebSocket: upgrades of the GraphQL path. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, GRAPHQL_TRANSPORT_WS_PROTOCOL, handleProtocols } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Authenticate } from './authentication.js';
import type { BodyMemory } from './body-memory.js';
import type { OperationRun } from './operation-run.js';
import { guardUpgrade } from './origin-guard.js';
import type { OriginPolicy } from './origin-policy.js';
import { WebSocketSession } from './websocket-session.js';

const TRY_AGAIN_LATER = 1013;
const MAX_MESSAGE_BYTES = 1_000_000;
const GOING_AWAY = 1001;
/** Milliseconds that a client has to answer the close frame when the server stops. */
const CLOSE_PATIENCE = 3_000;

export interface WebSocketDoorOptions {
  readonly path: string;
  readonly authenticate: Authenticate;
  readonly origins: OriginPolicy;
  readonly run: OperationRun;
  readonly memory: BodyMemory;
}

/** Answers graphql-transport-ws on upgrades of `path`. Returns a function that ends all connections. */
export function openWebSocketDoor(server: Server, options: WebSocketDoorOptions): () => Promise<void> {
  const { path, authenticate, origins, run, memory } = options;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    handleProtocols,
    // One message in each turn of the event loop: a client that sends thousands at once must not hold up the others.
    allowSynchronousEvents: false,
  });
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (guardUpgrade(origins, request, socket)) return;
    if (request.url?.split('?')[0] !== path) {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      countUnfinished(webSocket, socket, memory);
      if (webSocket.protocol === GRAPHQL_TRANSPORT_WS_PROTOCOL) {
        new WebSocketSession(webSocket, request, run, authenticate);
        return;
      }
      webSocket.on('error', () => {});
      webSocket.close(CloseCode.SubprotocolNotAcceptable, 'Subprotocol not acceptable');
    });
  };
  server.on('upgrade', upgrade);
  return async () => {
    server.off('upgrade', upgrade);
    for (const client of sockets.clients) client.close(GOING_AWAY, 'Going away');
    const timer = setTimeout(() => {
      for (const client of sockets.clients) client.terminate();
    }, CLOSE_PATIENCE);
    await new Promise<void>((resolve) => sockets.close(() => resolve()));
    clearTimeout(timer);
  };
}

/** Counts the bytes of a message that is not complete, and closes the connection if there is no room for more. */
function countUnfinished(webSocket: WebSocket, socket: Duplex, memory: BodyMemory): void {
  let bytes = 0;
  const clear = (): void => {
    memory.give(bytes);
    bytes = 0;
  };
  const count = (chunk: Buffer): void => {
    if (memory.take(chunk.length)) bytes += chunk.length;
    else webSocket.close(TRY_AGAIN_LATER, 'OVERLOADED');
  };
  socket.on('data', count);
  for (const event of ['message', 'ping', 'pong'] as const) webSocket.on(event, clear);
  webSocket.once('close', () => {
    socket.off('data', count);
    clear();
  });
}
