/** GraphQL over WebSocket: upgrades of the GraphQL path. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, GRAPHQL_TRANSPORT_WS_PROTOCOL, handleProtocols } from 'graphql-ws';
import { WebSocketServer } from 'ws';
import type { Authenticate } from './authentication.js';
import type { OperationRun } from './operation-run.js';
import { guardUpgrade } from './origin-guard.js';
import type { OriginPolicy } from './origin-policy.js';
import { WebSocketSession } from './websocket-session.js';

const MAX_MESSAGE_BYTES = 1_000_000;
const GOING_AWAY = 1001;
/** Milliseconds that a client has to answer the close frame when the server stops. */
const CLOSE_PATIENCE = 3_000;

export interface WebSocketDoorOptions {
  readonly path: string;
  readonly authenticate: Authenticate;
  readonly origins: OriginPolicy;
  readonly run: OperationRun;
}

/** Answers graphql-transport-ws on upgrades of `path`. Returns a function that ends all connections. */
export function openWebSocketDoor(server: Server, options: WebSocketDoorOptions): () => Promise<void> {
  const { path, authenticate, origins, run } = options;
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
