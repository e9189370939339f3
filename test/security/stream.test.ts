/** Streams over SSE and WebSocket: nobody reads the stream of another client, and no client costs more than its share. */
import { once } from 'node:events';
import { type ClientRequest, request as send } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { eventually } from '../harness/eventually.js';
import { TICK_DEFINITIONS } from '../harness/subscription-fleet.js';
import { apply, push } from '../system/graphql-door.js';
import {
  type AttackedServer,
  maxStallMs,
  residentBytes,
  serverForms,
  startAttackedServer,
  watchStall,
} from './attacked-server.js';

const PER_CONNECTION = 100;
const PER_PROCESS = 300;
const events = { accept: 'text/event-stream', 'content-type': 'application/json' };
const subscriptionTo = (id: string) => `subscription { deviceTicksUpdated(ids: ["${id}"]) { id ticks { n } } }`;

interface Message {
  readonly id?: string;
  readonly type: string;
  readonly payload?: { readonly data?: unknown } | readonly { readonly extensions?: { readonly code?: string } }[];
}

/** A client of graphql-transport-ws that shows every message as it came. */
class RawClient {
  readonly messages: Message[] = [];
  closed: number | null = null;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (bytes) => this.messages.push(JSON.parse(String(bytes)) as Message));
    socket.on('close', (code) => {
      this.closed = code;
    });
  }

  static async open(url: string): Promise<RawClient> {
    const client = new RawClient(new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws'));
    await once(client.socket, 'open');
    client.send({ type: 'connection_init' });
    await client.until(({ type }) => type === 'connection_ack');
    return client;
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  subscribe(id: string, query: string, variables?: unknown): void {
    this.send({ id, type: 'subscribe', payload: { query, variables } });
  }

  async until(fits: (message: Message) => boolean): Promise<Message> {
    await eventually(() => expect(this.messages.some(fits) || this.closed !== null).toBe(true));
    const found = this.messages.find(fits);
    if (!found) throw new Error(`closed with ${this.closed}: ${JSON.stringify(this.messages.slice(-3))}`);
    return found;
  }

  /** The code of the `error` message of an operation. */
  async errorOf(id: string): Promise<string | undefined> {
    const { payload } = await this.until((message) => message.id === id && message.type === 'error');
    return (payload as readonly { readonly extensions?: { readonly code?: string } }[])[0]?.extensions?.code;
  }
}

/** An SSE stream over a socket of its own, with all that has come so far. */
class RawStream {
  text = '';
  constructor(
    readonly request: ClientRequest,
    readonly status: number,
  ) {}

  static open(url: string, query: string): Promise<RawStream> {
    return new Promise((resolve, reject) => {
      const request = send(`${url}/graphql/stream`, { method: 'POST', headers: events, agent: false }, (response) => {
        const stream = new RawStream(request, response.statusCode ?? 0);
        response.setEncoding('utf8').on('data', (chunk) => {
          stream.text += chunk;
        });
        response.on('error', () => {});
        resolve(stream);
      });
      request.on('error', reject);
      request.end(JSON.stringify({ query }));
    });
  }
}

describe.each(serverForms)('%s', (_, form) => {
  let server: AttackedServer;
  let count = 0;
  const tick = (device: string, n: number, seal = 's') => {
    count += 1;
    const event_time = new Date(Date.now() - 50_000 + count).toISOString();
    return push(server.url, 'ticks', [{ device_id: device, n: `${n}`, seal, sent_at: 0, event_time }]);
  };
  beforeAll(async () => {
    server = await startAttackedServer(form, {
      FSTORE_MAX_SUBSCRIPTIONS_PER_CONNECTION: `${PER_CONNECTION}`,
      FSTORE_MAX_SUBSCRIPTIONS: `${PER_PROCESS}`,
    });
    await apply(server.url, TICK_DEFINITIONS);
  });
  afterAll(() => server?.close());

  test('SSE has no streams that clients share: PUT and DELETE are refused, and others get their answers', async () => {
    for (const method of ['PUT', 'PUT', 'DELETE']) {
      const response = await fetch(`${server.url}/graphql/stream?operationId=1&token=undefined`, { method });
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, POST']);
      expect(await response.text()).toContain('"METHOD_NOT_ALLOWED"');
    }
    for (const token of ['undefined', '', 'a', 'a']) {
      const headers = { ...events, 'x-graphql-event-stream-token': token };
      const body = '{"query":"{ __typename }","extensions":{"operationId":"1"}}';
      const response = await fetch(`${server.url}/graphql/stream?token=${token}`, { method: 'POST', headers, body });
      expect(await response.text()).toBe(
        ':\n\nevent: next\ndata: {"data":{"__typename":"Query"}}\n\nevent: complete\ndata:\n\n',
      );
    }
  });

  const malformed: [string, RequestInit & { search?: string }, number, string][] = [
    [
      'no Accept',
      { body: '{"query":"{ __typename }"}', headers: { 'content-type': 'application/json' } },
      406,
      'NOT_ACCEPTABLE',
    ],
    ['an address without Accept', { method: 'GET', search: '?query={__typename}', headers: {} }, 406, 'NOT_ACCEPTABLE'],
    ['text', { body: '{"query":"{ __typename }"}', headers: { accept: events.accept } }, 400, 'BAD_REQUEST'],
    ['a list', { body: '[]' }, 400, 'BAD_REQUEST'],
    ['no query', { body: '{}' }, 400, 'BAD_REQUEST'],
    ['a query that is a number', { body: '{"query":1}' }, 400, 'BAD_REQUEST'],
    ['variables that are a list', { body: '{"query":"{ __typename }","variables":[]}' }, 400, 'BAD_REQUEST'],
    [
      'variables in an address that are not JSON',
      { method: 'GET', search: '?query={__typename}&variables={' },
      400,
      'BAD_REQUEST',
    ],
    ['an operation that is not there', { body: '{"query":"{ __typename }","operationName":"x"}' }, 400, 'BAD_REQUEST'],
    ['a syntax error', { body: '{"query":"{"}' }, 400, 'BAD_REQUEST'],
    ['an id that nobody registered', { body: '{"documentId":"sha256:00"}' }, 404, 'PERSISTED_QUERY_NOT_FOUND'],
  ];
  test.each(malformed)('SSE refuses %s, with a code', async (_name, { search = '', ...init }, status, code) => {
    const response = await fetch(`${server.url}/graphql/stream${search}`, { method: 'POST', headers: events, ...init });
    expect([response.status, /"code":"([A-Z_]+)"/.exec(await response.text())?.[1]]).toEqual([status, code]);
  });

  test('a GET runs no mutation over SSE', async () => {
    const query = encodeURIComponent(
      'mutation { checkSource(input: { query: "SELECT 1 AS a", sample: 1 }) { source } }',
    );
    const response = await fetch(`${server.url}/graphql/stream?query=${query}`, {
      headers: { accept: 'text/event-stream' },
    });
    const answer = (await response.json()) as { errors: { extensions: { code: string } }[] };
    expect([response.status, answer.errors[0]?.extensions.code]).toEqual([405, 'METHOD_NOT_ALLOWED']);
  });

  test('values nested thousands deep are a client error over SSE', async () => {
    for (const depth of [2_400, 4_900]) {
      const query = `{ device(id: ${'['.repeat(depth)}${']'.repeat(depth)}) { id } }`;
      const response = await fetch(`${server.url}/graphql/stream`, {
        method: 'POST',
        headers: events,
        body: JSON.stringify({ query }),
      });
      expect(response.status).toBe(400);
      expect(await response.text()).not.toContain('INTERNAL');
    }
  });

  test('aborted SSE streams are freed at once', async () => {
    for (let round = 0; round < 3; round += 1) {
      const streams: RawStream[] = [];
      // More than three times as many as may be open together.
      await eventually(async () => {
        while (streams.length < PER_PROCESS - 20) {
          const some = Array.from({ length: 20 }, () => RawStream.open(server.url, subscriptionTo('nobody')));
          const opened = await Promise.all(some);
          streams.push(...opened.filter(({ status }) => status === 200));
          expect(opened.map(({ status }) => status)).toEqual(Array(20).fill(200));
        }
      });
      for (const { request } of streams) request.destroy();
    }
  });

  test('an SSE client that does not read costs little, and gets the newest value when it reads again', async () => {
    const { hostname, port } = new URL(server.url);
    const socket: Socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    const query = 'subscription { deviceTicksUpdated(ids: ["fat"]) { ticks { n seal } } }';
    const body = JSON.stringify({ query });
    const head = `POST /graphql/stream HTTP/1.1\r\nhost: ${hostname}:${port}\r\naccept: text/event-stream\r\n`;
    socket.write(`${head}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    await once(socket, 'data');
    socket.pause();
    const before = await residentBytes(server.process.pid);
    const last = 40;
    const reader = await RawClient.open(server.url);
    reader.subscribe('1', subscriptionTo('fat'));
    const seal = 'x'.repeat(900_000);
    for (let n = 1; n <= last; n += 1) await tick('fat', n, seal);
    await reader.until(({ payload }) => JSON.stringify(payload ?? {}).includes(`"n":"${last}"`));
    reader.socket.terminate();
    // 40 results are 36 MB, beside what 40 pushes leave for the collector.
    expect((await residentBytes(server.process.pid)) - before).toBeLessThan(400_000_000);
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += String(chunk).replace(/x{100,}/g, '');
    });
    socket.resume();
    await eventually(() => expect(text).toContain(`"n":"${last}"`));
    expect(text.match(/event: next/g)!.length).toBeLessThan(20);
    socket.destroy();
  });

  test('an operation that was completed neither answers nor ends the next one of its id', async () => {
    const client = await RawClient.open(server.url);
    const other = await RawClient.open(server.url);
    other.subscribe('o', subscriptionTo('a'));
    for (let round = 1; round <= 5; round += 1) {
      client.subscribe('1', subscriptionTo('a'));
      client.send({ id: '1', type: 'complete' });
      client.subscribe('1', subscriptionTo('b'));
      client.subscribe(`mark${round}`, '{ __typename }');
      await client.until(({ id, type }) => id === `mark${round}` && type === 'complete');
      await tick('a', round);
      await other.until(({ payload }) => JSON.stringify(payload ?? {}).includes(`"n":"${round}"`));
      await tick('b', round);
      await client.until(({ id, payload }) => id === '1' && JSON.stringify(payload).includes(`"n":"${round}"`));
      client.send({ id: '1', type: 'complete' });
    }
    const ofOne = client.messages.filter(({ id }) => id === '1');
    expect(ofOne.filter(({ type }) => type !== 'next')).toEqual([]);
    expect(ofOne.filter((message) => JSON.stringify(message).includes('"id":"a"'))).toEqual([]);
    for (const { socket } of [client, other]) socket.terminate();
  });

  test('an operation that cannot run ends alone: its WebSocket and the other operations stay', async () => {
    const client = await RawClient.open(server.url);
    client.subscribe('stays', subscriptionTo('c'));
    const deep = '['.repeat(4_900) + ']'.repeat(4_900);
    const operations: [string, string, unknown?][] = [
      ['syntax', '{'],
      ['field', '{ nothing }'],
      ['depth', `{ ${'... on Query { '.repeat(40)}project { name }${' }'.repeat(40)} }`],
      ['aliases', `{ ${Array.from({ length: 200 }, (_, at) => `a${at}: project { name }`).join(' ')} }`],
      ['tokens', `{ ${'project { name } '.repeat(4_000)} }`],
      ['value', `{ device(id: ${deep}) { id } }`],
      ['subscription', `subscription { deviceTicksUpdated(ids: ${deep}) { id } }`],
      ['none', ''],
      ['fragment', 'fragment F on Query { __typename }'],
    ];
    for (const [id, query] of operations) {
      client.subscribe(id, query);
      expect(['BAD_REQUEST', 'OPERATION_TOO_COMPLEX']).toContain(await client.errorOf(id));
    }
    client.send({ id: 'form', type: 'subscribe', payload: { query: 1 } });
    client.send({ id: 'list', type: 'subscribe', payload: { query: '{ __typename }', variables: [] } });
    client.send({ id: 'bare', type: 'subscribe' });
    for (const id of ['form', 'list', 'bare']) expect(await client.errorOf(id)).toBe('BAD_REQUEST');
    await tick('c', 1);
    await client.until(({ id, type }) => id === 'stays' && type === 'next');
    expect(client.closed).toBeNull();
    client.socket.terminate();
  });

  test.each([
    ['text that is not JSON', 'half {'],
    ['a message of an unknown type', '{"type":"shout"}'],
    ['a binary frame', '\u0000'],
    ['ten thousand open brackets', '['.repeat(10_000)],
  ])('%s is answered with code 4400, as the protocol says, and other connections stay', async (_name, text) => {
    const [client, other] = [await RawClient.open(server.url), await RawClient.open(server.url)];
    client.send(text);
    await eventually(() => expect(client.closed).toBe(4400));
    other.subscribe('1', '{ __typename }');
    await other.until(({ type }) => type === 'complete');
    other.socket.terminate();
  });

  test('10,000 subscriptions on one WebSocket are held to the limit, and stall nobody', async () => {
    const client = await RawClient.open(server.url);
    const { stallMs } = await watchStall(server.url, async () => {
      for (let at = 0; at < 10_000; at += 1) {
        client.subscribe(`${at}`, subscriptionTo(`d${at}`));
        // Else this process is what stalls.
        if (at % 100 === 0) await turn();
      }
      client.subscribe('last', '{ __typename }');
      await client.until(({ id, type }) => id === 'last' && type === 'complete');
    });
    expect(stallMs).toBeLessThan(maxStallMs());
    const refused = client.messages.filter(({ type }) => type === 'error');
    expect(refused.length).toBe(10_000 - PER_CONNECTION);
    expect(await client.errorOf(`${PER_CONNECTION}`)).toBe('TOO_MANY_SUBSCRIPTIONS');
    for (let at = 0; at < PER_CONNECTION; at += 1) client.send({ id: `${at}`, type: 'complete' });
    client.subscribe('again', subscriptionTo('e'));
    client.subscribe('mark', '{ __typename }');
    await client.until(({ id, type }) => id === 'mark' && type === 'complete');
    await tick('e', 1);
    await client.until(({ id, type }) => id === 'again' && type === 'next');
    client.socket.terminate();
  });

  test('all subscriptions of a process have a limit, which ended connections do not count against', async () => {
    const fill = async (): Promise<RawClient[]> => {
      const clients = await Promise.all(Array.from({ length: 4 }, () => RawClient.open(server.url)));
      for (const client of clients) {
        for (let at = 0; at < PER_CONNECTION; at += 1) client.subscribe(`${at}`, subscriptionTo('f'));
        client.subscribe('mark', '{ __typename }');
        await client.until(({ id, type }) => id === 'mark' && type === 'complete');
      }
      return clients;
    };
    const clients = await fill();
    const refused = clients.flatMap(({ messages }) => messages.filter(({ type }) => type === 'error'));
    expect(refused.length).toBeGreaterThanOrEqual(4 * PER_CONNECTION - PER_PROCESS);
    expect((await RawStream.open(server.url, subscriptionTo('f'))).status).toBe(429);
    for (const { socket } of clients) socket.terminate();
    await eventually(async () => {
      const stream = await RawStream.open(server.url, subscriptionTo('f'));
      stream.request.destroy();
      expect(stream.status).toBe(200);
    });
  });
});
