import { beforeEach, describe, expect, test } from '@jest/globals';
import { entityKey } from '../../src/definition/entity-key.js';
import { OnlineQuery } from '../../src/retrieval/online-query.js';
import { onlineKey } from '../../src/store/online-key.js';
import { exampleView } from './fakes/example-view.js';
import { CountingOnlineStore } from './fakes/memory-fstore.js';
import { NaiveOfflineStore } from './fakes/naive-offline-store.js';

const view = exampleView;
const u1 = { view, key: entityKey(['u1']) };
const u2 = { view, key: entityKey(['u2']) };

let online: CountingOnlineStore;
let offline: NaiveOfflineStore;
let query: OnlineQuery;
beforeEach(() => {
  online = new CountingOnlineStore();
  offline = new NaiveOfflineStore();
  query = new OnlineQuery({ project: 'p', online, offline, onlinePause: 60_000 });
  offline.rows.push({ view: view.table, key: 'u1', eventTime: 100, sequence: 1, values: [1.5] });
});

const present = (value: number, eventTime: number) => ({ status: 'PRESENT', eventTime, values: [value] });
const missing = { status: 'NOT_FOUND', eventTime: null, values: null };
const unavailable = { status: 'UNAVAILABLE', eventTime: null, values: null };

describe('an online query', () => {
  test('asks the offline store once for what many miss in one turn, and writes it back once', async () => {
    const answers = await Promise.all([query.read([u1], 200), query.read([u1, u2], 200), query.read([u2, u1], 200)]);
    expect(answers).toEqual([[present(1.5, 100)], [present(1.5, 100), missing], [missing, present(1.5, 100)]]);
    expect([offline.calls.valuesAt, query.counts.misses]).toEqual([1, 2]);
    await query.settle();
    expect([online.calls.write, online.entries.size]).toEqual([1, 2]);
  });

  test('lets nobody wait for a view that he does not ask for', async () => {
    const slow = { ...view, table: 'slow' };
    const valuesAt = offline.valuesAt.bind(offline);
    let go = (): void => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    offline.valuesAt = async (asked, ...rest) => {
      if (asked === slow) await held;
      return valuesAt(asked, ...rest);
    };
    const waiting = query.read([{ view: slow, key: entityKey(['u3']) }], 200);
    expect(await query.read([u1], 200)).toEqual([present(1.5, 100)]);
    go();
    expect(await waiting).toEqual([missing]);
  });

  test('lets nobody wait for the many that somebody else asks for', async () => {
    const many = Array.from({ length: 1_000 }, (_, index) => ({ view, key: entityKey([`many-${index}`]) }));
    const [few, all] = await Promise.all([query.read([u1], 200), query.read(many, 200)]);
    expect(few).toEqual([present(1.5, 100)]);
    expect(all).toEqual(many.map(() => missing));
    expect(offline.calls.valuesAt).toBe(2);
  });

  test('reads a value for the instant of each who asks', async () => {
    offline.rows.push({ view: view.table, key: 'u2', eventTime: 300, sequence: 2, values: [2] });
    const answers = await Promise.all([query.read([u1], 99), query.read([u2], 300)]);
    expect(answers).toEqual([[missing], [present(2, 300)]]);
    expect(offline.calls.valuesAt).toBe(1);
  });

  test('remembers that there is nothing, until there is something', async () => {
    await query.read([u2], 200);
    await query.settle();
    await query.read([u2], 200);
    expect(offline.calls.valuesAt).toBe(1);
    const value = query.codecOf(view).encode({ eventTime: 150, sequence: 2, values: [3] });
    await online.write([{ key: onlineKey('p', view, u2.key), value, expiresIn: null }]);
    expect(await query.read([u2], 200)).toEqual([present(3, 150)]);
  });

  test('answers from the offline store while the online store is down, asking the broken one only once', async () => {
    online.failing = true;
    expect(await query.read([u1], 200)).toEqual([present(1.5, 100)]);
    expect(await query.read([u1], 200)).toEqual([present(1.5, 100)]);
    expect([online.calls.read, online.calls.write, query.counts.onlineFailures]).toEqual([1, 0, 1]);
  });

  test('answers hits while the offline store is down, and misses as UNAVAILABLE, which it does not remember', async () => {
    await query.read([u1], 200);
    await query.settle();
    offline.failing = true;
    expect(await query.read([u1, u2], 200)).toEqual([present(1.5, 100), unavailable]);
    expect(await query.readAsOf(view, [u1.key], 150)).toEqual([unavailable]);
    offline.failing = false;
    expect(await query.read([u2], 200)).toEqual([missing]);
  });

  test('asks an online store that rests after all when the offline store is down too', async () => {
    await query.read([u1], 200);
    await query.settle();
    online.failing = true;
    await query.read([u2], 200);
    online.failing = false;
    offline.failing = true;
    expect(await query.read([u1, u2], 200)).toEqual([present(1.5, 100), unavailable]);
  });

  test('takes damaged bytes and bytes of another meaning for a miss, and counts them', async () => {
    const key = onlineKey('p', view, u1.key);
    online.entries.set(key, Buffer.from('rubbish'));
    expect(await query.read([u1], 200)).toEqual([present(1.5, 100)]);
    const other = new OnlineQuery({ project: 'p', online, offline });
    online.entries.set(
      key,
      other.codecOf({ ...view, fingerprint: 'ffffffffffffffff' }).encode({ eventTime: 1, sequence: 1, values: [9] }),
    );
    expect(await query.read([u1], 200)).toEqual([present(1.5, 100)]);
    expect(query.counts.corrupted).toBe(2);
  });

  test('never shows a value that lies in the future of the request', async () => {
    offline.rows.push({ view: view.table, key: 'u1', eventTime: 300, sequence: 2, values: [9] });
    expect(await query.read([u1], 400)).toEqual([present(9, 300)]);
    expect(await query.read([u1], 299)).toEqual([present(1.5, 100)]);
    const together = await Promise.all([query.read([u2, u1], 400), query.read([u1], 299)]);
    expect(together[1]).toEqual([present(1.5, 100)]);
  });
});
