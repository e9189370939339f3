/** The requests of each workload: operations with their variables, and the same features for Feast. */
import { entitiesOf, entityId, FEAST_VIEWS, TABLES, type View, viewNamed } from './dataset.js';
import { createChoice, createRandom, type Distribution } from './key-choice.js';

/** How entities are requested: by `user(id)`, by `users(ids)`, or by `_entities` as a router does. */
export type Form = 'one' | 'list' | 'entities';
/** The API of a contender: GraphQL, or Feast's /get-online-features. */
export type Door = 'graphql' | 'feast';

/** One kind of request. */
export interface Workload {
  readonly name: string;
  readonly form: Form;
  /** Number of entities in one request. */
  readonly entities: number;
  readonly views: readonly string[];
  readonly distribution: Distribution;
  /** Share of keys that exist, 0 to 1. */
  readonly hitRate: number;
}

const shape = Array.from({ length: FEAST_VIEWS }, (_, index) => `v${`${index}`.padStart(2, '0')}`);
const uniform = { distribution: 'uniform', hitRate: 1 } as const;
const one10 = { form: 'one', entities: 1, views: ['profile'], ...uniform } as const;

export const WORKLOADS: readonly Workload[] = [
  { name: 'one10', ...one10 },
  { name: 'one50', ...one10, views: ['wide'] },
  { name: 'list10x10', ...one10, form: 'list', entities: 10 },
  { name: 'list10x50', ...one10, form: 'list', entities: 10, views: ['wide'] },
  { name: 'list100x10', ...one10, form: 'list', entities: 100 },
  { name: 'list100x50', ...one10, form: 'list', entities: 100, views: ['wide'] },
  { name: 'shape1', ...one10, views: shape },
  { name: 'shape10', ...one10, form: 'list', entities: 10, views: shape },
  { name: 'entities100x3', ...one10, form: 'entities', entities: 100, views: shape.slice(0, 3) },
  { name: 'one10-zipf', ...one10, distribution: 'zipf' },
  { name: 'list100x10-zipf', ...one10, form: 'list', entities: 100, distribution: 'zipf' },
  { name: 'one10-hit90', ...one10, hitRate: 0.9 },
  { name: 'one10-hit0', ...one10, hitRate: 0 },
];

/** Returns the workload with this name. Throws if there is none. */
export function workloadNamed(name: string): Workload {
  const workload = WORKLOADS.find((one) => one.name === name);
  if (!workload) throw new Error(`no workload "${name}"; there are ${WORKLOADS.map((one) => one.name).join(', ')}`);
  return workload;
}

function selectionOf({ name, features }: View): string {
  return `${name} { ${features.map((feature) => feature.name).join(' ')} status }`;
}

/** Returns the operation of a workload; its variables are the keys. */
export function queryOf(workload: Workload): string {
  const fields = `id ${workload.views.map((name) => selectionOf(viewNamed(name))).join(' ')}`;
  switch (workload.form) {
    case 'one':
      return `query Features($id: ID!) { user(id: $id) { ${fields} } }`;
    case 'list':
      return `query Features($ids: [ID!]!) { users(ids: $ids) { ${fields} } }`;
    case 'entities':
      return `query Features($representations: [_Any!]!) { _entities(representations: $representations) { ... on User { ${fields} } } }`;
  }
}

function variablesOf({ form }: Workload, ids: readonly string[]): Record<string, unknown> {
  if (form === 'one') return { id: ids[0] };
  if (form === 'list') return { ids };
  return { representations: ids.map((id) => ({ __typename: 'User', id })) };
}

/** Returns the body of one request. */
export function bodyOf(workload: Workload, door: Door, ids: readonly string[]): string {
  if (door === 'graphql') return JSON.stringify({ query: queryOf(workload), variables: variablesOf(workload, ids) });
  const features = workload.views.flatMap((name) => viewNamed(name).features.map((one) => `${name}:${one.name}`));
  return JSON.stringify({ features, entities: { user_id: ids } });
}

export const PATHS: Readonly<Record<Door, string>> = { graphql: '/graphql', feast: '/get-online-features' };
/** How every good answer begins. */
export const PREFIXES: Readonly<Record<Door, readonly string[]>> = {
  graphql: ['{"data":{"'],
  feast: ['{"results"', '{"metadata'],
};

/**
 * Digits in the id of a miss. All ids of misses have the same width, so a new one can be written into each request.
 */
export const MISS_DIGITS = 9;
/** Returns an id that no entity has. */
export function missId(number: number): string {
  return `x${`${number}`.padStart(MISS_DIGITS, '0')}`;
}

/** Yields the keys of one request after the other, endlessly. */
export function* keysOf(workload: Workload, entities: number, seed: number): Generator<string[]> {
  const random = createRandom(seed);
  const table = TABLES.find(({ views }) => views.some(({ name }) => name === workload.views[0]))!;
  const choose = createChoice(workload.distribution, entitiesOf(table, entities), random);
  for (let misses = 0; ; ) {
    yield Array.from({ length: workload.entities }, () => {
      const hit = workload.hitRate === 1 || random() < workload.hitRate;
      return hit ? entityId(choose()) : missId(misses++);
    });
  }
}
