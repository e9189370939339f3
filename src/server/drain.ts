/**
 * Ends the service of a process without a failed request.
 *
 * Invariants
 * 1. While it drains, the process answers everything, every answer carries `Connection: close`, and /ready is 503.
 * 2. An idle connection is closed only after the grace, and only if it was quiet for SAMPLE_MS.
 */
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const SAMPLE_MS = 100;
/** How long connections may go on sending requests after the grace. */
const QUIET_LIMIT_MS = 1_000;

/** Node keeps the response in flight of a connection there; it has had this name since Node 0.10. */
type HttpSocket = Socket & { readonly _httpMessage?: ServerResponse | null };

export class Drain {
  #isDraining = false;
  readonly #server: Server;
  readonly #sockets = new Set<HttpSocket>();

  constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    // A WebSocket is no connection of requests any more.
    server.on('upgrade', (_, socket: Socket) => this.#sockets.delete(socket));
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /**
   * Resolves when the server may close: after `graceMs`, and when no connection sends requests any more.
   *
   * @param graceMs milliseconds that load balancers get to see that /ready is 503
   */
  async run(graceMs: number): Promise<void> {
    this.#isDraining = true;
    this.#server.prependListener('request', (_, response: ServerResponse) => endAfter(response));
    for (const { _httpMessage: response } of this.#sockets) {
      if (response && !response.headersSent) endAfter(response);
    }
    await delay(graceMs);
    const deadline = performance.now() + QUIET_LIMIT_MS;
    let before = this.#sample();
    while (before.size > 0 && performance.now() < deadline) {
      await delay(SAMPLE_MS);
      const now = this.#sample();
      if ([...now].every(([socket, bytes]) => before.get(socket) === bytes)) return;
      before = now;
    }
  }

  /** Bytes that each connection has sent so far; connections with a response in flight are left out. */
  #sample(): Map<HttpSocket, number> {
    const idle = [...this.#sockets].filter((socket) => !socket._httpMessage);
    return new Map(idle.map((socket) => [socket, socket.bytesRead]));
  }
}

/** Lets Node write `Connection: close` into the head of the answer, and close the connection behind it. */
function endAfter(response: ServerResponse): void {
  response.shouldKeepAlive = false;
}
