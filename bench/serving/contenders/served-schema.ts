/** The schema that Mercurius and Apollo serve, written by hand for the known features. */
import { type FeatureType, VIEWS } from '../dataset.js';
import { type FragmentStore, fragmentKey } from './fragment-store.js';

const TYPES: Readonly<Record<FeatureType, string>> = {
  FLOAT64: 'Float',
  INT64: 'BigInt',
  STRING: 'String',
  BOOL: 'Boolean',
};

function typeNameOf(view: string): string {
  return view.charAt(0).toUpperCase() + view.slice(1);
}

const viewTypes = VIEWS.map(({ name, features }) => {
  const fields = features.map((feature) => `  ${feature.name}: ${TYPES[feature.type]}`).join('\n');
  return `type ${typeNameOf(name)} {\n${fields}\n  status: FeatureStatus!\n}`;
});

export const SCHEMA = `
scalar BigInt
scalar _Any
enum FeatureStatus { PRESENT NOT_FOUND }
${viewTypes.join('\n')}
type User {
  id: ID!
${VIEWS.map(({ name }) => `  ${name}: ${typeNameOf(name)}!`).join('\n')}
}
union _Entity = User
type Query {
  user(id: ID!): User!
  users(ids: [ID!]!): [User!]!
  _entities(representations: [_Any!]!): [_Entity]!
}
`;

/** The parent value of a user's fields. */
export interface User {
  readonly id: string;
}

/** Returns the type of every entity; the two servers need this function under different names. */
export const resolveType = (): string => 'User';

/** Resolvers of the root fields. They return keys only; `User` reads the views. */
export const ROOT_RESOLVERS = {
  Query: {
    user: (_: unknown, { id }: { id: string }): User => ({ id }),
    users: (_: unknown, { ids }: { ids: readonly string[] }): User[] => ids.map((id) => ({ id })),
    _entities: (_: unknown, { representations }: { representations: readonly User[] }): User[] =>
      representations.map(({ id }) => ({ id })),
  },
};

/** Returns the fields of a view from its prepared answer in Redis, or those of a missing entity. */
function parseFragment(bytes: Buffer | null): Record<string, unknown> {
  return bytes ? (JSON.parse(bytes.toString()) as Record<string, unknown>) : { status: 'NOT_FOUND' };
}

/** A loader of the package `dataloader`. It belongs to the benchmark, so the product's type check does not need it. */
interface Loader {
  load(key: string): Promise<unknown>;
}
export type LoaderClass = new (
  read: (keys: readonly string[]) => Promise<unknown[]>,
  options: { readonly cache: boolean },
) => Loader;

/** The context of one request. Its loader combines all reads of the request. */
export interface RequestContext {
  readonly loader: Loader;
}

/**
 * Returns a function that creates the context of a request. No key occurs twice in a request, so caching would only
 * cost time.
 */
export function contextMaker(DataLoader: LoaderClass, store: FragmentStore): () => RequestContext {
  const read = async (keys: readonly string[]) => (await store.read(keys)).map(parseFragment);
  return () => ({ loader: new DataLoader(read, { cache: false }) });
}

/** Resolvers of the views of `User`. */
export const VIEW_RESOLVERS = Object.fromEntries(
  VIEWS.map(({ name }) => {
    const resolve = ({ id }: User, _: unknown, { loader }: RequestContext) => loader.load(fragmentKey(name, id));
    return [name, resolve];
  }),
);
