/** Answers have a bound in bytes: the same on every transport, cold and warm, and nothing of a refused answer reaches another one. */

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { eventually } from '../harness/eventually.js';
import { apply, post, push } from '../system/graphql-door.js';
import {
  type AttackedServer,
  maxStallMs,
  residentBytes,
  serverForms,
  startAttackedServer,
  watchStall,
} from './attacked-server.js';

const LIMIT = 4_000_000;
const TEXT = 900_000;

const definitions = [
  {
    kind: 'entity',
    name: 'user',
    joinKeys: [{ name: 'user_id', type: 'STRING' }],
    graphql: { type: 'User', key: 'id' },
  },
  {
    kind: 'source',
    name: 'events',
    timestamp: 'event_time',
    schema: { user_id: 'STRING', text: 'STRING', tags: 'STRING[]', amount: 'FLOAT64', event_time: 'TIMESTAMP' },
    stream: {},
  },
  { kind: 'featureView', name: 'last', entity: 'user', source: 'events', features: ['text', 'tags', 'amount'] },
  { kind: 'featureService', name: 'vector', features: ['last'] },
];
const texts: Readonly<Record<string, string>> = {
  big: 'x'.repeat(TEXT),
  escaped: '\u0001'.repeat(150_000),
  wide: '\u4e2d'.repeat(300_000),
  pairs: '\ud83d\ude00'.repeat(225_000),
  small: 'small',
};
const one = (id: string): Record<string, unknown> => ({ user_id: id, text: texts[id], tags: ['a'], amount: 1.5 });
const twice = [1, 2, 3];

interface Raw {
  readonly status: number;
  readonly body: string;
}

async function send(url: string, query: string, variables: unknown = {}, path = '/graphql'): Promise<Raw> {
  const headers = {
    'content-type': 'application/json',
    accept: path === '/graphql' ? 'application/json' : 'text/event-stream',
  };
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ query, variables }),
  });
  return { status: response.status, body: await response.text() };
}

/** Sends the same request cold and warm; fails if the answers differ. */
async function sendThrice(url: string, query: string, variables: unknown = {}): Promise<Raw> {
  const answers: Raw[] = [];
  for (const _ of twice) answers.push(await send(url, query, variables));
  const [first] = answers as [Raw];
  for (const other of answers)
    if (other.body !== first.body || other.status !== first.status)
      throw new Error(`${first.body.slice(0, 200)} then ${other.body.slice(0, 200)}`);
  return first;
}

const codeOf = ({ status, body }: Raw): [number, string] => {
  const [error] = (JSON.parse(body) as { errors?: { extensions: { code: string } }[] }).errors ?? [];
  return [status, error?.extensions.code ?? 'none'];
};
const REFUSED = [413, 'RESPONSE_TOO_LARGE'];
const LIST = 'query($ids: [ID!]!) { users(ids: $ids) { last { text } } }';

describe.each(serverForms)('%s', (_, form) => {
  let server: AttackedServer;
  let url: string;
  beforeAll(async () => {
    server = await startAttackedServer(form, {
      FSTORE_MAX_RESPONSE_BYTES: `${LIMIT}`,
      FSTORE_MAX_EVENT_BYTES: '2000000',
    });
    url = server.url;
    await apply(url, definitions);
    const at = new Date(Date.now() - 1_000).toISOString();
    for (const id of Object.keys(texts)) await push(url, 'events', [{ ...one(id), event_time: at }]);
    for (let from = 0; from < 20; from += 2) {
      const events = [0, 1].map((more) => ({ ...one('big'), user_id: `fat${from + more}`, event_time: at }));
      await push(url, 'events', events);
    }
    await eventually(async () => {
      const answer = await post(url, '{ user(id: "fat19") { last { amount } } }');
      expect(answer).toMatchObject({ data: { user: { last: { amount: 1.5 } } } });
    });
  });
  afterAll(() => server?.close());

  const reference = async (): Promise<string> =>
    (
      await sendThrice(
        url,
        '{ user(id: "\u00e9") { id last { text status } } users(ids: ["small", "wide"]) { id last { text tags amount } } }',
      )
    ).body;

  test('a list of one large value a thousand times is refused alike, cold and warm, and others go on', async () => {
    const before = await residentBytes(server.process.pid);
    const { stallMs, result } = await watchStall(url, () => sendThrice(url, LIST, { ids: Array(1_000).fill('big') }));
    expect(codeOf(result)).toEqual(REFUSED);
    expect(stallMs).toBeLessThan(maxStallMs());
    expect((await residentBytes(server.process.pid)) - before).toBeLessThan(300_000_000);
  });

  test('twenty large values take no more memory, and are refused alike', async () => {
    const ids = Array.from({ length: 20 }, (_, index) => `fat${index}`);
    const { stallMs } = await watchStall(url, async () => {
      // The first one may read values that are not in the online store yet.
      for (const _ of twice) expect(codeOf(await send(url, LIST, { ids }))).toEqual(REFUSED);
    });
    expect(stallMs).toBeLessThan(maxStallMs());
  });

  test('an answer of exactly the bound is given, and one of a byte more is refused', async () => {
    const query = (name: string): string => `query($ids: [ID!]!) { ${name}: users(ids: $ids) { last { text } } }`;
    const ids = ['big', 'big', 'big', 'big', 'small'];
    const short = await send(url, query('a'), { ids });
    const tail = LIMIT - Buffer.byteLength(short.body) + 'small'.length;
    await push(url, 'events', [
      { user_id: 'tail', text: 'y'.repeat(tail), tags: [], amount: 1, event_time: new Date().toISOString() },
    ]);
    const exact = { ids: ['big', 'big', 'big', 'big', 'tail'] };
    await eventually(async () => expect((await send(url, query('a'), exact)).body.length).toBe(LIMIT));
    const fits = await sendThrice(url, query('a'), exact);
    expect([fits.status, fits.body.length]).toEqual([200, LIMIT]);
    expect(codeOf(await sendThrice(url, query('ab'), exact))).toEqual(REFUSED);
  });

  test.each([
    ['escaped characters', ['escaped', 5]],
    ['characters of three bytes', ['wide', 5]],
    ['pairs of surrogates', ['pairs', 5]],
  ] as const)('%s count as the bytes that they take in JSON', async (_name, [id, count]) => {
    const less = await sendThrice(url, LIST, { ids: Array(count - 1).fill(id) });
    const wanted = { data: { users: Array(count - 1).fill({ last: { text: texts[id] } }) } };
    expect([less.status, less.body === `${JSON.stringify(wanted)}\n`]).toEqual([200, true]);
    expect(codeOf(await sendThrice(url, LIST, { ids: Array(count).fill(id) }))).toEqual(REFUSED);
  });

  test.each([
    [
      'vectors',
      'query($ids: [ID!]!) { vectorList(keys: [{ userId: "big" }, { userId: "big" }, { userId: "big" }, { userId: "big" }, { userId: "big" }]) { text } }',
    ],
    [
      'vectors by columns',
      '{ vectorColumns(keys: [{ userId: "big" }, { userId: "big" }, { userId: "big" }, { userId: "big" }, { userId: "big" }]) { text } }',
    ],
    [
      'entities of a router',
      '{ _entities(representations: [{ __typename: "User", id: "big" }]) { ... on User { last { a: text b: text c: text d: text e: text } } } }',
    ],
    ['aliases of one value', '{ user(id: "big") { last { a: text b: text c: text d: text e: text } } }'],
    [
      'aliases of one entity',
      '{ a: user(id: "big") { last { text } } b: user(id: "big") { last { text } } c: user(id: "big") { last { text } } d: user(id: "big") { last { text } } e: user(id: "big") { last { text } } }',
    ],
  ])('%s have the same bound', async (_name, query) => {
    expect(codeOf(await sendThrice(url, query.replace('query($ids: [ID!]!) ', '')))).toEqual(REFUSED);
  });

  test('server-sent events and WebSockets have the same bound, and the socket stays open', async () => {
    const variables = { ids: Array(1_000).fill('big') };
    expect((await send(url, LIST, variables, '/graphql/stream')).body).toContain('RESPONSE_TOO_LARGE');
    const client = createClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
    });
    const run = (query: string, given: Record<string, unknown>): Promise<unknown> =>
      new Promise((resolve, reject) => {
        let result: unknown;
        client.subscribe(
          { query, variables: given },
          {
            next: (value) => {
              result = value;
            },
            error: reject,
            complete: () => resolve(result),
          },
        );
      });
    expect(JSON.stringify(await run(LIST, variables))).toContain('RESPONSE_TOO_LARGE');
    expect(await run('{ user(id: "small") { last { text } } }', {})).toEqual({
      data: { user: { last: { text: 'small' } } },
    });
    await client.dispose();
  });

  test('nothing of a refused answer is left in the answers of others', async () => {
    const before = await reference();
    for (let round = 0; round < 5; round += 1) {
      await Promise.all([
        send(url, LIST, { ids: Array(100).fill('wide') }),
        send(url, LIST, { ids: Array(100).fill('escaped') }),
        send(url, LIST, { ids: ['small', 'nobody', 'big'] }),
      ]);
      expect(await reference()).toBe(before);
    }
  });

  test('many large answers at the same time, and clients that do not read theirs, are bounded in memory', async () => {
    const before = await residentBytes(server.process.pid);
    const body = JSON.stringify({ query: LIST, variables: { ids: ['big', 'big', 'big', 'big'] } });
    const sockets = Array.from({ length: 60 }, () => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1').pause();
      socket.on('error', () => {});
      socket.write(
        `POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      );
      return socket;
    });
    await sleep(1_000);
    const { stallMs, result } = await watchStall(url, () => sendThrice(url, '{ user(id: "small") { last { text } } }'));
    expect(result.body).toBe('{"data":{"user":{"last":{"text":"small"}}}}\n');
    expect(stallMs).toBeLessThan(maxStallMs());
    expect((await residentBytes(server.process.pid)) - before).toBeLessThan(300_000_000);
    for (const socket of sockets) socket.destroy();
    await eventually(async () =>
      expect((await send(url, LIST, { ids: ['big', 'big', 'big', 'big'] })).status).toBe(200),
    );
  });
});
