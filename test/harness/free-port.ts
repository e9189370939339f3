import { createServer } from 'node:net';

/**
 * Below Linux's ephemeral range (32768…), so that no outgoing connection takes a port between the check and its use.
 */
const lowestPort = 20_000;
const highestPort = 31_999;
const handedOut = new Set<number>();

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * Finds ports on 127.0.0.1 that nobody listens on and that this process has not returned before.
 *
 * @param count the number of ports
 * @returns `count` different port numbers
 * @throws if not enough free ports are found in 1,000 attempts
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let attempt = 0; attempt < 1_000 && ports.length < count; attempt++) {
    const port = lowestPort + Math.floor(Math.random() * (highestPort - lowestPort + 1));
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    if (await isFree(port)) ports.push(port);
  }
  if (ports.length < count) {
    throw new Error(
      `no ${count} free ports on 127.0.0.1 between ${lowestPort} and ${highestPort}: stop what holds them`,
    );
  }
  return ports;
}

/** Returns one free port on 127.0.0.1; see {@link freePorts}. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port as number;
}
