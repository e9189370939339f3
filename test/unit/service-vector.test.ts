/** Services with on-demand features, transformers and request data, from definitions to answers. */
import { afterEach, describe, expect, test } from '@jest/globals';
import type { FStoreError } from '../../src/errors.js';
import { type MemoryFStore, startMemoryFStore } from './fakes/memory-fstore.js';

const NOW = Date.UTC(2026, 0, 31, 12);
const base = [
  { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] },
  {
    kind: 'source',
    name: 'transactions',
    schema: { user_id: 'STRING', amount: 'FLOAT64', channel: 'STRING', at: 'TIMESTAMP' },
    timestamp: 'at',
    stream: {},
  },
  { kind: 'featureView', name: 'newest', entity: 'user', source: 'transactions', features: ['amount', 'channel'] },
];
const ratio = {
  kind: 'onDemandFeatureView',
  name: 'ratio',
  request: { amount: 'FLOAT64', items: 'INT64', tags: 'STRING[]', when_asked: 'TIMESTAMP' },
  features: [
    { name: 'to_newest', type: 'FLOAT64', expression: 'request.amount / newest.amount' },
    { name: 'per_item', type: 'FLOAT64', expression: 'request.amount / request.items' },
    { name: 'is_late', type: 'BOOL', expression: 'request.when_asked.getHours() >= 22' },
  ],
};
const scaled = { kind: 'transformer', name: 'scaled', feature: 'newest:amount', transform: { type: 'minMax' } };
const logged = { kind: 'transformer', name: 'logged', feature: 'ratio:to_newest', transform: { type: 'log' } };
const service = { kind: 'featureService', name: 'risk', features: ['newest', 'ratio', 'scaled', 'logged'] };
const all = [...base, ratio, scaled, logged, service];

let started: MemoryFStore | null = null;
afterEach(() => started?.close());

async function start(definitions: readonly unknown[] = all): Promise<MemoryFStore> {
  await started?.close();
  started = await startMemoryFStore(NOW);
  await started.apply(definitions);
  return started;
}

async function read(fstore: MemoryFStore, query: string): Promise<Record<string, unknown>> {
  const { data, errors } = await fstore.run(query);
  expect(errors).toBeUndefined();
  return JSON.parse(JSON.stringify(data)) as Record<string, unknown>;
}

async function findings(definitions: readonly unknown[]): Promise<string[]> {
  const fstore = await start(base);
  const error = await fstore.apply(definitions).then(
    () => null,
    (reason: FStoreError) => reason,
  );
  return (error?.issues.length ? error.issues : error ? [error] : []).map(({ message }) => message);
}

describe('a service', () => {
  test('computes from features and request data, and tells what is missing', async () => {
    const fstore = await start();
    const fields = 'toNewest perItem isLate logged scaled statuses { feature status }';
    const query = `{ risk(userId: "a", request: { amount: 6, items: "3", whenAsked: "2026-01-31T22:00:00Z" }) { ${fields} } }`;
    expect((await read(fstore, query)).risk).toMatchObject({ toNewest: null, perItem: 2, isLate: true, logged: null });
    await fstore.push([{ user_id: 'a', amount: 4, channel: 'WEB', at: NOW }]);
    const { risk } = (await read(fstore, query)) as { risk: Record<string, unknown> };
    expect(risk).toMatchObject({ toNewest: 1.5, logged: Math.log1p(1.5), scaled: null });
    expect(risk.statuses).toEqual(
      Object.entries({
        amount: 'PRESENT',
        channel: 'PRESENT',
        toNewest: 'PRESENT',
        perItem: 'PRESENT',
        isLate: 'PRESENT',
        scaled: 'UNAVAILABLE',
        logged: 'PRESENT',
      }).map(([feature, status]) => ({ feature, status })),
    );
  });

  test('takes request data for each of many vectors, and answers by columns in their order', async () => {
    const fstore = await start();
    await fstore.push([{ user_id: 'a', amount: 4, channel: 'WEB', at: NOW }]);
    const keys = '[{ userId: "a", request: { amount: 2 } }, { userId: "b", request: { amount: 2 } }, { userId: "a" }]';
    const { riskColumns, riskList } = await read(
      fstore,
      `{ riskColumns(keys: ${keys}) { userId amount toNewest } riskList(keys: ${keys}) { toNewest } }`,
    );
    expect(riskColumns).toEqual({ userId: ['a', 'b', 'a'], amount: [4, null, 4], toNewest: [0.5, null, null] });
    expect(riskList).toEqual([{ toNewest: 0.5 }, { toNewest: null }, { toNewest: null }]);
  });

  test('applies parameters once they are there, and keeps them when the transformer is applied without', async () => {
    const fstore = await start();
    await fstore.push([{ user_id: 'a', amount: 4, channel: 'WEB', at: NOW }]);
    const parameters = { type: 'minMax', version: 1, min: 2, max: 6 };
    await fstore.apply([{ ...scaled, parameters, fittedOn: 'set-1' }, service]);
    const query = '{ risk(userId: "a") { scaled serviceVersion } }';
    expect(await read(fstore, query)).toEqual({ risk: { scaled: 0.5, serviceVersion: 2 } });
    const before = fstore.live.current.snapshot.revision;
    await fstore.apply(all);
    expect(fstore.live.current.snapshot.revision).toBe(before);
    await fstore.apply([{ ...scaled, transform: { type: 'standard' } }, service]);
    expect(await read(fstore, query)).toEqual({ risk: { scaled: null, serviceVersion: 3 } });
  });

  test('refuses request data that do not fit, by their field', async () => {
    const fstore = await start();
    const { errors } = await fstore.run('{ risk(userId: "a", request: { items: "many" }) { perItem } }');
    expect(errors?.[0]?.message).toContain('many');
  });
});

describe('definitions of on-demand views and transformers', () => {
  test.each([
    [
      'a feature that is not there',
      { name: 'f', type: 'FLOAT64', expression: 'newest.nothing + 1.0' },
      'view newest has no feature nothing',
    ],
    [
      'a view that is not there',
      { name: 'f', type: 'FLOAT64', expression: 'nowhere.amount' },
      'there is no view nowhere',
    ],
    [
      'request data that are not declared',
      { name: 'f', type: 'FLOAT64', expression: 'request.nothing' },
      'request.nothing is not declared (request data: request.amount',
    ],
    ['a type that it does not give', { name: 'f', type: 'INT64', expression: 'request.amount' }, 'INT64'],
    ['what is no expression', { name: 'f', type: 'FLOAT64', expression: 'request.amount +' }, 'expression'],
  ])('are refused for %s', async (_, feature, message) => {
    const [found] = await findings([{ ...ratio, features: [feature] }]);
    expect(found).toContain(message);
  });

  test('are refused where a transformer does not take the type, or has nothing to be applied to', async () => {
    expect(await findings([{ ...scaled, feature: 'newest:channel' }])).toEqual([
      expect.stringContaining('minMax takes'),
    ]);
    expect(await findings([{ ...scaled, feature: 'newest:nothing' }])).toEqual([
      expect.stringContaining('no feature of a view'),
    ]);
  });

  test('hold the views that they read: one that they need is not removed under them', async () => {
    const fstore = await start([...base, ratio]);
    const gone = fstore.apply([base[0], base[1], ratio], { prune: true, allowBreaking: true });
    await expect(gone).rejects.toMatchObject({ code: 'REFERENCE_UNKNOWN' });
  });
});
