/** Several API processes on one port: all answer, one that dies is replaced, and none outlives the one that started them. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startProcess } from '../harness/child-process.js';
import { eventually } from '../harness/eventually.js';
import { all } from '../unit/fakes/example-definitions.js';
import { apply, ask, push } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const QUERY = '{ user(id: "u1") { stats { amount } } }';
const SHOWN = { user: { stats: { amount: 7.5 } } };

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.trim() === '' ? [] : text.trim().split(' ').map(Number);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('fstore serve --workers 2', () => {
  let platform: Platform;
  let fstore: FStoreProcess;

  beforeAll(async () => {
    platform = await createPlatform('servers');
    fstore = await platform.start({ arguments: ['serve', '--workers', '2'] });
    await apply(fstore.url, all);
    const time = new Date(Date.now() - 60_000).toISOString();
    // The other process hears of the definitions a little later.
    const event = { user_id: 'u1', card_id: 1, amount: 7.5, country: 'NL', event_time: time };
    await eventually(() => push(fstore.url, 'transactions', [event]));
    // Processes take turns: when as many in a row have seen it, all have.
    await eventually(async () => {
      for (let turn = 0; turn < 6; turn += 1) expect(await ask(fstore.url, QUERY)).toEqual(SHOWN);
    });
  });
  afterAll(() => platform.drop());

  test('answers while one of them is killed, and has two again', async () => {
    const before = await childrenOf(fstore.process.pid);
    expect(before).toHaveLength(2);
    process.kill(before[0]!, 'SIGKILL');
    await eventually(() => expect(isAlive(before[0]!)).toBe(false));
    // Its connections are cut with it; whoever asks again is answered by the other.
    for (let turn = 0; turn < 20; turn += 1) {
      await eventually(async () => expect(await ask(fstore.url, QUERY)).toEqual(SHOWN));
    }
    await eventually(async () => {
      const after = await childrenOf(fstore.process.pid);
      expect(after).toHaveLength(2);
      expect(after).not.toContain(before[0]);
    });
  });

  test('ends all of them', async () => {
    const children = await childrenOf(fstore.process.pid);
    await fstore.process.stop();
    expect(children.filter(isAlive)).toEqual([]);
  });

  test('leaves none behind when it is killed itself', async () => {
    const another = await platform.start({ arguments: ['serve', '--workers', '2', '--without-worker'] });
    const children = await childrenOf(another.process.pid);
    expect(children).toHaveLength(2);
    process.kill(another.process.pid, 'SIGKILL');
    await eventually(() => expect(children.filter(isAlive)).toEqual([]));
  });

  test('asks for stores that all reach', async () => {
    const refused = startProcess(process.execPath, ['dist/main.js', 'serve', '--workers', '2'], {
      env: { FSTORE_PROJECT: platform.project, FSTORE_DATA_DIR: platform.folder },
      logFile: `${platform.folder}/refused.log`,
    });
    await eventually(() => expect(isAlive(refused.pid)).toBe(false));
    expect(refused.logTail(2_000)).toContain('CONFIG_INVALID');
    expect(refused.logTail(2_000)).toContain('FSTORE_REDIS_URL');
  });
});
