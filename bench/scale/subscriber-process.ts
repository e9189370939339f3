/** The process of the subscribers of `subscriptions.ts`. It follows messages of its parent and ends with it. */

import { SubscriptionFleet } from '../../test/harness/subscription-fleet.js';
import { CpuClock } from '../measure/cpu-clock.js';
import { LatencyHistogram, type Percentiles } from '../measure/latency-histogram.js';

/** An order of the parent process. */
export type FleetOrder =
  | {
      readonly kind: 'open';
      readonly url: string;
      readonly subscriptions: number;
      readonly sockets: number;
      readonly devices: number;
    }
  | { readonly kind: 'measure' }
  | { readonly kind: 'report'; readonly newest: readonly (readonly [device: string, n: number])[] }
  | { readonly kind: 'close' };

/** What the subscribers received since `measure`. */
export interface FleetReport {
  readonly received: number;
  readonly missing: number;
  readonly faults: readonly string[];
  /** Milliseconds from sending a value to receiving it. */
  readonly latency: Percentiles;
  /** CPU seconds of this process since `measure`. */
  readonly cpu: number;
}

let fleet: SubscriptionFleet | null = null;
let latency = new LatencyHistogram();
let receivedBefore = 0;
const clock = new CpuClock({ fleet: process.pid });
let cpuBefore = 0;

/** Returns the time in milliseconds since 1970, with fractions. */
const now = (): number => performance.timeOrigin + performance.now();
const cpu = (): number => clock.read().fleet ?? 0;

async function obey(order: FleetOrder): Promise<FleetReport | null> {
  if (order.kind === 'open') {
    const { kind: _, ...options } = order;
    fleet = await SubscriptionFleet.open({ ...options, onValue: (sentAt) => latency.record(now() - sentAt) });
    return null;
  }
  if (!fleet) throw new Error('there is no fleet');
  if (order.kind === 'report') {
    const { received, faults } = fleet;
    const missing = fleet.missing(new Map(order.newest));
    return {
      received: received - receivedBefore,
      missing,
      faults,
      latency: latency.percentiles(),
      cpu: cpu() - cpuBefore,
    };
  }
  if (order.kind === 'close') await fleet.close();
  else {
    latency = new LatencyHistogram();
    receivedBefore = fleet.received;
    cpuBefore = cpu();
  }
  return null;
}

process.on('disconnect', () => process.exit(0));
process.on('message', (order: FleetOrder) => {
  obey(order).then(
    (answer) => process.send?.({ answer }),
    (failure: Error) => process.send?.({ error: failure.stack }),
  );
});
