/** Connections that are slow, silent, or hold bodies that they never finish: each has a limit, and others are served meanwhile. */
import { connect, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../harness/eventually.js';
import {
  type AttackedServer,
  maxStallMs,
  residentBytes,
  serverForms,
  startAttackedServer,
  watchStall,
} from './attacked-server.js';

const REQUEST_TIMEOUT = 2_000;

/** A connection that shows what came and whether it was closed. */
class RawConnection {
  text = '';
  isClosed = false;
  readonly socket: Socket;
  readonly #dribble: NodeJS.Timeout | null;

  constructor(url: string, head: string, dribble = '') {
    const { hostname, port } = new URL(url);
    this.socket = connect(Number(port), hostname);
    this.socket.on('data', (chunk) => {
      this.text += chunk;
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
      if (this.#dribble) clearInterval(this.#dribble);
    });
    if (head) this.socket.write(head);
    this.#dribble = dribble ? setInterval(() => this.socket.write(dribble), 200) : null;
  }
}

const headOf = (path: string, length: number, type = 'application/json') =>
  `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: */*\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n`;

describe.each(serverForms)('%s', (_, form) => {
  let server: AttackedServer;
  beforeAll(async () => {
    server = await startAttackedServer(form, {
      FSTORE_REQUEST_TIMEOUT: `${REQUEST_TIMEOUT / 1_000}s`,
      FSTORE_MAX_BUFFERED_BYTES: '40000000',
      FSTORE_MAX_CONNECTIONS: '300',
    });
  });
  afterAll(() => server?.close());

  test('requests that come slowly are answered 408 with a code, and silent connections are closed', async () => {
    const slow = [
      ['a head', 'POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\n', 'x-a: b\r\n'],
      ['a body of GraphQL', headOf('/graphql', 1_000), ' '],
      ['a body that stops', headOf('/graphql', 1_000), ''],
      ['a body of SSE', headOf('/graphql/stream', 1_000), ' '],
      ['events', headOf('/api/v1/sources/none/events', 1_000), ' '],
      ['an empty line', '\r\n', ''],
    ].map(([name, head, dribble]) => ({ name, connection: new RawConnection(server.url, head!, dribble) }));
    const silent = new RawConnection(server.url, '');
    await eventually(() => {
      expect(slow.filter(({ connection }) => !connection.isClosed).map(({ name }) => name)).toEqual([]);
      expect(silent.isClosed).toBe(true);
    });
    for (const { connection } of slow) {
      expect(connection.text).toMatch(/^HTTP\/1\.1 408 /);
      expect(connection.text).toContain('"REQUEST_TIMEOUT"');
    }
  });

  test('what is not HTTP is answered 400 with a code', async () => {
    const connections = ['hello\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n'].map((text) => new RawConnection(server.url, text));
    await eventually(() => expect(connections.every(({ isClosed }) => isClosed)).toBe(true));
    for (const { text } of connections) expect(text).toContain('"BAD_REQUEST"');
  });

  test('bodies that are never finished are held to the limit of the process, which is free again afterwards', async () => {
    const before = await residentBytes(server.process.pid);
    const paths = ['/graphql', '/api/v1/sources/none/events'];
    const body = Buffer.alloc(2_000_000, ' ');
    const { result: connections, stallMs } = await watchStall(server.url, async () => {
      const all = Array.from(
        { length: 60 },
        (_, at) => new RawConnection(server.url, headOf(paths[at % 2]!, 2_000_001)),
      );
      for (const { socket } of all) {
        socket.write(body);
        // Else this process is what stalls.
        await turn();
      }
      await eventually(() =>
        expect(all.filter(({ text }) => text.includes('"OVERLOADED"')).length).toBeGreaterThan(20),
      );
      return all;
    });
    expect(stallMs).toBeLessThan(maxStallMs());
    for (const { text } of connections) if (text) expect(text).toMatch(/^HTTP\/1\.1 (503|408) /);
    expect((await residentBytes(server.process.pid)) - before).toBeLessThan(250_000_000);
    for (const { socket } of connections) socket.destroy();
    await eventually(async () => {
      const headers = { 'content-type': 'application/json' };
      const large = `${' '.repeat(5_000_000)}{"query":"{ __typename }"}`;
      expect((await fetch(`${server.url}/graphql`, { method: 'POST', headers, body: large })).status).toBe(200);
    });
  });

  test('more connections than the limit are not taken, and those that are there are served', async () => {
    const connections = Array.from({ length: 400 }, () => new RawConnection(server.url, ''));
    await eventually(() => expect(connections.filter(({ isClosed }) => isClosed).length).toBeGreaterThanOrEqual(100));
    for (const { socket } of connections) socket.destroy();
    await eventually(async () => expect((await fetch(`${server.url}/health`)).status).toBe(200));
  });
});
