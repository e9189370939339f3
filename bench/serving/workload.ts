/** What is asked for: operations with their variables, the same features for Feast, and lists of prepared requests. */
import { entitiesOf, entityId, FEAST_VIEWS, TABLES, type View, viewNamed } from './dataset.js';
import { createChoice, createRandom, type Distribution } from './key-choice.js';

/** How entities are asked for: by `user(id)`, by `users(ids)`, or as a router asks, by `_entities`. */
export type Form = 'one' | 'list' | 'entities';
/** The language of a door: GraphQL, or Feast's /get-online-features. */
export type Door = 'graphql' | 'feast';

export interface Workload {
  readonly name: string;
  readonly form: Form;
  /** Entities in one request. */
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

export function workloadNamed(name: string): Workload {
  const workload = WORKLOADS.find((one) => one.name === name);
  if (!workload) throw new Error(`no workload "${name}"; there are ${WORKLOADS.map((one) => one.name).join(', ')}`);
  return workload;
}

function selectionOf({ name, features }: View): string {
  return `${name} { ${features.map((feature) => feature.name).join(' ')} status }`;
}

/** The operation of a workload; its variables are the keys. */
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

/** The body of one request. */
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

/** Ids that no entity has, of one width, so that each request can be given one that nobody asked for before. */
export const MISS_DIGITS = 9;
export function missId(number: number): string {
  return `x${`${number}`.padStart(MISS_DIGITS, '0')}`;
}

/** The keys of request after request, without end. */
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
