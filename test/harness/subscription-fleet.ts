/**
 * Opens many subscriptions over graphql-ws and checks all values that they receive. Each value must have been written
 * for its entity, and must not be older than an earlier one. Skipped values are no fault, because a slow reader gets
 * the latest value.
 *
 * Boundary: implements the protocol itself, because a client library for each of 10,000 subscriptions would dominate
 * the measurement.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { WebSocket } from 'ws';

/** Definitions of the views that the fleet subscribes to. */
export const TICK_DEFINITIONS: readonly Record<string, unknown>[] = [
  {
    kind: 'entity',
    name: 'device',
    joinKeys: [{ name: 'device_id', type: 'STRING' }],
    graphql: { type: 'Device', key: 'id' },
  },
  {
    kind: 'source',
    name: 'ticks',
    schema: { device_id: 'STRING', n: 'INT64', seal: 'STRING', sent_at: 'FLOAT64', event_time: 'TIMESTAMP' },
    timestamp: 'event_time',
    stream: {},
  },
  {
    kind: 'featureView',
    name: 'device_ticks',
    entity: 'device',
    source: 'ticks',
    features: ['n', 'seal', 'sent_at'],
  },
];

/** Returns the key of a device. */
export function deviceId(device: number): string {
  return `d${device}`;
}

function sealOf(id: string, n: number): string {
  return createHash('sha256').update(`${id} ${n}`).digest('hex').slice(0, 12);
}

/** Returns the event that gives a device its `n`th value. `now` is in milliseconds since 1970. */
export function tickOf(device: number, n: number, now: number): Record<string, unknown> {
  const id = deviceId(device);
  return { device_id: id, n: `${n}`, seal: sealOf(id, n), sent_at: now, event_time: new Date(now).toISOString() };
}

/** The size of a fleet and the server that it connects to. */
export interface FleetOptions {
  /** `http://host:port` */
  readonly url: string;
  readonly subscriptions: number;
  readonly sockets: number;
  /** Number of devices. Each subscription is for one of them in turn, and the last is for all. */
  readonly devices: number;
  /** Called for each value that arrives, with the time at which it was sent. */
  readonly onValue?: (sentAt: number) => void;
}

interface Next {
  readonly id: string;
  readonly type: string;
  readonly payload?: {
    readonly data?: { readonly deviceTicksUpdated: Device } | null;
    readonly errors?: unknown;
  };
}

interface Device {
  readonly id: string;
  readonly ticks: { readonly n: string; readonly seal: string; readonly sentAt: number };
}

const MAX_FAULTS = 20;
const SELECTION = '{ id ticks { n seal sentAt } }';
/** Id of the query whose answer shows that all earlier subscriptions have started. */
const LAST = 'last';

/** Many subscriptions on few sockets. */
export class SubscriptionFleet {
  readonly #options: FleetOptions;
  readonly #sockets: WebSocket[] = [];
  /** The newest value of each device, by subscription. */
  readonly #seen = new Map<string, Map<string, number>>();
  /** The first faults that were found. */
  readonly faults: string[] = [];
  received = 0;

  private constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Resolves when every subscription has started. */
  static async open(options: FleetOptions): Promise<SubscriptionFleet> {
    const fleet = new SubscriptionFleet(options);
    for (let index = 0; index < options.sockets; index += 1) await fleet.#connect(index);
    return fleet;
  }

  /** Returns how many values are missing until each subscription has the newest value of each of its devices. */
  missing(newest: ReadonlyMap<string, number>): number {
    let missing = 0;
    for (const [subscription, seen] of this.#seen) {
      for (const device of this.#devicesOf(Number(subscription))) {
        const n = newest.get(device);
        if (n !== undefined && seen.get(device) !== n) missing += 1;
      }
    }
    return missing;
  }

  /** Stops or resumes reading from the first sockets. */
  pause(sockets: number, isPaused: boolean): void {
    for (const socket of this.#sockets.slice(0, sockets)) {
      if (isPaused) socket.pause();
      else socket.resume();
    }
  }

  async close(): Promise<void> {
    const closed = this.#sockets.map((socket) => once(socket, 'close'));
    for (const socket of this.#sockets) socket.terminate();
    await Promise.all(closed);
  }

  #devicesOf(subscription: number): string[] {
    const { subscriptions, devices } = this.#options;
    if (subscription < subscriptions - 1) return [deviceId(subscription % devices)];
    return Array.from({ length: devices }, (_, device) => deviceId(device));
  }

  async #connect(index: number): Promise<void> {
    const { url, subscriptions, sockets } = this.#options;
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    await once(socket, 'open');
    this.#sockets.push(socket);
    const send = (message: unknown): void => socket.send(JSON.stringify(message));
    const begun = new Promise<void>((resolve, reject) => {
      socket.on('close', (code) => reject(new Error(`socket ${index} was closed with ${code}`)));
      socket.on('message', (bytes: Buffer) => {
        const message = JSON.parse(bytes.toString('utf8')) as Next;
        if (message.type === 'next' && message.id !== LAST) this.#receive(message);
        else if (message.type === 'ping') send({ type: 'pong' });
        else if (message.id === LAST) resolve();
        else if (message.id !== undefined) this.#fault(`${message.type} ${JSON.stringify(message)}`);
      });
    });
    begun.catch(() => {});
    send({ type: 'connection_init' });
    await once(socket, 'message');
    for (let subscription = index; subscription < subscriptions; subscription += sockets) {
      const isOfAll = subscription === subscriptions - 1;
      const filter = isOfAll ? '' : `(ids: ["${this.#devicesOf(subscription)[0]}"])`;
      this.#seen.set(`${subscription}`, new Map());
      const query = `subscription { deviceTicksUpdated${filter} ${SELECTION} }`;
      send({ id: `${subscription}`, type: 'subscribe', payload: { query } });
    }
    send({ id: LAST, type: 'subscribe', payload: { query: '{ project { name } }' } });
    await begun;
  }

  #receive({ id: subscription, payload }: Next): void {
    const device = payload?.data?.deviceTicksUpdated;
    if (!device || payload?.errors) {
      this.#fault(`subscription ${subscription} got ${JSON.stringify(payload)}`);
      return;
    }
    const { id, ticks } = device;
    const n = Number(ticks.n);
    const seen = this.#seen.get(subscription)!;
    this.received += 1;
    if (ticks.seal !== sealOf(id, n))
      this.#fault(`subscription ${subscription} got a value that nobody wrote: ${id} ${n}`);
    if (n < (seen.get(id) ?? 0)) this.#fault(`subscription ${subscription} got ${n} of ${id} after ${seen.get(id)}`);
    if (Number(subscription) < this.#options.subscriptions - 1 && this.#devicesOf(Number(subscription))[0] !== id) {
      this.#fault(`subscription ${subscription} got ${id}, which it has not asked for`);
    }
    seen.set(id, n);
    this.#options.onValue?.(ticks.sentAt);
  }

  #fault(text: string): void {
    if (this.faults.length < MAX_FAULTS) this.faults.push(text);
  }
}
