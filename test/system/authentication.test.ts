/** API keys: every endpoint asks for one, except the probes and the page for browsers. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { startProcess } from '../harness/child-process.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const KEY = 'a-key-of-this-test';
const HASH = createHash('sha256').update(KEY).digest('hex');

let platform: Platform;
let fstore: FStoreProcess;
beforeAll(async () => {
  platform = await createPlatform('embedded');
  fstore = await platform.start({ environment: { FSTORE_API_KEY_SHA256: `${'0'.repeat(64)},${HASH}` } });
});
afterAll(() => platform.drop());

const doors: [name: string, path: string, init: RequestInit][] = [
  ['GraphQL', '/graphql', { method: 'POST', body: '{"query":"{ project { name } }"}' }],
  ['_service', '/graphql', { method: 'POST', body: '{"query":"{ _service { sdl } }"}' }],
  ['SSE', '/graphql/stream', { method: 'POST', body: '{"query":"{ project { name } }"}' }],
  ['REST', '/api/v1/views/none/values/1', {}],
  ['metrics', '/metrics', {}],
  ['an address that does not exist', '/nothing', {}],
];

describe('without a known key', () => {
  test.each(doors)('%s is closed', async (_, path, init) => {
    for (const authorization of [null, 'Bearer wrong', `Basic ${KEY}`, 'Bearer ']) {
      const headers = { 'content-type': 'application/json', ...(authorization ? { authorization } : {}) };
      const response = await fetch(`${fstore.url}${path}`, { ...init, headers });
      expect(response.status).toBe(401);
      expect(await response.text()).toContain('"UNAUTHENTICATED"');
    }
  });

  test('a WebSocket is closed', async () => {
    const url = `${fstore.url.replace('http', 'ws')}/graphql`;
    const client = createClient({
      url,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionParams: { authorization: 'Bearer wrong' },
    });
    const ended = new Promise((resolve) => {
      client.subscribe(
        { query: '{ project { name } }' },
        { next: resolve, error: resolve, complete: () => resolve('complete') },
      );
    });
    expect(await ended).toMatchObject({ code: 4403, reason: 'UNAUTHENTICATED' });
  });

  test('/health and /ready answer', async () => {
    for (const path of ['/health', '/ready']) expect((await fetch(`${fstore.url}${path}`)).status).toBe(200);
  });
});

describe('with a known key', () => {
  const authorization = `Bearer ${KEY}`;
  test('HTTP answers, and the audit names the key by its hash', async () => {
    const query =
      'mutation { applyDefinitions(input: { definitions: [{ kind: "entity", name: "user", joinKeys: [{ name: "user_id", type: "STRING" }] }] }) { revision } }';
    const send = async (text: string) => {
      const headers = { 'content-type': 'application/json', authorization };
      const response = await fetch(`${fstore.url}/graphql`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ query: text }),
      });
      return (await response.json()) as unknown;
    };
    expect(await send(query)).toEqual({ data: { applyDefinitions: { revision: 1 } } });
    expect(await send('{ audit { actor } }')).toEqual({ data: { audit: [{ actor: `key:${HASH.slice(0, 8)}` }] } });
  });

  test.each(['authorization', 'Authorization', 'AUTHORIZATION'])(
    'a WebSocket answers, with the key as parameter %s',
    async (name) => {
      const url = `${fstore.url.replace('http', 'ws')}/graphql`;
      const client = createClient({ url, webSocketImpl: WebSocket, connectionParams: { [name]: authorization } });
      expect((await client.iterate({ query: '{ project { name } }' }).next()).value).toEqual({
        data: { project: { name: platform.project } },
      });
      await client.dispose();
    },
  );
});

test('FStore refuses to listen beyond this machine without a key', async () => {
  const logFile = `${platform.folder}/refused.log`;
  const refused = startProcess(process.execPath, ['dist/main.js', 'serve'], {
    env: { ...platform.environment, FSTORE_HOST: '0.0.0.0' },
    logFile,
  });
  expect((await refused.exited).code).not.toBe(0);
  expect(refused.logTail()).toContain('INSECURE_BIND');
});
