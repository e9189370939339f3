/** SIGTERM: no request fails, /ready is 503 before the port closes, and the log says what happened. */
import { Agent, get } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../harness/eventually.js';
import { scaled } from '../harness/time-factor.js';
import { user } from '../unit/fakes/example-definitions.js';
import { apply } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

let platform: Platform;
beforeAll(async () => {
  platform = await createPlatform('embedded');
});
afterAll(() => platform?.drop());

interface Answer {
  readonly status: number;
  readonly connection: string | undefined;
  readonly body: string;
}

function ask(url: string, agent: Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent, headers: { 'x-request-id': 'test-1' } }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, connection: response.headers.connection, body }),
      );
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

function linesOf({ process: running }: FStoreProcess): Record<string, unknown>[] {
  const lines = running.logTail(10_000).split('\n');
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('after SIGTERM', () => {
  test.each([1, 2])('no request of clients that honour Connection: close fails (run %i)', async () => {
    const fstore = await platform.start();
    const agents = Array.from({ length: 8 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    let answered = 0;
    const clients = agents.map(async (agent) => {
      for (;;) {
        const { status, connection } = await ask(`${fstore.url}/health`, agent);
        expect(status).toBe(200);
        answered += 1;
        if (connection === 'close') return;
      }
    });
    await eventually(() => expect(answered).toBeGreaterThan(200));
    fstore.process.kill('SIGTERM');
    await Promise.all(clients);
    expect((await fstore.process.exited).code).toBe(0);
    for (const agent of agents) agent.destroy();
  });

  test('/ready is 503 while everything else is answered, until the grace has passed', async () => {
    const fstore = await platform.start({ environment: { FSTORE_SHUTDOWN_GRACE: `${scaled(2_000)}ms` } });
    expect((await fetch(`${fstore.url}/ready`)).status).toBe(200);
    fstore.process.kill('SIGTERM');
    const agent = new Agent();
    await eventually(async () => expect((await ask(`${fstore.url}/ready`, agent)).status).toBe(503), { everyMs: 5 });
    expect(await ask(`${fstore.url}/ready`, agent)).toMatchObject({
      body: '{"status":"stopping"}',
      connection: 'close',
    });
    expect(await ask(`${fstore.url}/health`, agent)).toMatchObject({ status: 200, connection: 'close' });
    expect((await fstore.process.exited).code).toBe(0);
    const ended = linesOf(fstore).filter(({ reason }) => reason === 'SIGTERM');
    expect(ended.map(({ msg }) => msg)).toEqual(['FStore stops', 'FStore has stopped']);
  });

  test('a second signal ends the process at once', async () => {
    const fstore = await platform.start({ environment: { FSTORE_SHUTDOWN_GRACE: '1h' } });
    fstore.process.kill('SIGTERM');
    await eventually(async () => expect((await fetch(`${fstore.url}/ready`)).status).toBe(503));
    fstore.process.kill('SIGTERM');
    expect((await fstore.process.exited).code).toBe(1);
  });
});

describe('the log', () => {
  test('tells start, apply and slow requests, with ids and without variables', async () => {
    const fstore = await platform.start({ environment: { FSTORE_SLOW_REQUEST: '1ms', FSTORE_MAX_KEYS: '7' } });
    await apply(fstore.url, [user]);
    const response = await fetch(`${fstore.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'abc-123' },
      body: JSON.stringify({
        query: 'query Slow($id: ID!) { entities { name } jobs(first: 9) { id } job(id: $id) { id } }',
        variables: { id: 'secret-variable' },
      }),
    });
    expect(response.headers.get('x-request-id')).toBe('abc-123');
    const strange = await fetch(`${fstore.url}/health`, { headers: { 'x-request-id': 'a b "c"' } });
    expect(strange.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    await eventually(() => {
      const lines = linesOf(fstore);
      const found = (msg: string) => lines.filter((line) => line.msg === msg);
      expect(found('FStore starts')[0]).toMatchObject({ version: expect.any(String), node: process.versions.node });
      expect(found('FStore is ready')[0]).toMatchObject({ url: fstore.url, limits: { maxKeys: 7 } });
      expect(found('definitions were applied')[0]).toMatchObject({ revision: 1, actor: 'anonymous' });
      const slow = found('a request was slow').find(({ requestId }) => requestId === 'abc-123');
      expect(slow).toMatchObject({ operation: 'Slow', status: 200, method: 'POST', path: '/graphql' });
    });
    expect(fstore.process.logTail(10_000)).not.toContain('secret-variable');
    await fstore.process.stop();
  });

  test('tells refused keys in few lines, and never a key', async () => {
    const fstore = await platform.start({ environment: { FSTORE_API_KEY_SHA256: 'a'.repeat(64) } });
    for (let turn = 0; turn < 50; turn += 1) {
      const refused = await fetch(`${fstore.url}/metrics`, { headers: { authorization: 'Bearer guessed-key' } });
      expect(refused.status).toBe(401);
    }
    const lines = () => linesOf(fstore).filter(({ code }) => code === 'UNAUTHENTICATED');
    await eventually(() => expect(lines().length).toBeGreaterThan(0));
    expect(lines().length).toBeLessThan(10);
    expect(fstore.process.logTail(10_000)).not.toContain('guessed-key');
    await fstore.process.stop();
  });
});
