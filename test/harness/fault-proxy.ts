import { createServer, type Server, Socket } from 'node:net';

/** A TCP proxy with faults that a test controls. */
export interface FaultProxy {
  /** Port on 127.0.0.1 that clients connect to. */
  readonly port: number;
  /** Delays every chunk in both directions by this many milliseconds; 0 ends the delay. */
  setLatency(milliseconds: number): void;
  /** Closes every connection and refuses new ones, like a stopped server. */
  cut(): Promise<void>;
  /** Accepts connections but forwards nothing in either direction, like a hung server. */
  halfOpen(): void;
  /** Ends every open connection with RST; later connections are not affected. */
  reset(): void;
  /** Forwards normally again, without latency. Closes half-open connections, because they have lost bytes. */
  heal(): Promise<void>;
  /** Closes all connections and stops listening for good. */
  close(): Promise<void>;
}

/** Copies one direction in order, and delays each chunk by the latency at its arrival. */
function forward(from: Socket, to: Socket, latency: () => number, mute: () => boolean): void {
  let lastDue = 0;
  const inOrder = (action: () => void) => {
    lastDue = Math.max(lastDue, Date.now() + latency());
    const wait = lastDue - Date.now();
    if (wait <= 0) action();
    else setTimeout(action, wait);
  };
  from.on('data', (chunk) => {
    if (mute()) return;
    inOrder(() => {
      if (to.destroyed || to.write(chunk)) return;
      from.pause();
      to.once('drain', () => from.resume());
    });
  });
  from.on('end', () => inOrder(() => to.end()));
  from.on('error', () => to.destroy());
  from.on('close', () => inOrder(() => to.destroy()));
}

/**
 * Starts a TCP proxy in front of a server.
 *
 * @param target the address that connections are forwarded to
 * @returns the proxy, listening on a free port of 127.0.0.1 and forwarding
 * @throws if it cannot listen
 */
export async function createFaultProxy(target: { targetHost: string; targetPort: number }): Promise<FaultProxy> {
  let latency = 0;
  let mute = false;
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.once('close', () => sockets.delete(socket));
    return socket;
  };
  const accept = (client: Socket) => {
    track(client);
    const upstream = track(new Socket({ allowHalfOpen: true }));
    const delay = () => latency;
    const silent = () => mute;
    forward(client, upstream, delay, silent);
    forward(upstream, client, delay, silent);
    upstream.connect(target.targetPort, target.targetHost);
  };
  let server: Server | undefined;
  const listen = (port: number) =>
    new Promise<number>((resolve, reject) => {
      const next = createServer({ allowHalfOpen: true }, accept);
      next.once('error', reject);
      next.listen({ host: '127.0.0.1', port }, () => {
        server = next;
        resolve((next.address() as { port: number }).port);
      });
    });
  const refuse = () =>
    new Promise<void>((resolve) => {
      if (server) server.close(() => resolve());
      else resolve();
      server = undefined;
      for (const socket of sockets) socket.destroy();
    });

  const port = await listen(0);
  return {
    port,
    setLatency(milliseconds) {
      latency = milliseconds;
    },
    cut: refuse,
    halfOpen() {
      mute = true;
    },
    reset() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    async heal() {
      if (mute) for (const socket of sockets) socket.destroy();
      latency = 0;
      mute = false;
      if (!server) await listen(port);
    },
    close: refuse,
  };
}
