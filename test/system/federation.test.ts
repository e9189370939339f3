/** FStore in a company's supergraph: an accounts subgraph owns User, Hive Gateway joins the two. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApolloServer } from '@apollo/server';
import { ApolloServerPluginInlineTraceDisabled } from '@apollo/server/plugin/disabled';
import { startStandaloneServer } from '@apollo/server/standalone';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { createGatewayRuntime, type GatewayRuntime } from '@graphql-hive/gateway-runtime';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { composeServices } from '@theguild/federation-composition';
import { parse } from 'graphql';
import { createClient as createSseClient } from 'graphql-sse';
import { eventually } from '../harness/eventually.js';
import { commandsBetween, redisCommandStats, testServers } from '../harness/test-servers.js';
import { transactions, user, userStats } from '../unit/fakes/example-definitions.js';
import { apply, ask, push } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const ACCOUNTS = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])
  type Query { topUsers(first: Int!): [User!]! }
  type User @key(fields: "id") { id: ID!  name: String! }
`;
const name = (id: string): string => `Name of ${id}`;

describe('a supergraph of FStore and accounts', () => {
  let platform: Platform;
  let fstore: FStoreProcess;
  let accounts: ApolloServer;
  let gateway: GatewayRuntime;
  let server: Server;
  let url: string;
  let entityCalls = 0;

  beforeAll(async () => {
    platform = await createPlatform('servers');
    fstore = await platform.start();
    const countries = {
      kind: 'featureView',
      name: 'user_countries',
      entity: 'user',
      source: 'transactions',
      features: ['country'],
    };
    await apply(fstore.url, [user, transactions, userStats, countries]);
    accounts = new ApolloServer({
      plugins: [ApolloServerPluginInlineTraceDisabled()],
      schema: buildSubgraphSchema({
        typeDefs: parse(ACCOUNTS),
        resolvers: {
          Query: {
            topUsers: (_: unknown, { first }: { first: number }) =>
              Array.from({ length: first }, (__, i) => ({ id: `u${i}`, name: name(`u${i}`) })),
          },
          User: { __resolveReference: ({ id }: { id: string }) => ({ id, name: name(id) }) },
        },
      }),
    });
    const accountsUrl = (await startStandaloneServer(accounts, { listen: { port: 0, host: '127.0.0.1' } })).url;
    const { _service } = await ask<{ _service: { sdl: string } }>(fstore.url, '{ _service { sdl } }');
    const composed = composeServices([
      { name: 'fstore', typeDefs: parse(_service.sdl), url: `${fstore.url}/graphql` },
      { name: 'accounts', typeDefs: parse(ACCOUNTS), url: accountsUrl },
    ]);
    if (!composed.supergraphSdl) throw new Error(JSON.stringify(composed.errors));
    gateway = createGatewayRuntime({
      supergraph: composed.supergraphSdl,
      logging: false,
      transportEntries: { fstore: { options: { subscriptions: { kind: 'ws', location: '/graphql' } } } },
      plugins: () => [
        {
          onFetch({ options }) {
            if (`${options.body}`.includes('_entities') && `${options.body}`.includes('stats')) entityCalls += 1;
          },
        },
      ],
    });
    server = createServer(gateway);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const time = new Date(Date.now() - 60_000).toISOString();
    const events = Array.from({ length: 50 }, (_, i) => ({
      user_id: `u${i}`,
      card_id: i,
      amount: i + 0.5,
      country: 'NL',
      event_time: time,
    }));
    await push(fstore.url, 'transactions', events);
    await eventually(async () =>
      expect(await ask(fstore.url, '{ user(id: "u49") { stats { amount } } }')).toEqual({
        user: { stats: { amount: 49.5 } },
      }),
    );
  });
  afterAll(async () => {
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(null)));
    await gateway?.[Symbol.asyncDispose]();
    await accounts?.stop();
    await platform.drop();
  });

  test('answers a query across both in one _entities call and one MGET', async () => {
    const query = '{ topUsers(first: 50) { id name stats { amount } countries { country } } }';
    const expected = Array.from({ length: 50 }, (_, i) => ({
      id: `u${i}`,
      name: name(`u${i}`),
      stats: { amount: i + 0.5 },
      countries: { country: 'NL' },
    }));
    await ask(url, query);
    // No worker writes in between: all events were processed.
    entityCalls = 0;
    const before = await redisCommandStats(testServers().redisUrl);
    expect(await ask(url, query)).toEqual({ topUsers: expected });
    expect(commandsBetween(before, await redisCommandStats(testServers().redisUrl))).toEqual({ mget: 1 });
    expect(entityCalls).toBe(1);
  });

  test('relays a subscription, joined with the name that accounts owns', async () => {
    const client = createSseClient({ url: `${url}/graphql`, retryAttempts: 0 });
    const updates = client.iterate({
      query: 'subscription { userStatsUpdated(ids: ["s1"]) { id name stats { amount } } }',
    });
    const first = updates.next();
    let done = false;
    const pushing = (async () => {
      for (let round = 1; !done && round < 100; round += 1) {
        const time = new Date(Date.now() - 60_000 + round).toISOString();
        await push(fstore.url, 'transactions', [{ user_id: 's1', card_id: 1, amount: 8, event_time: time }]);
        await Promise.race([first, new Promise((resolve) => setTimeout(resolve, 200))]);
      }
    })();
    expect((await first).value).toEqual({
      data: { userStatsUpdated: { id: 's1', name: name('s1'), stats: { amount: 8 } } },
    });
    done = true;
    await pushing;
    await updates.return?.();
    client.dispose();
  });
});
