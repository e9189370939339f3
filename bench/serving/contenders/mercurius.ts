/**
 * Mercurius on Fastify with compiled queries and a DataLoader for each request, which is faster here than Mercurius's
 * own loaders. Like the raw server, it combines the reads of all requests.
 *
 *   node mercurius.js <port> <redis url>
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

interface App {
  register(plugin: unknown, options: unknown): Promise<unknown>;
  listen(options: { host: string; port: number }): Promise<string>;
}
const load = async <T>(name: string): Promise<T> => ((await import(name)) as { default: T }).default;

const [port = '', url = ''] = process.argv.slice(2);
const fastify = await load<(options: object) => App>('fastify');
const mercurius = await load<unknown>('mercurius');
const context = contextMaker(await load<LoaderClass>('dataloader'), new FragmentStore(url));

const app = fastify({ logger: false });
const resolvers = { ...ROOT_RESOLVERS, _Entity: { resolveType }, User: VIEW_RESOLVERS };
await app.register(mercurius, { schema: SCHEMA, resolvers, context, jit: 1 });
await app.listen({ host: '127.0.0.1', port: Number(port) });
