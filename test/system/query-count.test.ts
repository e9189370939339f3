/** The servers themselves count what one GraphQL operation costs them. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { eventually } from '../harness/eventually.js';
import {
  commandsBetween,
  postgresStatementCount,
  redisCommandStats,
  type StatementCount,
  testServers,
} from '../harness/test-servers.js';
import { transactions, user } from '../unit/fakes/example-definitions.js';
import { apply, ask, push } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const VIEWS = ['amounts', 'countries', 'both'];
const definitions = [
  user,
  transactions,
  { kind: 'featureView', name: 'amounts', entity: 'user', source: 'transactions', features: ['amount'] },
  { kind: 'featureView', name: 'countries', entity: 'user', source: 'transactions', features: ['country'] },
  { kind: 'featureView', name: 'both', entity: 'user', source: 'transactions', features: ['amount', 'country'] },
];
const ids = Array.from({ length: 100 }, (_, index) => `query-count-${index}`);
const QUERY =
  'query ($ids: [ID!]!) { users(ids: $ids) { id amounts { amount status } countries { country } both { amount country } } }';

describe('users(ids: 100) over 3 views costs', () => {
  let platform: Platform;
  let fstore: FStoreProcess;
  let statements: StatementCount;

  beforeAll(async () => {
    platform = await createPlatform('servers');
    fstore = await platform.start();
    await apply(fstore.url, definitions);
    const time = new Date(Date.now() - 60_000).toISOString();
    const events = ids.map((id, index) => ({
      user_id: id,
      card_id: index,
      amount: index + 0.5,
      country: 'NL',
      event_time: time,
    }));
    await push(fstore.url, 'transactions', events);
    await eventually(async () => {
      const { users } = await ask<{ users: { both: { amount: number | null } }[] }>(fstore.url, QUERY, { ids });
      expect(users.filter((one) => one.both.amount !== null)).toHaveLength(ids.length);
    });
    // The worker writes nothing more from here on, so all that is counted is the operation's own.
    await fstore.process.stop();
    fstore = await platform.start({ arguments: ['serve', '--without-worker'] });
    statements = await postgresStatementCount(platform.environment.FSTORE_POSTGRES_URL ?? '');
  });
  afterAll(() => platform.drop());

  /** What an operation costs, with what is written behind its answer: so many values. */
  const cost = async (written = 0) => {
    const before = await redisCommandStats(testServers().redisUrl);
    await statements.reset();
    const answer = await ask<{ users: unknown[] }>(fstore.url, QUERY, { ids });
    const reads = Object.entries(await statements.calls()).filter(([text]) => /view_/.test(text));
    const commands = await eventually(async () => {
      const found = commandsBetween(before, await redisCommandStats(testServers().redisUrl));
      expect(found.set ?? 0).toBe(written);
      return found;
    });
    return { answer, commands, statements: reads.reduce((sum, [, calls]) => sum + calls, 0) };
  };

  test('one MGET and nothing else when the values are in Redis', async () => {
    const warm = await cost();
    expect(warm.commands).toEqual({ mget: 1 });
    expect(warm.statements).toBe(0);
  });

  test('one MGET, one statement a view and few writes behind the answer when they are not', async () => {
    const warm = await cost();
    await removeKeys();
    const cold = await cost(VIEWS.length * ids.length);
    expect(cold.answer).toEqual(warm.answer);
    expect(cold.statements).toBe(VIEWS.length);
    const { mget, eval: evaluated = 0, evalsha = 0, ...rest } = cold.commands;
    expect(mget).toBe(1);
    expect(evaluated + evalsha).toBeGreaterThanOrEqual(1);
    // What is found in the same moment is written together, by a script; what remains is what the script itself calls.
    expect(evaluated + evalsha).toBeLessThanOrEqual(3);
    expect(Object.keys(rest).filter((command) => !['get', 'getrange', 'set', 'script|load'].includes(command))).toEqual(
      [],
    );
    expect((await cost()).commands).toEqual({ mget: 1 });
  });
});

async function removeKeys(): Promise<void> {
  const redis = new Redis(testServers().redisUrl);
  const keys = await redis.keys('fs:{query-count-*');
  if (keys.length > 0) await redis.del(...keys);
  redis.disconnect();
}
