/** The invariants of the registry port, held by every adapter on a real server. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Registry } from '../../src/registry/registry.js';
import { eventually } from '../harness/eventually.js';
import { type RegistryPlatform, registryPlatforms } from './registry/registry-platforms.js';
import { changeOf, entityRecord, sourceRecord } from './registry/sample-records.js';

describe.each(registryPlatforms)('registry in $name', ({ create }) => {
  let platform: RegistryPlatform;
  let project: string;
  let projects = 0;
  const opened: Registry[] = [];

  const connect = async (name = project): Promise<Registry> => {
    const registry = await platform.connect(name);
    opened.push(registry);
    return registry;
  };

  beforeAll(async () => {
    platform = await create();
  });
  beforeEach(() => {
    projects += 1;
    project = `p${projects}`;
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((registry) => registry.close()));
  });
  afterAll(async () => {
    await platform?.drop();
  });

  test('any number of processes may connect to an empty database at once', async () => {
    const fresh = await create();
    try {
      const registries = await Promise.all(Array.from({ length: 8 }, () => fresh.connect('first')));
      expect(await registries[7]?.load()).toEqual({ project: 'first', revision: 0, records: [] });
      await Promise.all(registries.map((registry) => registry.close()));
    } finally {
      await fresh.drop();
    }
  });

  describe('1. an apply is all or nothing, and exactly one apply wins a revision', () => {
    test('a change with one record that cannot be stored leaves no trace', async () => {
      const registry = await connect();
      await registry.apply(changeOf(0, { create: [entityRecord('user')] }));
      const before = await registry.load();
      const failing = [
        changeOf(1, { create: [entityRecord('shop'), entityRecord('user')] }),
        changeOf(1, { create: [entityRecord('shop'), entityRecord('shop')] }),
        changeOf(1, { create: [entityRecord('shop')], update: [entityRecord('nobody')] }),
        changeOf(1, { create: [entityRecord('shop')], retire: [entityRecord('user'), entityRecord('nobody')] }),
      ];
      for (const change of failing) {
        await expect(registry.apply(change)).rejects.toMatchObject({ code: 'INTERNAL' });
      }
      expect(await registry.load()).toEqual(before);
      expect(await registry.audit(10)).toHaveLength(1);
    });

    test('of two connections that race for each revision exactly one wins', async () => {
      const [one, other] = [await connect(), await connect()];
      for (let revision = 0; revision < 10; revision += 1) {
        const outcomes = await Promise.allSettled([
          one.apply(changeOf(revision, { create: [entityRecord(`one_${revision}`)] })),
          other.apply(changeOf(revision, { create: [entityRecord(`other_${revision}`)] })),
        ]);
        expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      }
      const { revision, records } = await one.load();
      expect(revision).toBe(10);
      expect(records).toHaveLength(10);
    });

    test('of twenty that race for the first revision one wins, and the others get REVISION_CONFLICT', async () => {
      const registries = await Promise.all(Array.from({ length: 5 }, () => connect()));
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, (_, racer) => {
          const create = [entityRecord(`racer_${racer}`), sourceRecord(`racer_${racer}`)];
          return registries[racer % 5]!.apply(changeOf(0, { create, actor: `racer_${racer}` }));
        }),
      );
      const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
      const lost = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.code] : []));
      expect(lost).toEqual(Array.from({ length: 19 }, () => 'REVISION_CONFLICT'));
      const { records } = await registries[0]!.load();
      expect(records.map(({ name }) => name)).toEqual([`racer_${winner}`, `racer_${winner}`]);
      expect(await registries[1]!.audit(10)).toMatchObject([{ revision: 1, actor: `racer_${winner}` }]);
    });

    test('a plan made on an older or on a future revision is refused', async () => {
      const registry = await connect();
      await registry.apply(changeOf(0));
      await registry.apply(changeOf(1));
      for (const expected of [0, 1, 3]) {
        await expect(registry.apply(changeOf(expected))).rejects.toMatchObject({ code: 'REVISION_CONFLICT' });
      }
      expect(await registry.revision()).toBe(2);
    });
  });

  describe('2. the revision grows by one with each apply and never falls', () => {
    test('an apply returns the revision that every connection then sees, also after a restart', async () => {
      const [writer, reader] = [await connect(), await connect()];
      expect(await reader.revision()).toBe(0);
      for (let revision = 1; revision <= 5; revision += 1) {
        expect(await writer.apply(changeOf(revision - 1))).toBe(revision);
        expect(await reader.revision()).toBe(revision);
      }
      await writer.close();
      await reader.close();
      expect(await (await connect()).revision()).toBe(5);
    });

    test('a reader that looks all the time never sees it fall', async () => {
      const [writer, reader] = [await connect(), await connect()];
      const seen: number[] = [];
      let writing = true;
      const reading = (async () => {
        while (writing) seen.push(await reader.revision());
      })();
      for (let revision = 0; revision < 20; revision += 1) await writer.apply(changeOf(revision));
      writing = false;
      await reading;
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
      expect(await reader.revision()).toBe(20);
    });
  });

  describe('3. the meaning of a stored version never changes', () => {
    test('a version that is stored cannot be created again, neither with its meaning nor with another', async () => {
      const registry = await connect();
      await registry.apply(changeOf(0, { create: [sourceRecord('tx')] }));
      const other = {
        ...sourceRecord('tx'),
        fingerprint: 'another',
        meaning: { ...sourceRecord('tx').meaning, topic: 'x' },
      };
      for (const record of [sourceRecord('tx'), other]) {
        await expect(registry.apply(changeOf(1, { create: [record] }))).rejects.toMatchObject({ code: 'INTERNAL' });
      }
      expect((await registry.load()).records).toEqual([sourceRecord('tx')]);
    });

    test('an update replaces the definition, and a retirement ends the version; meaning and fingerprint stay', async () => {
      const registry = await connect();
      await registry.apply(changeOf(0, { create: [entityRecord('user'), entityRecord('shop')] }));
      const changed = { ...entityRecord('user', 1, 'who buys'), fingerprint: 'ignored', meaning: { joinKeys: [] } };
      await registry.apply(changeOf(1, { update: [changed], retire: [entityRecord('shop')] }));
      expect((await registry.load()).records).toEqual([
        { ...entityRecord('shop'), active: false },
        entityRecord('user', 1, 'who buys'),
      ]);
    });
  });

  describe('4. load is a consistent picture', () => {
    test('the records are those of the revision, while others apply', async () => {
      const [writer, reader] = [await connect(), await connect()];
      const pictures: { revision: number; records: number; retired: number }[] = [];
      let writing = true;
      const reading = (async () => {
        while (writing) {
          const { revision, records } = await reader.load();
          pictures.push({ revision, records: records.length, retired: records.filter((one) => !one.active).length });
        }
      })();
      for (let revision = 0; revision < 25; revision += 1) {
        const create = [entityRecord(`e_${revision}`), sourceRecord(`s_${revision}`)];
        const retire = revision === 0 ? [] : [entityRecord(`e_${revision - 1}`)];
        await writer.apply(changeOf(revision, { create, retire }));
      }
      writing = false;
      await reading;
      for (const { revision, records, retired } of pictures) {
        expect({ revision, records, retired }).toEqual({
          revision,
          records: revision * 2,
          retired: Math.max(revision - 1, 0),
        });
      }
      expect(pictures.length).toBeGreaterThan(2);
    });

    test('records come in the order of kind, name and version', async () => {
      const registry = await connect();
      const create = [
        ...[entityRecord('b', 10), entityRecord('b', 9), entityRecord('a_b'), entityRecord('ab'), entityRecord('a1')],
        ...[sourceRecord('a'), sourceRecord('z')],
      ];
      await registry.apply(changeOf(0, { create }));
      const { records } = await registry.load();
      expect(records.map(({ kind, name, version }) => `${kind}/${name}@${version}`)).toEqual([
        ...['entity/a1@1', 'entity/a_b@1', 'entity/ab@1', 'entity/b@9', 'entity/b@10', 'source/a@1', 'source/z@1'],
      ]);
    });

    test('a record comes back as it was applied, with its columns in their order and every character', async () => {
      const registry = await connect();
      const text = 'line\nbreak "quoted" \\ back, ünïcödé 🦊, \u0001, \u0000 and $where';
      const record = entityRecord('odd');
      const definition = { ...record.definition, description: text, tags: { 'a.b': text, $set: 'x', '': 'empty' } };
      await registry.apply(changeOf(0, { create: [{ ...record, definition }, sourceRecord('tx')] }));
      const { records } = await (await connect()).load();
      expect(JSON.stringify(records[0]?.definition)).toBe(JSON.stringify(definition));
      expect(JSON.stringify(records[1]?.meaning)).toBe(JSON.stringify(sourceRecord('tx').meaning));
    });

    test('an apply of a thousand records is one apply', async () => {
      const registry = await connect();
      const create = Array.from({ length: 1_000 }, (_, index) => sourceRecord(`source_${index}`));
      await registry.apply(changeOf(0, { create }));
      await registry.apply(changeOf(1, { update: create, retire: create.slice(0, 500) }));
      const { revision, records } = await registry.load();
      expect(revision).toBe(2);
      expect(records).toHaveLength(1_000);
      expect(records.filter((record) => record.active)).toHaveLength(500);
    });
  });

  test('5. a project sees nothing of another project', async () => {
    const [mine, theirs] = [await connect(`${project}_mine`), await connect(`${project}_theirs`)];
    let heard = 0;
    const unwatch = await mine.watch(() => {
      heard += 1;
    });
    await theirs.apply(changeOf(0, { create: [entityRecord('user')], actor: 'they' }));
    await theirs.apply(changeOf(1, { retire: [entityRecord('user')] }));
    expect(await mine.load()).toEqual({ project: `${project}_mine`, revision: 0, records: [] });
    expect(await mine.audit(10)).toEqual([]);
    await mine.apply(changeOf(0, { create: [entityRecord('user')], actor: 'me' }));
    await eventually(() => expect(heard).toBeGreaterThan(0));
    expect(heard).toBe(1);
    expect((await theirs.load()).records).toEqual([{ ...entityRecord('user'), active: false }]);
    expect(await theirs.revision()).toBe(2);
    await unwatch();
  });

  test('the audit tells who applied what and when, newest first', async () => {
    const registry = await connect();
    const before = Date.now();
    for (let revision = 0; revision < 12; revision += 1) {
      await registry.apply(
        changeOf(revision, { actor: `a${revision}`, summary: ['one "line"', `number ${revision}`] }),
      );
    }
    const records = await (await connect()).audit(3);
    expect(records.map(({ revision, actor, summary }) => ({ revision, actor, summary }))).toEqual([
      { revision: 12, actor: 'a11', summary: ['one "line"', 'number 11'] },
      { revision: 11, actor: 'a10', summary: ['one "line"', 'number 10'] },
      { revision: 10, actor: 'a9', summary: ['one "line"', 'number 9'] },
    ]);
    for (const { appliedAt } of records) {
      expect(appliedAt).toBeInstanceOf(Date);
      expect(Math.abs(appliedAt.getTime() - before)).toBeLessThan(60_000);
    }
    expect(await registry.audit(100)).toHaveLength(12);
    expect(await registry.audit(0)).toEqual([]);
  });

  describe('watch', () => {
    test('a listener at another connection hears of an apply within two seconds, of each one', async () => {
      const [writer, reader] = [await connect(), await connect()];
      let heard = 0;
      const unwatch = await reader.watch(() => {
        heard += 1;
      });
      for (let revision = 0; revision < 3; revision += 1) {
        const before = heard;
        await writer.apply(changeOf(revision));
        await eventually(() => expect(heard).toBeGreaterThan(before), { timeoutMs: 2_000 });
      }
      await unwatch();
      const after = heard;
      await writer.apply(changeOf(3));
      const other = await writer.watch(() => {});
      await other();
      expect(heard).toBe(after);
    });

    test('a lost connection refuses with REGISTRY_UNAVAILABLE, comes back, and then calls the listener', async () => {
      const writer = await connect();
      const { registry, proxy } = await platform.connectThroughProxy(project);
      try {
        let heard = 0;
        await registry.watch(() => {
          heard += 1;
        });
        await proxy.cut();
        await expect(registry.load()).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE', cause: expect.anything() });
        await expect(registry.ping()).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' });
        await writer.apply(changeOf(0, { create: [entityRecord('user')] }));
        const before = heard;
        await proxy.heal();
        await eventually(() => expect(heard).toBeGreaterThan(before));
        await eventually(async () => expect(await registry.revision()).toBe(1));
        const again = heard;
        await writer.apply(changeOf(1));
        await eventually(() => expect(heard).toBeGreaterThan(again), { timeoutMs: 2_000 });
        await registry.apply(changeOf(2));
      } finally {
        await registry.close();
        await proxy.close();
      }
    });
  });

  test('a server that is not there is REGISTRY_UNAVAILABLE, with the cause', async () => {
    await expect(platform.connectNowhere()).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
      cause: expect.anything(),
    });
  });
});
