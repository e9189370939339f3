/** Bodies that are not GraphQL requests: each is a refusal with a code, and none of them costs the others anything. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  type AttackedServer,
  maxStallMs,
  residentBytes,
  serverForms,
  startAttackedServer,
  watchStall,
} from './attacked-server.js';

const bodies: readonly [string, string][] = [
  ['an empty body', ''],
  ['text', 'hello'],
  ['half an object', '{"query":'],
  ['a list of a thousand requests', JSON.stringify(Array(1_000).fill({ query: '{ __typename }' }))],
  ['a query that is a number', '{"query":1}'],
  ['variables that are a list', '{"query":"{ __typename }","variables":[1]}'],
  ['ten thousand open brackets', `{"query":${'['.repeat(10_000)}`],
];

describe.each(serverForms)('%s', (_, form) => {
  let server: AttackedServer;
  beforeAll(async () => {
    server = await startAttackedServer(form);
  });
  afterAll(() => server?.close());

  test.each(bodies)('%s is a client error with a code', async (_name, body) => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${server.url}/graphql`, { method: 'POST', headers, body });
    const answer = (await response.json()) as { errors: { extensions: { code: string } }[] };
    expect([response.status, answer.errors[0]?.extensions.code]).toEqual([400, 'BAD_REQUEST']);
  });

  test('hundreds of malformed bodies neither stall other requests nor stay in memory', async () => {
    const before = await residentBytes(server.process.pid);
    const headers = { 'content-type': 'application/json' };
    const body = `{"query":"${'x'.repeat(1_000_000)}`;
    const { stallMs } = await watchStall(server.url, async () => {
      for (let round = 0; round < 20; round += 1) {
        const some = Array.from({ length: 5 }, () => fetch(`${server.url}/graphql`, { method: 'POST', headers, body }));
        for (const response of await Promise.all(some)) expect(response.status).toBe(400);
      }
    });
    expect(stallMs).toBeLessThan(maxStallMs());
    expect((await residentBytes(server.process.pid)) - before).toBeLessThan(300_000_000);
  });
});
