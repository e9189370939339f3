/** Many subscribers at one process: what they are told is right, in order and in the end the newest, also to those that read slowly. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../harness/eventually.js';
import { deviceId, SubscriptionFleet, TICK_DEFINITIONS, tickOf } from '../harness/subscription-fleet.js';
import { apply, push } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const DEVICES = 100;
const ROUNDS = 40;
/** Values of one round; at 200 a second. */
const ROUND = 20;

describe('500 subscriptions', () => {
  let platform: Platform;
  let fstore: FStoreProcess;
  beforeAll(async () => {
    platform = await createPlatform('servers');
    fstore = await platform.start();
    await apply(fstore.url, TICK_DEFINITIONS);
  });
  afterAll(() => platform.drop());

  test('get values that were written, none before an older one, and the newest of all in the end', async () => {
    const fleet = await SubscriptionFleet.open({ url: fstore.url, subscriptions: 500, sockets: 50, devices: DEVICES });
    // Some read nothing for half of the time.
    fleet.pause(10, true);
    const newest = new Map<string, number>();
    let device = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      if (round === ROUNDS / 2) fleet.pause(10, false);
      const events = Array.from({ length: ROUND }, () => {
        device = (device + 1) % DEVICES;
        const n = (newest.get(deviceId(device)) ?? 0) + 1;
        newest.set(deviceId(device), n);
        return tickOf(device, n, Date.now());
      });
      await Promise.all([push(fstore.url, 'ticks', events), delay((1_000 * ROUND) / 200)]);
    }
    await eventually(() => expect(fleet.missing(newest)).toBe(0));
    expect(fleet.faults).toEqual([]);
    expect(fleet.received).toBeGreaterThan(500);
    await fleet.close();
  });
});
