import { describe, expect, test } from '@jest/globals';
import type { DefinitionRecord, ServiceMeaning } from '../../src/definition/definition-record.js';
import { type DefinitionPlan, parseDefinitions, planDefinitions } from '../../src/definition/plan.js';
import { pinsOf } from '../../src/definition/service-meaning.js';
import { FStoreError } from '../../src/errors.js';
import { computation } from '../../src/transformation/computation.js';
import { all, fraud, purchase, purchaseStats, transactions, user, userStats } from './fakes/example-definitions.js';

const reserved = { types: new Set(['Query', 'JSON']), queries: new Set(['project']), subscriptions: new Set<string>() };

function plan(
  records: readonly DefinitionRecord[],
  inputs: readonly unknown[],
  options: { prune?: boolean; retire?: string[] } = {},
): DefinitionPlan {
  return planDefinitions(records, parseDefinitions(inputs), {
    prune: false,
    retire: [],
    reserved,
    computation,
    ...options,
  });
}

function refusal(run: () => unknown): FStoreError {
  try {
    run();
  } catch (error) {
    if (error instanceof FStoreError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

const shown = (one: DefinitionPlan): string[] =>
  one.changes.map(({ action, name, version }) => `${action} ${name}@${version}`);
const first = plan([], all);

describe('a plan', () => {
  test('creates everything at version 1 in an empty project, and nothing when applied again', () => {
    expect(shown(first)).toEqual([
      'CREATE user@1',
      'CREATE purchase@1',
      'CREATE transactions@1',
      'CREATE user_stats@1',
      'CREATE purchase_stats@1',
      'CREATE fraud@1',
    ]);
    expect(shown(plan(first.records, all))).toEqual([]);
  });

  test('does not depend on the order in which definitions are given', () => {
    const prints = (one: DefinitionPlan) => one.create.map((record) => `${record.name} ${record.fingerprint}`).sort();
    expect(prints(plan([], [...all].reverse()))).toEqual(prints(first));
  });

  test('makes no new version for a change of owner, description, tags, TTL or GraphQL names', () => {
    const changed = {
      ...userStats,
      owner: 'other',
      description: 'x',
      ttl: '1d',
      tags: { a: 'b' },
      graphql: { field: 'stats2' },
    };
    const next = plan(first.records, [changed]);
    expect(shown(next)).toEqual(['UPDATE user_stats@1']);
    expect(next.update[0]?.fingerprint).toBe(first.records.find((record) => record.name === 'user_stats')?.fingerprint);
  });

  test('makes a new version for a change of meaning and keeps the old one active', () => {
    const next = plan(first.records, [{ ...userStats, features: ['amount'] }]);
    expect(shown(next)).toEqual(['NEW_VERSION user_stats@2']);
    const versions = next.records.filter((record) => record.name === 'user_stats');
    expect(versions.map(({ version, active }) => [version, active])).toEqual([
      [1, true],
      [2, true],
    ]);
  });

  test('gives a view a new version when a column that it reads changes its type under it', () => {
    const source = { ...transactions, schema: { ...transactions.schema, country: 'INT64' } };
    expect(shown(plan(first.records, [source]))).toEqual([
      'NEW_VERSION transactions@2',
      'NEW_VERSION user_stats@2',
      'RETIRE transactions@1',
    ]);
  });

  test('leaves views alone when a column that they do not read is added to their source', () => {
    const source = { ...transactions, schema: { ...transactions.schema, device: 'STRING' } };
    expect(shown(plan(first.records, [source]))).toEqual(['NEW_VERSION transactions@2', 'RETIRE transactions@1']);
  });

  test('keeps the versions that a service pinned until the service is applied again', () => {
    const view = plan(first.records, [{ ...userStats, features: ['amount'] }]);
    const pins = (records: readonly DefinitionRecord[]): string[] =>
      records
        .filter((record) => record.name === 'fraud' && record.active)
        .flatMap((record) => (record.meaning as ServiceMeaning).features)
        .flatMap(pinsOf)
        .map((one) => `${one.view}@${one.version}`);
    expect(pins(view.records)).toContain('user_stats@1');
    const service = plan(view.records, [fraud]);
    expect(shown(service)).toEqual(['NEW_VERSION fraud@2', 'RETIRE fraud@1']);
    expect(pins(service.records)).toContain('user_stats@2');
  });

  test('retires an older version when asked, but neither the current one nor one that a service reads', () => {
    const second = plan(first.records, [{ ...userStats, features: ['amount'] }]);
    expect(refusal(() => plan(second.records, [], { retire: ['user_stats@1'] })).code).toBe('REFERENCE_UNKNOWN');
    const third = plan(second.records, [fraud]);
    expect(shown(plan(third.records, [], { retire: ['user_stats@1'] }))).toEqual(['RETIRE user_stats@1']);
    expect(refusal(() => plan(third.records, [], { retire: ['user_stats@2'] })).code).toBe('VIEW_UNKNOWN');
  });

  test('prunes what is not given, and gives a name that comes back the next version', () => {
    const pruned = plan(first.records, [user, transactions, userStats], { prune: true });
    expect(shown(pruned).sort()).toEqual(['RETIRE fraud@1', 'RETIRE purchase@1', 'RETIRE purchase_stats@1']);
    expect(shown(plan(pruned.records, [purchase, purchaseStats]))).toEqual([
      'CREATE purchase@2',
      'CREATE purchase_stats@2',
    ]);
  });

  test('retires the older versions of an entity whose join keys changed', () => {
    const other = {
      ...user,
      joinKeys: [
        { name: 'user_id', type: 'STRING' },
        { name: 'country', type: 'STRING' },
      ],
      graphql: { type: 'User' },
    };
    const next = plan(first.records, [other, fraud]);
    expect(shown(next)).toEqual(
      expect.arrayContaining(['NEW_VERSION user_stats@2', 'RETIRE user_stats@1', 'NEW_VERSION fraud@2']),
    );
  });
});

describe('a plan refuses', () => {
  const cases: [string, unknown[], string, string][] = [
    ['an unknown kind', [{ kind: 'table', name: 'x' }], 'DEFINITION_INVALID', 'kind'],
    ['an unknown field', [{ ...user, colour: 'red' }], 'DEFINITION_INVALID', ''],
    ['a name in capitals', [{ ...user, name: 'User' }], 'DEFINITION_INVALID', 'name'],
    ['an entity without a join key', [{ ...user, joinKeys: [] }], 'DEFINITION_INVALID', 'joinKeys'],
    [
      'the same join key twice',
      [{ ...purchase, joinKeys: [user.joinKeys[0], user.joinKeys[0]] }],
      'DEFINITION_INVALID',
      'joinKeys.1.name',
    ],
    ['a source whose timestamp is no column', [{ ...transactions, timestamp: 'at' }], 'REFERENCE_UNKNOWN', 'timestamp'],
    [
      'a source whose timestamp is text',
      [{ ...transactions, timestamp: 'country' }],
      'DEFINITION_INVALID',
      'timestamp',
    ],
    ['a view of an unknown entity', [transactions, { ...userStats, entity: 'nobody' }], 'REFERENCE_UNKNOWN', 'entity'],
    [
      'a view of an unknown column',
      [user, transactions, { ...userStats, features: ['nope'] }],
      'REFERENCE_UNKNOWN',
      'features.0',
    ],
    [
      'a feature twice',
      [user, transactions, { ...userStats, features: ['amount', 'amount'] }],
      'DEFINITION_INVALID',
      'features.1',
    ],
    ['a TTL of zero', [{ ...userStats, ttl: '0d' }], 'DEFINITION_INVALID', 'ttl'],
    ['the same definition twice', [user, user], 'NAME_COLLISION', 'name'],
    ['a type name that FStore uses', [{ ...user, graphql: { type: 'Query' } }], 'NAME_COLLISION', 'graphql.type'],
    ['a query field that FStore uses', [{ ...user, graphql: { field: 'project' } }], 'NAME_COLLISION', 'graphql.field'],
    [
      'features that fall together in camel case',
      [
        user,
        { ...transactions, schema: { ...transactions.schema, a_1: 'INT64', a1: 'INT64' } },
        { ...userStats, features: ['a_1', 'a1'] },
      ],
      'NAME_COLLISION',
      'features.1',
    ],
    [
      'a feature named like a field of every view',
      [
        user,
        { ...transactions, schema: { ...transactions.schema, status: 'STRING' } },
        { ...userStats, features: ['status'] },
      ],
      'NAME_COLLISION',
      'features.0',
    ],
    ['a service over an unknown view', [{ ...fraud, features: ['nope'] }], 'REFERENCE_UNKNOWN', 'features.0'],
    [
      'a service over an unknown feature',
      [...all.slice(0, 5), { ...fraud, features: ['user_stats:nope'] }],
      'REFERENCE_UNKNOWN',
      'features.0',
    ],
  ];
  test.each(cases)('%s', (_, inputs, code, field) => {
    const error = refusal(() => plan([], inputs));
    expect([error.code, error.issues[0]?.field]).toEqual([code, field]);
  });

  test('with all findings together, each naming its definition', () => {
    const error = refusal(() =>
      plan(
        [],
        [
          { ...user, name: 'A' },
          { ...transactions, timestamp: 7 },
        ],
      ),
    );
    expect(error.issues.map((issue) => issue.definition)).toEqual([0, 1]);
  });
});
