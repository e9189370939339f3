/** docker/compose.yaml can not be started everywhere; what can be wrong in its text is checked here. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { readStages, variablesOf } from '../harness/image.js';

interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly ports?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly volumes?: readonly string[];
}

const text = readFileSync('docker/compose.yaml', 'utf8');
const file = parse(text, { merge: true }) as { services: Record<string, Service>; volumes: Record<string, unknown> };
const services = Object.entries(file.services);
const servers = ['redis', 'postgres', 'mongo', 'kafka'];
const processes = ['fstore-serve', 'fstore-worker'];

test('it holds every server and both processes, and nothing else', () => {
  expect(services.map(([name]) => name).sort()).toEqual([...servers, ...processes].sort());
});

describe.each(services)('%s', (name, service) => {
  test('its image is pinned to a version, or is built here', () => {
    if (processes.includes(name)) expect(service.image).toBe('fstore');
    else expect(service.image).toMatch(/:\d+\.\d+\.?\d*(-[a-z]+)?$/);
  });

  test('it says when it is healthy', () => {
    expect(service.healthcheck?.test[0]).toBe('CMD');
    expect(service.healthcheck?.test.length).toBeGreaterThan(1);
  });

  test('its ports are published on loopback only', () => {
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  test('its volumes are declared', () => {
    for (const volume of service.volumes ?? []) expect(Object.keys(file.volumes)).toContain(volume.split(':')[0]);
  });
});

describe.each(processes)('%s', (name) => {
  const service = file.services[name] as Service;

  test('it waits until every server is healthy', () => {
    const conditions = Object.entries(service.depends_on ?? {}).map(([server, { condition }]) => [server, condition]);
    expect(conditions.sort()).toEqual(servers.map((server) => [server, 'service_healthy']).sort());
  });

  test('it sets only variables that FStore knows, and reaches all four servers', () => {
    const known = new Set(readFileSync('src/config.ts', 'utf8').match(/\bFSTORE_[A-Z0-9_]+(?=: )/g));
    const set = Object.keys(service.environment ?? {}).filter((variable) => variable.startsWith('FSTORE_'));
    expect(set.filter((variable) => !known.has(variable))).toEqual([]);
    expect(set).toEqual(
      expect.arrayContaining([
        'FSTORE_REDIS_URL',
        'FSTORE_POSTGRES_URL',
        'FSTORE_MONGO_URL',
        'FSTORE_KAFKA_BROKERS',
        'FSTORE_API_KEY_SHA256',
      ]),
    );
  });

  test('it does not start without an API key', () => {
    expect(service.environment?.FSTORE_API_KEY_SHA256).toMatch(/^\$\{FSTORE_API_KEY_SHA256:\?.+\}$/);
  });
});

test('server and worker share the folders that they write to, where the image has them', async () => {
  const variables = variablesOf((await readStages('docker/Dockerfile')).find(({ name }) => name === 'runtime')!);
  const shared = [variables.FSTORE_TRAINING_FOLDER, variables.FSTORE_BATCH_FOLDER];
  for (const name of processes) {
    const { volumes, environment } = file.services[name] as Service;
    expect(volumes?.map((volume) => volume.split(':')[1])).toEqual(shared);
    // Mounted for writing, and not moved by the service.
    for (const volume of volumes ?? []) expect(volume.split(':')).toHaveLength(2);
    expect(Object.keys(environment ?? {})).not.toEqual(expect.arrayContaining(['FSTORE_TRAINING_FOLDER']));
  }
  expect(file.services['fstore-serve']?.volumes).toEqual(file.services['fstore-worker']?.volumes);
});

test('MongoDB is a replica set, which its own health check makes', () => {
  expect(file.services.mongo?.command).toEqual(expect.arrayContaining(['--replSet', 'rs0']));
  expect(file.services.mongo?.healthcheck?.test.join(' ')).toContain('rs.initiate');
});

test('the image carries what the health checks run', () => {
  const copied = readFileSync('docker/Dockerfile', 'utf8');
  const worker = file.services['fstore-worker']?.healthcheck?.test.at(-1) as string;
  expect(copied).toContain(worker);
  expect(readFileSync('.dockerignore', 'utf8').split('\n')).toContain(`!${worker}`);
});
