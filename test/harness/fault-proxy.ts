import { createServer, type Server, Socket } from 'node:net';

export interface FaultProxy {
  /** Where clients connect, on 127.0.0.1. */
  readonly port: number;
  /** Delays every chunk, in both directions, by so many milliseconds; 0 ends it. */
  setLatency(milliseconds: number): void;
  /** Closes every connection and refuses new ones, as a stopped server does. */
  cut(): Promise<void>;
  /** Accepts connections, but forwards nothing any more in either direction, as a hung server does. */
  halfOpen(): void;
  /** Ends every open connection with RST; new ones are treated as before. */
  reset(): void;
  /** Back to plain forwarding without latency; connections that were half-open are closed, since they lost bytes. */
  heal(): Promise<void>;
  /** Closes everything, for good. */
  close(): Promise<void>;
}

/** Copies one direction, in order, each chunk as late as the latency at its arrival says. */
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
 * Puts a TCP proxy, whose faults a test controls, in front of a server.
 *
 * @param target where connections are forwarded to
 * @returns the proxy, listening on a free port of 127.0.0.1 and forwarding
 * @throws when it can not listen
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
