/** Compares online values with a recount of the produced events. */
import { ask } from '../../test/system/graphql-door.js';
import { featuresOf, type ProducedEvent, recount } from './views.js';

/**
 * Reads the values of users through the generated API. `before` and `after` are the times between which they were read.
 */
async function readValues(url: string, windows: number, users: readonly string[]) {
  const fields = featuresOf(windows).map(({ field }) => field);
  const before = Date.now();
  const query = `query ($ids: [ID!]!) { users(ids: $ids) { id spending { ${fields.join(' ')} } } }`;
  const data = await ask<{ users: { id: string; spending: Record<string, number | string | null> }[] }>(url, query, {
    ids: users,
  });
  return { before, after: Date.now(), values: new Map(data.users.map(({ id, spending }) => [id, spending])) };
}

/** Compares online values of users with a recount of the produced events. Returns the differences. */
export async function findWrong(
  url: string,
  windows: number,
  users: readonly string[],
  events: readonly ProducedEvent[],
) {
  const own = new Map<string, ProducedEvent[]>(users.map((user) => [user, []]));
  for (const event of events) own.get(event.user)?.push(event);
  const { before, after, values } = await readValues(url, windows, users);
  const wrong: string[] = [];
  for (const user of users) {
    for (const feature of featuresOf(windows)) {
      const raw = values.get(user)?.[feature.field] ?? null;
      const online = raw === null ? null : Number(raw);
      // The tail of a window may move between the two times, so either value is right.
      const expected = [before, after].map((at) => recount(feature, own.get(user)!, at));
      const same = expected.some((one) =>
        one === null || online === null ? one === online : Math.abs(one - online) <= 1e-9 * Math.max(1, Math.abs(one)),
      );
      if (!same) wrong.push(`${user}.${feature.field}: online ${online}, recounted ${expected[1]}`);
    }
  }
  return wrong;
}
