/** Online values beside a recount of what was produced. */
import { ask } from '../../test/system/graphql-door.js';
import { featuresOf, type ProducedEvent, recount } from './views.js';

/** Values of users as the generated API gives them, with the moments between which they were read. */
async function readValues(url: string, windows: number, users: readonly string[]) {
  const fields = featuresOf(windows).map(({ field }) => field);
  const before = Date.now();
  const query = `query ($ids: [ID!]!) { users(ids: $ids) { id spending { ${fields.join(' ')} } } }`;
  const data = await ask<{ users: { id: string; spending: Record<string, number | string | null> }[] }>(url, query, {
    ids: users,
  });
  return { before, after: Date.now(), values: new Map(data.users.map(({ id, spending }) => [id, spending])) };
}

/** Compares online values of users with a recount of what was produced; gives the differences. */
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
      // A tail may move between the two moments.
      const expected = [before, after].map((at) => recount(feature, own.get(user)!, at));
      const same = expected.some((one) =>
        one === null || online === null ? one === online : Math.abs(one - online) <= 1e-9 * Math.max(1, Math.abs(one)),
      );
      if (!same) wrong.push(`${user}.${feature.field}: online ${online}, recounted ${expected[1]}`);
    }
  }
  return wrong;
}
