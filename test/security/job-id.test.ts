/** Ids of jobs and training sets: a client that guesses one learns nothing, and no text causes an error of the server. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { apply, ask, post } from '../system/graphql-door.js';
import { type AttackedServer, startAttackedServer } from './attacked-server.js';

const UUID_V7 = /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;
const SETS = '/api/v1/training-sets';

interface Refusal {
  readonly status: number;
  readonly error: { readonly code: string; readonly field: string; readonly message: string };
}

/** One form only: all stores keep jobs in PostgreSQL, and no lane serves them. */
describe('a server with three training sets', () => {
  let server: AttackedServer;
  let ids: string[];

  const submit = async (): Promise<{ id: string }> => {
    const body = 'user_id,event_time\nu1,2026-01-01T00:00:00Z\n';
    const response = await fetch(`${server.url}${SETS}?service=risk`, { method: 'POST', body });
    expect(response.status).toBe(202);
    return (await response.json()) as { id: string };
  };
  const read = async (id: string, file = ''): Promise<Refusal> => {
    const response = await fetch(`${server.url}${SETS}/${encodeURIComponent(id)}${file}`);
    return { status: response.status, error: ((await response.json()) as Refusal).error };
  };

  beforeAll(async () => {
    server = await startAttackedServer({ platform: 'embedded', fastLane: true });
    await apply(server.url, [
      { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] },
      {
        kind: 'source',
        name: 'payments',
        schema: { user_id: 'STRING', amount: 'FLOAT64', at: 'TIMESTAMP' },
        timestamp: 'at',
        stream: {},
      },
      { kind: 'featureView', name: 'payment', entity: 'user', source: 'payments', features: ['amount'] },
      { kind: 'featureService', name: 'risk', features: ['payment'] },
    ]);
    ids = [];
    for (let set = 0; set < 3; set += 1) ids.push((await submit()).id);
  }, 120_000);
  afterAll(() => server?.close());

  test('gives each a UUIDv7 whose random bits differ, and finds it by that', async () => {
    for (const id of ids) {
      expect(id).toMatch(UUID_V7);
      expect((await fetch(`${server.url}${SETS}/${id}`)).status).toBe(200);
      expect(await ask(server.url, 'query ($id: ID!) { job(id: $id) { id } }', { id })).toEqual({ job: { id } });
    }
    expect(new Set(ids.map((id) => id.slice(15))).size).toBe(3);
  });

  test('tells no client how many jobs there are', async () => {
    const submitted = await submit();
    const found = (await (await fetch(`${server.url}${SETS}/${submitted.id}`)).json()) as object;
    for (const job of [submitted, found]) expect(job).not.toHaveProperty('number');
    const { errors } = await post(server.url, '{ jobs { number } }');
    expect(errors).toHaveLength(1);
  });

  const unknown: [string, () => string][] = [
    ['the number 1', () => '1'],
    ['the number 2', () => '2'],
    ['the number 3', () => '3'],
    ['a number beyond 64 bits', () => '9'.repeat(30)],
    ['a random UUID', () => randomUUID()],
    ['the id of a set with another last digit', () => ids[0]!.replace(/.$/, (last) => (last === '0' ? '1' : '0'))],
    ['the time of a set alone', () => `${ids[0]!.slice(0, 13)}-7000-8000-000000000000`],
    ['the id of a set without hyphens', () => ids[0]!.replaceAll('-', '')],
    ['the id of a set in braces', () => `{${ids[0]}}`],
    ['the id of a set with a NUL', () => `${ids[0]}\u0000`],
    ['the id of a set and a line end', () => `${ids[0]}\n`],
    ['a path', () => '../../password'],
    ['SQL', () => `${ids[0]}' OR true --`],
  ];

  test.each(unknown)('answers JOB_UNKNOWN for %s, over REST and GraphQL', async (_name, id) => {
    for (const file of ['', '/data', '/manifest']) {
      expect(await read(id(), file)).toMatchObject({ status: 404, error: { code: 'JOB_UNKNOWN', field: 'id' } });
    }
    const variables = { id: id() };
    expect(await ask(server.url, 'query ($id: ID!) { job(id: $id) { id } }', variables)).toEqual({ job: null });
    for (const [mutation, field] of [
      ['cancelJob(id: $id) { id }', 'id'],
      ['publishTransformers(trainingSet: $id) { revision }', 'trainingSet'],
    ]) {
      const { errors } = await post(server.url, `mutation ($id: ID!) { ${mutation} }`, variables);
      expect(errors?.[0]?.extensions).toMatchObject({ code: 'JOB_UNKNOWN', field });
    }
  });

  test('answers an id of 100,000 characters with a short refusal', async () => {
    const id = 'x'.repeat(100_000);
    const { errors } = await post(server.url, 'mutation ($id: ID!) { cancelJob(id: $id) { id } }', { id });
    expect(errors?.[0]?.extensions.code).toBe('JOB_UNKNOWN');
    expect(errors?.[0]?.message.length).toBeLessThan(200);
    const { status } = await fetch(`${server.url}${SETS}/${id.slice(0, 8_000)}`);
    expect([404, 414]).toContain(status);
  });
});
