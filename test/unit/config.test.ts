import { describe, expect, test } from '@jest/globals';
import { describeEnvironment, readConfig } from '../../src/config.js';
import { FStoreError } from '../../src/errors.js';

function refusal(environment: Record<string, string>): [code: string, field: string | undefined] {
  try {
    readConfig(environment);
  } catch (error) {
    if (error instanceof FStoreError) return [error.code, error.location.field];
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('the configuration', () => {
  test('is the embedded default on loopback when nothing is set', () => {
    const config = readConfig({ PATH: '/bin', FSTORE_REDIS_URL: '' });
    expect(config).toMatchObject({
      project: 'default',
      host: '127.0.0.1',
      port: 4000,
      postgresUrl: null,
      redis: null,
      mongoUrl: null,
      kafkaBrokers: null,
      eventLimits: { clockSkew: 60_000, maxBytes: 1_000_000 },
    });
    expect(Object.isFrozen(config)).toBe(true);
  });

  test('takes servers, lists and durations', () => {
    const config = readConfig({
      FSTORE_REDIS_CLUSTER: 'a:1, b:2',
      FSTORE_KAFKA_BROKERS: 'k:9092',
      FSTORE_CLOCK_SKEW: '5m',
      FSTORE_HOST: '0.0.0.0',
      FSTORE_API_KEY_SHA256: 'A'.repeat(64),
    });
    expect(config.redis).toEqual({ clusterNodes: ['a:1', 'b:2'] });
    expect(config.kafkaBrokers).toEqual(['k:9092']);
    expect(config.eventLimits.clockSkew).toBe(300_000);
    expect(config.apiKeyHashes).toEqual(['a'.repeat(64)]);
  });

  const bad: [string, string][] = [
    ['FSTORE_PORT', '70000'],
    ['FSTORE_PORT', 'http'],
    ['FSTORE_PROJECT', 'My Project'],
    ['FSTORE_CLOCK_SKEW', 'soon'],
    ['FSTORE_MONGO_URL', 'localhost:27017'],
    ['FSTORE_REDIS_URL', 'http://localhost'],
    ['FSTORE_POSTGRES_URL', 'localhost/db'],
    ['FSTORE_KAFKA_BROKERS', 'localhost'],
    ['FSTORE_API_KEY_SHA256', 'secret'],
    ['FSTORE_API_KEY_SHA256', ''],
    ['FSTORE_API_KEY_SHA256', ' , '],
    ['FSTORE_LOG_LEVEL', 'loud'],
    ['FSTORE_REDIS_URI', 'redis://a'],
  ];
  test.each(bad)('refuses %s=%s, naming the variable', (name, value) => {
    expect(refusal({ [name]: value })).toEqual(['CONFIG_INVALID', name]);
  });

  test('refuses to listen beyond this machine without a key', () => {
    expect(refusal({ FSTORE_HOST: '0.0.0.0' })).toEqual(['INSECURE_BIND', 'FSTORE_HOST']);
  });

  test('describes every variable', () => {
    const described = describeEnvironment();
    expect(described.length).toBeGreaterThan(15);
    for (const { name, description } of described) {
      expect(name).toMatch(/^FSTORE_/);
      expect(description).not.toBe('');
    }
  });

  test('knows databases by the addresses that are set for them, and no password', () => {
    const config = readConfig({
      FSTORE_JDBC_WAREHOUSE_URL: 'jdbc:h2:mem:a',
      FSTORE_JDBC_WAREHOUSE_PASSWORD: 'unspoken',
      FSTORE_JDBC_OTHER_2_URL: 'jdbc:h2:mem:b',
    });
    expect(config.jdbcConnections).toEqual(['warehouse', 'other_2']);
    expect(JSON.stringify(config)).not.toContain('unspoken');
    expect(refusal({ FSTORE_JDBC_X_USER: 'me' })).toEqual(['CONFIG_INVALID', 'FSTORE_JDBC_X_URL']);
    expect(refusal({ FSTORE_JDBC_X_URL: 'h2:mem' })).toEqual(['CONFIG_INVALID', 'FSTORE_JDBC_X_URL']);
    expect(refusal({ FSTORE_JDBC_X_SECRET: 'a' })).toEqual(['CONFIG_INVALID', 'FSTORE_JDBC_X_SECRET']);
  });
});
