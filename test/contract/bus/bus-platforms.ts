/** The adapters of the event bus on real servers; each test uses topics of its own. */
import type { EventBus } from '../../../src/bus/event-bus.js';
import { connectKafkaBus } from '../../../src/bus/event-bus-kafka.js';
import { connectPostgresBus } from '../../../src/bus/event-bus-postgres.js';
import { createTestDatabase, testServers } from '../../harness/test-servers.js';

export type BusAddress =
  | { readonly adapter: 'postgres'; readonly url: string }
  | { readonly adapter: 'kafka'; readonly brokers: readonly string[] };

export interface BusPlatform {
  readonly address: BusAddress;
  /** Tries a server that is not there. */
  connectNowhere(): Promise<EventBus>;
  drop(): Promise<void>;
}

/** Another connection, as another process would have it. */
export function connectBus(address: BusAddress, options: { partitions?: number } = {}): Promise<EventBus> {
  return address.adapter === 'postgres'
    ? connectPostgresBus({ url: address.url, ...options })
    : connectKafkaBus({ brokers: address.brokers, ...options });
}

export const busPlatforms: readonly { name: string; create: () => Promise<BusPlatform> }[] = [
  {
    name: 'PostgreSQL',
    create: async () => {
      const { url, drop } = await createTestDatabase();
      const connectNowhere = () => connectPostgresBus({ url: 'postgres://nobody@127.0.0.1:1/none' });
      return { address: { adapter: 'postgres', url }, connectNowhere, drop };
    },
  },
  {
    name: 'Kafka',
    create: async () => {
      const connectNowhere = () => connectKafkaBus({ brokers: ['127.0.0.1:1'] });
      return {
        address: { adapter: 'kafka', brokers: testServers().kafkaBrokers },
        connectNowhere,
        drop: async () => {},
      };
    },
  },
];
