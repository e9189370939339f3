/**
 * The fast lane beside graphql-js: random operations over a schema with every kind of generated field. Whatever the lane answers has to be what
 * graphql-js answers, byte for byte; where graphql-js has a finding, the lane must not answer.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type ExecutionResult, execute, GraphQLError, Kind } from 'graphql';
import { operationId } from '../../src/definition/operation-id.js';
import type { OnlineQuery } from '../../src/retrieval/online-query.js';
import { FastLane } from '../../src/schema/lane/fast-lane.js';
import { OperationCheck } from '../../src/schema/operation-check.js';
import { askLane } from './fakes/lane-door.js';
import { LIMITS, type MemoryFStore, startMemoryFStore } from './fakes/memory-fstore.js';
import { OperationGrammar, type RandomOperation } from './fakes/operation-grammar.js';
import { type SeededRandom, seededRandom } from './fakes/seeded-random.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
/** Operations with their variables; more on demand. */
const RUNS = Number(process.env.FSTORE_TEST_OPERATIONS ?? 20_000);
const SETS = 5;
const NOW = Date.UTC(2026, 0, 31, 12);
const HOUR = 3_600_000;
const PATIENCE = Math.max(600_000, 10 * RUNS);

const schema = {
  user_id: 'STRING',
  card_id: 'INT64',
  shop: 'INT32',
  amount: 'FLOAT64',
  country: 'STRING',
  big: 'INT64',
  small: 'INT32',
  ok: 'BOOL',
  seen: 'TIMESTAMP',
  tags: 'STRING[]',
  numbers: 'FLOAT64[]',
  bigs: 'INT64[]',
  times: 'TIMESTAMP[]',
  flags: 'BOOL[]',
  event_time: 'TIMESTAMP',
};
const columns = Object.keys(schema).slice(3, -1);
const stream = { kind: 'source', timestamp: 'event_time', schema, stream: {} };
const definitions = [
  {
    kind: 'entity',
    name: 'user',
    joinKeys: [{ name: 'user_id', type: 'STRING' }],
    graphql: { type: 'User', key: 'id' },
  },
  { kind: 'entity', name: 'shop', joinKeys: [{ name: 'shop', type: 'INT32' }] },
  {
    kind: 'entity',
    name: 'purchase',
    joinKeys: [
      { name: 'user_id', type: 'STRING' },
      { name: 'card_id', type: 'INT64' },
    ],
  },
  { ...stream, name: 'transactions' },
  { kind: 'featureView', name: 'everything', entity: 'user', source: 'transactions', features: columns },
  {
    kind: 'featureView',
    name: 'fresh',
    entity: 'user',
    source: 'transactions',
    ttl: '1h',
    features: ['amount', 'tags'],
  },
  { kind: 'featureView', name: 'shop_stats', entity: 'shop', source: 'transactions', features: ['amount', 'country'] },
  {
    kind: 'featureView',
    name: 'purchase_stats',
    entity: 'purchase',
    source: 'transactions',
    features: ['amount', 'ok'],
  },
  {
    kind: 'featureView',
    name: 'sums',
    entity: 'user',
    source: 'transactions',
    aggregations: [
      { name: 'spent', function: 'sum', column: 'small', windows: ['1h', '7d'] },
      { name: 'events', function: 'count', windows: ['1h'] },
      { name: 'last', function: 'lastN', column: 'country', n: 3, windows: ['7d'] },
    ],
  },
  {
    kind: 'onDemandFeatureView',
    name: 'ratio',
    request: { amount: 'FLOAT64', items: 'INT64', tags: 'STRING[]', when_asked: 'TIMESTAMP', n: 'INT32', yes: 'BOOL' },
    features: [
      { name: 'to_newest', type: 'FLOAT64', expression: 'request.amount / everything.amount' },
      { name: 'is_late', type: 'BOOL', expression: 'request.when_asked.getHours() >= 22' },
    ],
  },
  { kind: 'transformer', name: 'logged', feature: 'everything:amount', transform: { type: 'log' } },
  { kind: 'transformer', name: 'scaled', feature: 'everything:amount', transform: { type: 'minMax' } },
  {
    kind: 'featureService',
    name: 'risk',
    features: ['fresh', 'everything:big', 'everything:times', 'ratio', 'logged', 'scaled'],
  },
  {
    kind: 'featureService',
    name: 'plain',
    features: ['everything', 'purchase_stats:ok', { feature: 'fresh:amount', as: 'freshAmount' }],
  },
];
const ROOTS = [
  'user',
  'users',
  'shop',
  'shops',
  'purchase',
  'purchases',
  'risk',
  'riskList',
  'plain',
  'plainList',
  'plainColumns',
  '_entities',
];
const RARE_ROOTS = ['project', '_service'];
/** Mostly such as all entities can have. */
const IDS = [...Array.from({ length: 30 }, (_, index) => `${index % 5}`), 'u1', 'Łódź', 'a|b'];

/** Events of entities with odd keys and values: nulls, old ones, empty lists, numbers at the ends of their types. */
function events(random: SeededRandom): Record<string, unknown>[] {
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)]!;
  return Array.from({ length: 150 }, () => ({
    user_id: pick(IDS),
    card_id: pick([1, 2, 3]),
    shop: pick([1, 2, 3]),
    amount: pick([null, 0, -0, 1.5, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, 1e21, 123456.78, -7]),
    country: pick([null, '', 'NL', 'Łódź "x"\n\\', '🙂', '\u2028', 'x'.repeat(200)]),
    big: pick([null, '0', '9223372036854775807', '-9223372036854775808', 7]),
    small: pick([null, 0, 2147483647, -2147483648]),
    ok: pick([null, true, false]),
    seen: pick([null, 0, '0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z', NOW]),
    tags: pick([null, [], ['a'], ['a', '"', ''], ['x'.repeat(70), 'é']]),
    numbers: pick([null, [], [1], [0.1, 1e-7, -5]]),
    bigs: pick([null, [], ['1', '-9223372036854775808']]),
    times: pick([null, [], [0, NOW]]),
    flags: pick([null, [], [true, false]]),
    event_time: NOW - random.below(5 * HOUR),
  }));
}

describe(`the fast lane (seed ${seed}, ${RUNS} operations)`, () => {
  let fstore: MemoryFStore;
  const random = seededRandom(seed);
  const check = new OperationCheck(LIMITS);

  beforeAll(async () => {
    fstore = await startMemoryFStore(NOW);
    await fstore.apply(definitions);
    await fstore.push(events(random));
    // A version before the newest one, and entries of the online store that are no values.
    await fstore.apply([{ ...definitions[5], features: ['amount', 'tags', 'country'] }]);
    await fstore.push(events(random).slice(0, 50));
  });
  afterAll(() => fstore.close());

  const createLane = (query: Pick<OnlineQuery, 'readPacked'> = fstore.services.query): FastLane =>
    new FastLane({
      live: fstore.live,
      query,
      maxKeys: fstore.services.maxKeys,
      answers: fstore.services.answers,
      now: fstore.services.now,
      check,
      onlyRegistered: false,
    });

  /** What graphql-js answers, as Apollo writes it; null if there is any finding. */
  const expected = async ({ query, operationName }: RandomOperation, variables: Record<string, unknown> | null) => {
    const served = fstore.live.current.schema;
    let result: ExecutionResult;
    try {
      const document = check.parse(query);
      if (check.findings(served, document).length > 0) return null;
      result = await execute({
        schema: served,
        document,
        contextValue: fstore.context(),
        variableValues: variables,
        operationName,
      });
    } catch {
      return null;
    }
    return result.errors ? null : `${JSON.stringify(result)}\n`;
  };

  const answer = async (lane: FastLane, { query, operationName }: RandomOperation, variables: unknown) => {
    const name = operationName === null ? {} : { operationName };
    // Programs write their members in different orders, and some with spaces.
    const body = random.below(4) > 0 ? { query, variables, ...name } : { ...name, variables, query };
    return askLane(lane, JSON.stringify(body, null, random.below(4) > 0 ? 0 : 1));
  };

  /** Runs random operations on both; stops at the first that the lane answers differently. */
  const compare = async (lane: FastLane, runs: number, between: (run: number) => void = () => {}) => {
    const grammar = new OperationGrammar(fstore.live.current.schema, random, IDS, [...ROOTS, ...ROOTS, ...RARE_ROOTS]);
    const totals = { same: 0, passed: 0, findings: 0 };
    const roots = new Map<string, number>();
    for (let run = 0; run < runs; run += SETS) {
      between(run);
      const operation = grammar.next(SETS);
      // An operation gets its plan when it comes for the second time.
      await answer(lane, operation, operation.variables[0]);
      for (const variables of operation.variables) {
        const [found, right] = [await answer(lane, operation, variables), await expected(operation, variables)];
        if (right === null) totals.findings += 1;
        if (found === null) totals.passed += 1;
        else if (found !== right) return { totals, roots, mismatch: { operation, variables, found, right } };
        else {
          totals.same += 1;
          for (const one of ROOTS) if (operation.query.includes(`${one}(`)) roots.set(one, (roots.get(one) ?? 0) + 1);
        }
      }
    }
    return { totals, roots, mismatch: null };
  };

  /**
   * Empties the online store, damages what is in it, or lets it fail, so that every way to an answer is taken. Bytes within a text are trusted
   * as the store returned them, so these are left alone.
   */
  const disturb = (run: number): void => {
    fstore.online.failing = run % 4_000 >= 3_800;
    if (run % 500 === 0) fstore.online.entries.clear();
    if (run % 900 !== 0) return;
    for (const [key, value] of fstore.online.entries) {
      if (random.below(2) === 0) fstore.online.entries.set(key, value.subarray(0, random.below(value.length)));
      else value[16 + random.below(5)] = 0xff;
    }
  };

  test(
    'answers what graphql-js answers, byte for byte, or nothing',
    async () => {
      const { totals, roots, mismatch } = await compare(createLane(), RUNS, disturb);
      process.stdout.write(`${JSON.stringify({ seed, ...totals, ...Object.fromEntries(roots) })}\n`);
      expect(mismatch).toBeNull();
      // Both are there in numbers: answers, of every kind of root that has plans, and refusals.
      expect(totals.same).toBeGreaterThan(RUNS / 4);
      expect(totals.findings).toBeGreaterThan(RUNS / 50);
      for (const root of ROOTS)
        if (root !== 'plainColumns') expect([root, roots.get(root) ?? 0]).not.toEqual([root, 0]);
    },
    PATIENCE,
  );

  test('would be caught if it gave one entity the row of another, or a row that holds no longer', async () => {
    fstore.online.failing = false;
    fstore.online.entries.clear();
    const { query } = fstore.services;
    const shifted = {
      readPacked: async (...args: Parameters<OnlineQuery['readPacked']>) => {
        const rows = await query.readPacked(...args);
        return [...rows.slice(1), rows[0]!];
      },
    };
    expect((await compare(createLane(shifted), 2_000)).mismatch).not.toBeNull();
    const late = {
      readPacked: (references: Parameters<OnlineQuery['readPacked']>[0], now: number) =>
        query.readPacked(references, now - 2 * HOUR),
    };
    expect((await compare(createLane(late), 2_000)).mismatch).not.toBeNull();
  });

  test('answers registered operations so at their first request, by their ids', async () => {
    fstore.online.failing = false;
    fstore.online.entries.clear();
    const grammar = new OperationGrammar(fstore.live.current.schema, random, IDS, ROOTS);
    const chosen = new Map<string, RandomOperation>();
    while (chosen.size < 300) {
      const operation = grammar.next(SETS);
      try {
        const document = check.parse(operation.query);
        const count = document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION).length;
        const fits = check.findings(fstore.live.current.schema, document).length === 0;
        if (count === 1 && fits) chosen.set(operation.query.trim(), operation);
      } catch (error) {
        if (!(error instanceof GraphQLError)) throw error;
      }
    }
    await fstore.apply([{ kind: 'consumer', name: 'all_of_them', operations: [...chosen.keys()] }]);
    const lane = createLane();
    let answered = 0;
    for (const [query, { operationName, variables: sets }] of chosen) {
      for (const variables of sets) {
        const found = await askLane(
          lane,
          JSON.stringify({ documentId: `sha256:${operationId(query)}`, variables, operationName }),
        );
        if (found === null) continue;
        answered += 1;
        const right = await expected({ query, operationName, variables: [] }, variables);
        expect({ query, variables, found }).toEqual({ query, variables, found: right });
      }
    }
    expect(answered).toBeGreaterThan(chosen.size);
  });

  test('forgets its plans with the schema, and keeps no more of them than it may', async () => {
    const lane = createLane();
    const ask = (text: string) => answer(lane, { query: text, operationName: null, variables: [] }, {});
    const query = '{ user(id: "1") { id } }';
    expect([await ask(query), await ask(query)]).toEqual([null, '{"data":{"user":{"id":"1"}}}\n']);
    await fstore.apply([{ ...(definitions[6] as object), description: 'another' }]);
    expect([await ask(query), await ask(query)]).toEqual([null, '{"data":{"user":{"id":"1"}}}\n']);
    for (let index = 0; index < 1_500; index += 1) await ask(`{ user(id: "${index}") { id } }`);
    // What was in use has stayed, what came once has gone.
    expect(await ask(query)).toBe('{"data":{"user":{"id":"1"}}}\n');
    expect(await ask('{ user(id: "0") { id } }')).toBeNull();
  });
});
