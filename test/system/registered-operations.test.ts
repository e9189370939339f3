/**
 * Registered operations at the doors of three replicas: one that runs any document with the fast lane, one without it, one that runs registered
 * documents only.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { eventually } from '../harness/eventually.js';
import { scaled } from '../harness/time-factor.js';
import { all, userStats } from '../unit/fakes/example-definitions.js';
import { apply, ask, push } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const run = promisify(execFile);
const VECTOR = 'query Vector($id: ID!) { user(id: $id) { id stats { amount lastCountry } } }';
const PROJECT = 'query Known { project { name } }';
const WATCH = 'subscription Watch { userStatsUpdated(ids: ["w1"]) { id stats { amount } } }';
const idOf = (text: string): string => createHash('sha256').update(text).digest('hex');
const persisted = (text: string) => ({ persistedQuery: { version: 1, sha256Hash: idOf(text) } });
const time = new Date(Date.now() - 60_000).toISOString();
const consumer = (...operations: string[]) => ({
  kind: 'consumer',
  name: 'fraud_model',
  owner: 'risk-team',
  operations,
});

interface Got {
  readonly status: number;
  readonly type: string | null;
  readonly text: string;
}

async function send(url: string, body: unknown): Promise<Got> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
}

async function get(url: string, parameters: Record<string, string>): Promise<Got> {
  const headers = { 'apollo-require-preflight': 'true' };
  const response = await fetch(`${url}/graphql?${new URLSearchParams(parameters)}`, { headers });
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
}

const codeOf = ({ status, text }: Got): [number, string] => [status, JSON.parse(text).errors?.[0]?.extensions?.code];

describe('registered operations', () => {
  let platform: Platform;
  let plain: FStoreProcess;
  let fast: FStoreProcess;
  let strict: FStoreProcess;
  const eachDoor = () => [plain, fast, strict].map(({ url }) => url);

  beforeAll(async () => {
    platform = await createPlatform('servers');
    const without = ['serve', '--without-worker'];
    [plain, fast, strict] = await Promise.all([
      platform.start({ environment: { FSTORE_FAST_LANE: 'false' } }),
      platform.start({ arguments: without }),
      platform.start({ arguments: without, environment: { FSTORE_OPERATIONS: 'registered' } }),
    ]);
    await apply(plain.url, all);
    await push(plain.url, 'transactions', [
      { user_id: 'u1', card_id: 1, amount: 7.5, country: 'Łódź', event_time: time },
    ]);
    await eventually(async () =>
      expect(await ask(fast.url, '{ user(id: "u1") { stats { amount } } }')).toEqual({
        user: { stats: { amount: 7.5 } },
      }),
    );
  });
  afterAll(() => platform.drop());

  test('are registered by the command line through a server that runs nothing else, and known to all within 2 s', async () => {
    const file = join(platform.folder, 'consumer.yaml');
    const operations = [VECTOR, PROJECT, WATCH].map((text) => `  - |\n    ${text}\n`).join('');
    await writeFile(file, `kind: consumer\nname: fraud_model\nowner: risk-team\noperations:\n${operations}`);
    const fstore = async (...args: string[]) =>
      (await run(process.execPath, ['dist/main.js', ...args, '--url', strict.url])).stdout;
    expect(await fstore('plan', file)).toContain('consumer  fraud_model@1');
    await fstore('apply', file);
    const applied = performance.now();
    const body = { documentId: `sha256:${idOf(VECTOR)}`, variables: { id: 'u1' } };
    for (const url of eachDoor()) await eventually(async () => expect((await send(url, body)).status).toBe(200));
    expect(performance.now() - applied).toBeLessThan(scaled(2_000));
    const listed = await fstore('get', 'consumers');
    for (const text of [VECTOR, PROJECT, WATCH]) expect(listed).toContain(idOf(text));
    // Documents of its own, too.
    expect(await fstore('sources')).toContain('transactions');
  });

  test('are answered by id as by text, in the same bytes, whoever answers', async () => {
    const variables = { id: 'u1' };
    const right = await send(plain.url, { query: VECTOR, variables });
    expect(right).toMatchObject({ status: 200, text: expect.stringContaining('Łódź') });
    const hash = idOf(VECTOR);
    for (const url of eachDoor()) {
      for (const body of [
        { query: VECTOR },
        { documentId: `sha256:${hash}` },
        { documentId: hash, query: '' },
        { id: hash, operationName: 'Vector' },
        { extensions: persisted(VECTOR) },
      ]) {
        expect(await send(url, { ...body, variables })).toEqual(right);
      }
      const texts = { variables: JSON.stringify(variables) };
      expect(await get(url, { documentId: `sha256:${hash}`, ...texts })).toEqual(right);
      expect(await get(url, { extensions: JSON.stringify(persisted(VECTOR)), ...texts })).toEqual(right);
      // Errors of the operation itself, too.
      const wrong = { operationName: 'Other', variables };
      expect(await send(url, { documentId: hash, ...wrong })).toEqual(
        await send(plain.url, { query: VECTOR, ...wrong }),
      );
      expect(await send(url, { documentId: hash })).toEqual(await send(plain.url, { query: VECTOR }));
    }
  });

  test('have their plan at the first request after a swap', async () => {
    const answered = async () =>
      Number(/lane="fast"\} (\d+)/.exec(await (await fetch(`${fast.url}/metrics`)).text())?.[1]);
    await apply(fast.url, [{ ...userStats, description: 'another' }]);
    const before = await answered();
    await send(fast.url, { documentId: idOf(VECTOR), variables: { id: 'u1' } });
    expect((await answered()) - before).toBe(1);
  });

  test('that nobody has registered are not found', async () => {
    const id = idOf('nothing');
    for (const url of eachDoor()) {
      expect(codeOf(await send(url, { documentId: `sha256:${id}` }))).toEqual([404, 'PERSISTED_QUERY_NOT_FOUND']);
      expect(codeOf(await get(url, { documentId: `sha256:${id}` }))).toEqual([404, 'PERSISTED_QUERY_NOT_FOUND']);
    }
    const unknown = { extensions: { persistedQuery: { version: 1, sha256Hash: id } } };
    expect(codeOf(await send(strict.url, unknown))).toEqual([404, 'PERSISTED_QUERY_NOT_FOUND']);
    // Apollo's own way for clients that register a text as they go.
    expect(codeOf(await send(plain.url, unknown))).toEqual([200, 'PERSISTED_QUERY_NOT_FOUND']);
  });

  test('are all that a server runs that is told so: over POST and GET, whatever the form', async () => {
    const text = '{ user(id: "u1") { id } }';
    for (const query of [text, '{ __schema { types { name } } }', '{ _service { sdl } }', `${VECTOR} `.repeat(2)]) {
      for (let again = 1; again <= 3; again += 1) {
        expect(codeOf(await send(strict.url, { query }))).toEqual([403, 'OPERATION_NOT_REGISTERED']);
      }
      expect(codeOf(await get(strict.url, { query }))).toEqual([403, 'OPERATION_NOT_REGISTERED']);
    }
    // A text with the hash of a registered one, and a text to be kept by its own.
    for (const hash of [VECTOR, text]) {
      const body = { query: text, extensions: persisted(hash) };
      expect(codeOf(await send(strict.url, body))).toEqual([403, 'OPERATION_NOT_REGISTERED']);
    }
    expect(codeOf(await send(strict.url, { extensions: persisted(text) }))).toEqual([404, 'PERSISTED_QUERY_NOT_FOUND']);
    // Two texts in an address: no door takes another one than the gate looked at.
    const twice = new URLSearchParams([
      ['query', PROJECT],
      ['query', text],
    ]);
    const headers = { 'apollo-require-preflight': 'true' };
    const response = await fetch(`${strict.url}/graphql?${twice}`, { headers });
    expect([response.status, await response.json()]).toMatchObject([403, { errors: [{}] }]);
    for (const body of [{}, [], [{ query: text }], 'text', null, { query: 7 }, { documentId: 7 }]) {
      expect((await send(strict.url, body)).status).toBe(400);
    }
  });

  test('are subscribed to by id, over WebSocket and SSE; other documents are refused there too', async () => {
    for (const { url } of [fast, strict]) {
      const socket = createClient({ url: `${url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket });
      const stream = createSseClient({ url: `${url}/graphql/stream`, retryAttempts: 0 });
      const byId = { query: '', extensions: persisted(WATCH) };
      const updates = [socket.iterate(byId), stream.iterate(byId as never)];
      const firsts = updates.map((one) => one.next());
      // One that was answered after them: both are subscribed.
      for await (const one of socket.iterate({ query: '', extensions: persisted(PROJECT) })) {
        expect(one).toEqual({ data: { project: { name: platform.project } } });
      }
      await eventually(async () => {
        await push(plain.url, 'transactions', [
          { user_id: 'w1', card_id: 1, amount: 3, country: 'NL', event_time: time },
        ]);
        const none = new Promise((resolve) => setTimeout(resolve, 500, null));
        expect(await Promise.race([Promise.all(firsts), none])).not.toBeNull();
      });
      for (const first of firsts) {
        expect((await first).value).toEqual({ data: { userStatsUpdated: { id: 'w1', stats: { amount: 3 } } } });
      }
      for (const one of updates) await one.return?.();
      if (url === strict.url) {
        const text = 'subscription { userStatsUpdated { id } }';
        const refused = { extensions: expect.objectContaining({ code: 'OPERATION_NOT_REGISTERED', status: 403 }) };
        const error = await socket
          .iterate({ query: text })
          .next()
          .catch((failure: unknown) => failure);
        expect(error).toEqual([expect.objectContaining(refused)]);
        const response = await fetch(`${url}/graphql/stream`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
          body: JSON.stringify({ query: text }),
        });
        expect(response.status).toBe(403);
        expect(await response.json()).toEqual({ errors: [expect.objectContaining(refused)] });
      }
      await socket.dispose();
      stream.dispose();
    }
  });

  test('that the schema fits no more are answered with what went and whom to ask, at every replica, until it fits', async () => {
    const narrow = { ...userStats, features: ['amount'] };
    await expect(apply(plain.url, [narrow])).rejects.toThrow(/BREAKING_CHANGE/);
    await expect(apply(plain.url, [narrow])).rejects.toThrow(/fraud_model \(owner risk-team\).*lastCountry/);
    await apply(plain.url, [narrow], { allowBreaking: true });
    const body = { documentId: idOf(VECTOR), variables: { id: 'u1' } };
    for (const url of eachDoor()) {
      const got = await eventually(async () => {
        const answer = await send(url, body);
        expect(codeOf(answer)).toEqual([410, 'OPERATION_INVALID']);
        return answer;
      });
      const { message } = JSON.parse(got.text).errors[0];
      expect(message).toMatch(/operation Vector of consumer fraud_model \(owner risk-team\).*"lastCountry"/);
      expect((await send(url, { documentId: idOf(PROJECT) })).status).toBe(200);
    }
    expect(codeOf(await send(strict.url, { query: VECTOR }))).toEqual([410, 'OPERATION_INVALID']);
    await apply(plain.url, [userStats]);
    for (const url of eachDoor()) await eventually(async () => expect((await send(url, body)).status).toBe(200));
  });

  test('that cannot be served are refused when they are applied', async () => {
    const unfit = consumer('{ user(id: "u1") { nothing } }');
    await expect(apply(plain.url, [unfit])).rejects.toThrow(/DEFINITION_INVALID.*operations\.0/);
    const { featureConsumers } = await ask<{ featureConsumers: unknown[] }>(
      fast.url,
      '{ featureConsumers { name owner operations { name fault } } }',
    );
    expect(featureConsumers).toEqual([
      {
        name: 'fraud_model',
        owner: 'risk-team',
        operations: ['Vector', 'Known', 'Watch'].map((name) => ({ name, fault: null })),
      },
    ]);
  });
});
