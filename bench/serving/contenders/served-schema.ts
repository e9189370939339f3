/** The schema that Mercurius and Apollo serve, written down once as one would who knows the features beforehand. */
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

export interface User {
  readonly id: string;
}

/** The type of every entity, which the servers ask for under names of their own. */
export const resolveType = (): string => 'User';

/** Resolvers of the root fields: they know the keys, and views are read by `User`. */
export const ROOT_RESOLVERS = {
  Query: {
    user: (_: unknown, { id }: { id: string }): User => ({ id }),
    users: (_: unknown, { ids }: { ids: readonly string[] }): User[] => ids.map((id) => ({ id })),
    _entities: (_: unknown, { representations }: { representations: readonly User[] }): User[] =>
      representations.map(({ id }) => ({ id })),
  },
};

/** What a view's fields are read from: a fragment of Redis, or what an absent one means. */
function parseFragment(bytes: Buffer | null): Record<string, unknown> {
  return bytes ? (JSON.parse(bytes.toString()) as Record<string, unknown>) : { status: 'NOT_FOUND' };
}

/** Of the package `dataloader`: the benchmark's own, so that the product's type check needs none of its packages. */
interface Loader {
  load(key: string): Promise<unknown>;
}
export type LoaderClass = new (
  read: (keys: readonly string[]) => Promise<unknown[]>,
  options: { readonly cache: boolean },
) => Loader;

/** What resolvers see of one request: what they ask for goes out as one read. */
export interface RequestContext {
  readonly loader: Loader;
}

/** Makes the context of a request. No key occurs twice in a request, so remembering answers would only cost time. */
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
