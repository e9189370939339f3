/**
 * Apollo Server 5, standalone, with its defaults, and a DataLoader for each request as its documentation shows.
 *
 *   node apollo.js <port> <redis url>
 */
import { FragmentStore } from './fragment-store.js';
import {
  contextMaker,
  type LoaderClass,
  ROOT_RESOLVERS,
  resolveType,
  SCHEMA,
  VIEW_RESOLVERS,
} from './served-schema.js';

interface ApolloPackage {
  readonly ApolloServer: new (options: object) => object;
}
interface StandalonePackage {
  startStandaloneServer(server: object, options: object): Promise<unknown>;
}
const load = <T>(name: string): Promise<T> => import(name) as Promise<T>;

const [port = '', url = ''] = process.argv.slice(2);
const { ApolloServer } = await load<ApolloPackage>('@apollo/server');
const { startStandaloneServer } = await load<StandalonePackage>('@apollo/server/standalone');
const { default: DataLoader } = await load<{ readonly default: LoaderClass }>('dataloader');
const createContext = contextMaker(DataLoader, new FragmentStore(url));

const resolvers = { ...ROOT_RESOLVERS, _Entity: { __resolveType: resolveType }, User: VIEW_RESOLVERS };
const server = new ApolloServer({ typeDefs: SCHEMA, resolvers });
await startStandaloneServer(server, {
  context: async () => createContext(),
  listen: { host: '127.0.0.1', port: Number(port) },
});
