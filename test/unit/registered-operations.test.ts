/** Operations of consumers: what plan and apply say about them, and that the lane has their plans before they are asked. */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { FStoreError } from '../../src/errors.js';
import type { OperationBody } from '../../src/schema/lane/body-frame.js';
import { FastLane } from '../../src/schema/lane/fast-lane.js';
import { OperationCheck } from '../../src/schema/operation-check.js';
import { all, userStats } from './fakes/example-definitions.js';
import { askLane } from './fakes/lane-door.js';
import { LIMITS, type MemoryFStore, startMemoryFStore } from './fakes/memory-fstore.js';

const VECTOR = 'query Vector($id: ID!) { user(id: $id) { stats { amount lastCountry } } }';
const PLAIN = '{ user(id: "u1") { id } }';
const WATCH = 'subscription Watch { userStatsUpdated { id } }';
const idOf = (text: string): string => createHash('sha256').update(text).digest('hex');
const consumer = (...operations: string[]) => ({
  kind: 'consumer',
  name: 'fraud_model',
  owner: 'risk-team',
  operations,
});
const withoutCountry = { ...userStats, features: ['amount'] };

let store: MemoryFStore;
beforeEach(async () => {
  store = await startMemoryFStore();
  await store.apply(all);
});
afterEach(() => store.close());

const plan = (definitions: unknown[], prune = false) => store.services.apply.plan({ definitions, prune, retire: [] });
const fault = (text: string) => store.live.current.operations.withId(idOf(text))?.fault;
async function refusal(work: Promise<unknown>): Promise<FStoreError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof FStoreError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('a consumer', () => {
  test('is planned like any definition, and known by the hashes of what it sends', async () => {
    expect((await plan([consumer(VECTOR)])).changes).toEqual([
      { action: 'CREATE', kind: 'consumer', name: 'fraud_model', version: 1 },
    ]);
    await store.apply([consumer(VECTOR, WATCH)]);
    expect([...store.live.current.operations].map(({ id, fault: why }) => [id, why])).toEqual([
      [idOf(VECTOR), null],
      [idOf(WATCH), null],
    ]);
    // White space around a document, as YAML leaves it, is no part of it.
    expect((await plan([consumer(`\n${VECTOR}\n`, WATCH)])).changes).toEqual([]);
    expect((await plan([{ ...consumer(VECTOR, WATCH), owner: 'other' }])).changes).toMatchObject([
      { action: 'UPDATE' },
    ]);
    expect((await plan([consumer(VECTOR)])).changes).toMatchObject([
      { action: 'NEW_VERSION', version: 2 },
      { action: 'RETIRE', version: 1 },
    ]);
  });

  test.each([
    ['a field that is not there', '{ user(id: "u1") { stats { nothing } } }', /Cannot query field "nothing"/],
    ['a syntax error', '{ user(id: "u1") {', /Syntax Error/],
    [
      'two operations',
      'query A { project { name } } query B { project { name } }',
      /has one operation; this one has 2/,
    ],
    ['no operation', 'fragment F on User { id }', /has one operation; this one has 0/],
    [
      'more aliases than a document may have',
      `{ ${Array.from({ length: 101 }, (_, i) => `a${i}: project { name }`)} }`,
      /[Aa]lias/,
    ],
  ])('is refused for %s, with its place and with nothing applied', async (_, text, message) => {
    const error = await refusal(store.apply([consumer(VECTOR, text)]));
    expect([error.code, error.location.field]).toEqual(['DEFINITION_INVALID', 'operations.1']);
    expect(error.message).toMatch(message);
    expect(error.issues).toMatchObject([{ definition: 0 }]);
    expect([...store.live.current.operations]).toEqual([]);
  });

  test('that lists an operation twice is refused', async () => {
    const error = await refusal(store.apply([consumer(VECTOR, ` ${VECTOR}`)]));
    expect([error.code, error.location.field]).toEqual(['DEFINITION_INVALID', 'operations']);
  });

  test('is refused with more new operations or tokens than one apply may have; known operations do not count', async () => {
    const short = (from: number, count: number) =>
      Array.from({ length: count }, (_, n) => `query Q${from + n} { project { name } }`);
    const many = (from: number, count: number) =>
      Array.from({ length: count / 500 }, (_, n) => ({
        ...consumer(...short(from + n * 500, 500)),
        name: `c${from}_${n}`,
      }));
    const error = await refusal(store.apply(many(0, 2_500)));
    expect([error.code, error.location.field, error.issues.length]).toEqual(['DEFINITION_INVALID', 'operations.0', 1]);
    expect(error.message).toMatch(/at most 2000 new operations/);
    await store.apply(many(0, 1_500));
    await store.apply([...many(0, 1_500), ...many(5_000, 1_000)]);
    expect([...store.live.current.operations].filter(({ fault: why }) => why === null)).toHaveLength(2_500);
    const list = (n: number): string => `query L${n} { users(ids: [${'"u1" '.repeat(1_000)}]) { id } }`;
    const large = await refusal(store.apply([consumer(...Array.from({ length: 300 }, (_, n) => list(n)))]));
    expect([large.code, large.message]).toEqual(['DEFINITION_INVALID', expect.stringMatching(/200000 tokens/)]);
  });

  test('with many operations that do not fit names the first ten', async () => {
    const error = await refusal(store.apply([consumer(...Array.from({ length: 50 }, (_, n) => `{ nothing${n} }`))]));
    expect(error.issues).toHaveLength(10);
  });

  test('may ask for what is declared in the same apply', async () => {
    const extra = { ...userStats, name: 'user_extra' };
    await store.apply([consumer('{ user(id: "u1") { extra { amount } } }'), extra]);
    expect([...store.live.current.operations]).toMatchObject([{ fault: null }]);
  });

  test('is named, with its owner, when an apply would break it; what was broken fits again when it is put back', async () => {
    await store.apply([consumer(VECTOR, PLAIN)]);
    const { schemaChanges } = await plan([withoutCountry]);
    expect(schemaChanges[0]).toEqual({
      criticality: 'BREAKING',
      message: expect.stringMatching(
        /^operation Vector of consumer fraud_model \(owner risk-team\) would not fit: Cannot query field "lastCountry"/,
      ),
      path: null,
    });
    const error = await refusal(store.apply([withoutCountry]));
    expect([error.code, error.message]).toEqual(['BREAKING_CHANGE', expect.stringContaining('fraud_model')]);
    // Also where the consumer is among the definitions, unchanged.
    expect((await refusal(store.apply([withoutCountry, consumer(VECTOR, PLAIN)]))).code).toBe('BREAKING_CHANGE');
    await store.apply([withoutCountry], { allowBreaking: true });
    expect([fault(VECTOR), fault(PLAIN)]).toEqual([expect.stringContaining('lastCountry'), null]);
    // What is broken already is not broken once more.
    const later = await plan([{ ...withoutCountry, description: 'changed' }]);
    expect(later.schemaChanges.filter(({ criticality }) => criticality === 'BREAKING')).toEqual([]);
    await store.apply([userStats]);
    expect(fault(VECTOR)).toBeNull();
  });

  test('that is retired, or sends less, is shown as a danger to its clients', async () => {
    await store.apply([consumer(VECTOR, PLAIN)]);
    const gone = (text: string) => ({
      criticality: 'DANGEROUS',
      message: expect.stringMatching(`operation ${text} of consumer .* registered no longer`),
      path: null,
    });
    expect((await plan([consumer(VECTOR)])).schemaChanges).toEqual([gone(idOf(PLAIN).slice(0, 12))]);
    expect((await plan([...all], true)).schemaChanges).toEqual([gone('Vector'), gone(idOf(PLAIN).slice(0, 12))]);
  });

  test('shares an operation with others, which stays while one of them sends it', async () => {
    await store.apply([consumer(PLAIN), { ...consumer(PLAIN), name: 'dashboard', owner: undefined }]);
    expect([...store.live.current.operations].map(({ consumers }) => consumers.map(({ name }) => name))).toEqual([
      ['fraud_model', 'dashboard'],
    ]);
    expect((await plan([...all, consumer(PLAIN)], true)).schemaChanges).toEqual([]);
  });
});

describe('the fast lane', () => {
  const createLane = (onlyRegistered: boolean): FastLane =>
    new FastLane({
      live: store.live,
      query: store.services.query,
      maxKeys: 1_000,
      answers: store.services.answers,
      now: store.services.now,
      check: new OperationCheck(LIMITS),
      onlyRegistered,
    });
  const ask = (lane: FastLane, body: OperationBody): Promise<string | null> => askLane(lane, JSON.stringify(body));
  const right = '{"data":{"user":{"id":"u1"}}}\n';
  const hash = idOf(PLAIN);

  test('answers a registered operation at its first request, by text and by each form of its id', async () => {
    await store.apply([consumer(PLAIN)]);
    const bodies: OperationBody[] = [
      { query: PLAIN },
      { documentId: `sha256:${hash}` },
      { documentId: hash, query: '' },
      { id: hash, variables: {} },
      { extensions: { persistedQuery: { version: 1, sha256Hash: hash } }, operationName: null },
    ];
    for (const body of bodies) expect(await ask(createLane(false), body)).toBe(right);
    expect(await ask(createLane(true), bodies[0]!)).toBe(right);
  });

  test('leaves to others what is named wrongly, and, where only registered operations run, what is not registered', async () => {
    await store.apply([consumer(PLAIN)]);
    const lane = createLane(false);
    for (const body of [
      { documentId: 'sha256:0000' },
      { documentId: 7 },
      { documentId: `md5:${hash}` },
      { documentId: hash, operationName: 'Other' },
      { documentId: hash, other: 1 },
      { extensions: { persistedQuery: { version: 2, sha256Hash: hash } } },
      { extensions: null },
      { query: PLAIN, documentId: hash },
    ]) {
      expect(await ask(lane, body)).toBeNull();
    }
    const strict = createLane(true);
    for (let time = 1; time <= 3; time += 1) expect(await ask(strict, { query: `${PLAIN} ` })).toBeNull();
    expect(await ask(strict, { query: PLAIN })).toBe(right);
  });

  test('has the plans of the schema that is served, from its first request on', async () => {
    await store.apply([
      consumer('{ user(id: "u1") { stats { version } } }', '{ user(id: "u1") { stats { lastCountry } } }'),
    ]);
    const [first, second] = [...store.live.current.operations].map(({ id }) => ({ documentId: id }));
    const lane = createLane(false);
    expect(await ask(lane, first!)).toContain('"version":1');
    await store.apply([withoutCountry], { allowBreaking: true });
    expect(await ask(lane, first!)).toContain('"version":2');
    expect(await ask(lane, second!)).toBeNull();
    await store.apply([userStats]);
    expect(await ask(lane, second!)).toContain('lastCountry');
  });
});
