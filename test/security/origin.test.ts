/** Pages of other sites, imitated with the headers that browsers send: no address takes their requests unless their origin is named. */
import { request as send } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type ClientOptions, WebSocket } from 'ws';
import { ask } from '../system/graphql-door.js';
import { type AttackedServer, serverForms, startAttackedServer } from './attacked-server.js';

const EVIL = 'http://evil.example';
const NAMED = 'https://dashboard.example';

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

/** Sends a request as it is written here; `fetch` forbids some of these headers. */
function sendAsBrowser(url: string, method: string, headers: Record<string, string>, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = send(url, { method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** Status with which an upgrade is answered: 101, or that of the refusal. */
function upgrade(url: string, options: ClientOptions, path = '/graphql'): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, 'graphql-transport-ws', options);
    socket.on('unexpected-response', (_, response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    socket.on('error', reject);
    socket.on('open', () => {
      socket.on('close', () => resolve(101));
      socket.close();
    });
  });
}

const json = { 'content-type': 'application/json' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };
const text = { 'content-type': 'text/plain' };
const multipart = { 'content-type': 'multipart/form-data; boundary=x' };
const events = { accept: 'text/event-stream' };
const QUERY = '{"query":"{ project { name } }"}';
const MUTATION = '{"query":"mutation { applyDefinitions(input: { definitions: [] }) { revision } }"}';
const SPINE = 'user_id,event_time\nu1,2026-01-01T00:00:00Z';
const STREAM = `/graphql/stream?query=${encodeURIComponent('{ project { name } }')}`;

const addresses: [string, string, string, Record<string, string>, string][] = [
  ['a query', 'POST', '/graphql', json, QUERY],
  ['a mutation', 'POST', '/graphql', json, MUTATION],
  ['a query by GET', 'GET', '/graphql?query=%7B__typename%7D', { 'apollo-require-preflight': '1' }, ''],
  ['an EventSource', 'GET', STREAM, events, ''],
  ['SSE by POST', 'POST', '/graphql/stream', { ...events, ...json }, QUERY],
  ['SSE by POST of text', 'POST', '/graphql/stream', { ...events, ...text }, QUERY],
  ['a push', 'POST', '/api/v1/sources/transactions/events', json, '{}'],
  ['a push of text', 'POST', '/api/v1/sources/transactions/events', text, '{}'],
  ['a training set of text', 'POST', '/api/v1/training-sets?service=fraud', text, SPINE],
  ['a training set of a form', 'POST', '/api/v1/training-sets?service=fraud', form, SPINE],
  ['a training set of multipart', 'POST', '/api/v1/training-sets?service=fraud', multipart, SPINE],
  ['a training set without type', 'POST', '/api/v1/training-sets?service=fraud', {}, SPINE],
  ['a value', 'GET', '/api/v1/views/user_last_transaction/values/u1', {}, ''],
  ['metrics', 'GET', '/metrics', {}, ''],
  ['health', 'GET', '/health', {}, ''],
  ['ready', 'GET', '/ready', {}, ''],
  ['a path that does not exist', 'GET', '/nothing', {}, ''],
];

describe.each(serverForms)('%s', (_, form) => {
  let server: AttackedServer;
  let revision: string;
  beforeAll(async () => {
    server = await startAttackedServer(form, { FSTORE_CORS_ORIGINS: `https://other.example:8443,${NAMED}` });
    revision = await ask(server.url, '{ project { revision } }').then(JSON.stringify);
  });
  afterAll(() => server?.close());
  const codeOf = ({ body }: Answer): unknown => /"code":"([A-Z_]+)"/.exec(body)?.[1];

  test.each(addresses)('%s of a page of another site is refused', async (_name, method, path, headers, body) => {
    for (const other of [
      { origin: EVIL },
      { origin: 'null' },
      { origin: EVIL, 'sec-fetch-site': 'cross-site' },
      { origin: `http://127.0.0.1.evil.example` },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
    ]) {
      const answer = await sendAsBrowser(`${server.url}${path}`, method, { ...headers, ...other }, body);
      expect([answer.status, codeOf(answer)]).toEqual([403, 'ORIGIN_FORBIDDEN']);
      expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
    }
  });

  test.each(addresses)(
    '%s under a name that points at this machine is refused',
    async (_name, method, path, headers, body) => {
      for (const host of ['evil.example', `evil.example:${new URL(server.url).port}`, 'localhost.evil.example']) {
        const answer = await sendAsBrowser(`${server.url}${path}`, method, { ...headers, host }, body);
        expect([answer.status, codeOf(answer)]).toEqual([403, 'HOST_FORBIDDEN']);
      }
    },
  );

  test('a WebSocket of a page of another site is not opened', async () => {
    for (const options of [
      { origin: EVIL },
      { origin: 'null' },
      { headers: { host: 'evil.example' } },
      { headers: { 'sec-fetch-site': 'cross-site' } },
    ]) {
      expect(await upgrade(server.url, options)).toBe(403);
      expect(await upgrade(server.url, options, '/other')).toBe(403);
    }
  });

  test('own pages, named origins and programs open WebSockets', async () => {
    expect(await upgrade(server.url, {})).toBe(101);
    expect(await upgrade(server.url, { origin: server.url })).toBe(101);
    expect(await upgrade(server.url, { origin: NAMED })).toBe(101);
  });

  test('a preflight of another site is refused, that of a named origin is answered', async () => {
    const asked = {
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    };
    for (const path of ['/graphql', '/graphql/stream', '/api/v1/training-sets', '/metrics']) {
      const refused = await sendAsBrowser(`${server.url}${path}`, 'OPTIONS', { origin: EVIL, ...asked });
      expect([refused.status, codeOf(refused)]).toEqual([403, 'ORIGIN_FORBIDDEN']);
      const allowed = await sendAsBrowser(`${server.url}${path}`, 'OPTIONS', { origin: NAMED, ...asked });
      expect(allowed.status).toBe(204);
      expect(allowed.headers).toMatchObject({
        'access-control-allow-origin': NAMED,
        vary: expect.stringContaining('Origin'),
      });
      expect(allowed.headers['access-control-allow-headers']).toContain('authorization');
    }
  });

  test('a named origin reads answers, warm and cold, errors too', async () => {
    // Three times: the fast lane takes an operation from the second on.
    for (const body of [QUERY, QUERY, QUERY, '{"query":"{ nothing }"}', 'half']) {
      const answer = await sendAsBrowser(`${server.url}/graphql`, 'POST', { ...json, origin: NAMED }, body);
      expect(answer.headers).toMatchObject({
        'access-control-allow-origin': NAMED,
        vary: expect.stringContaining('Origin'),
      });
      expect(answer.headers).not.toHaveProperty('access-control-allow-credentials');
    }
  });

  test('nothing of all this has changed anything', async () => {
    expect(await ask(server.url, '{ project { revision } }').then(JSON.stringify)).toBe(revision);
    expect(await ask(server.url, '{ jobs { id } }')).toEqual({ jobs: [] });
  });
});
