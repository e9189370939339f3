/** A server the harness started (or was given), ready for use. */
export interface TestServer {
  /** What a client needs: a URL, or host:port pairs separated by commas. */
  readonly endpoint: string;
  /** As the server itself tells it, with its name: "valkey 9.1.2". */
  readonly version: string;
  /** Ends it and its processes; does nothing to a server the harness did not start. */
  stop(): Promise<void>;
}

/** The servers tests can ask for. */
export const serverNames = ['redis', 'redis-cluster', 'postgres', 'mongo', 'kafka'] as const;
export type ServerName = (typeof serverNames)[number];

/** The environment variable that carries each server's endpoint, into the harness and out of it. */
export const endpointVariables: Readonly<Record<ServerName, string>> = {
  redis: 'FSTORE_TEST_REDIS_URL',
  'redis-cluster': 'FSTORE_TEST_REDIS_CLUSTER',
  postgres: 'FSTORE_TEST_POSTGRES_URL',
  mongo: 'FSTORE_TEST_MONGO_URL',
  kafka: 'FSTORE_TEST_KAFKA_BROKERS',
};
