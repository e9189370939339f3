/** How fresh sources are, as GraphQL, Prometheus and the command line say it, on both event buses. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../harness/eventually.js';
import { apply, ask, push } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform, type PlatformName } from './platform.js';

const run = promisify(execFile);
const schema = { user_id: 'STRING', amount: 'FLOAT64', at: 'TIMESTAMP' };
const definitions = [
  { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] },
  { kind: 'source', name: 'payments', schema, timestamp: 'at', stream: {}, batch: { csv: 'payments.csv' } },
  { kind: 'source', name: 'imports', schema, timestamp: 'at', batch: { csv: 'payments.csv' } },
  { kind: 'featureView', name: 'user_payment', entity: 'user', source: 'payments', features: ['amount'] },
  { kind: 'featureView', name: 'user_import', entity: 'user', source: 'imports', features: ['amount'] },
];
const FIELDS = 'lag newestEventTime takenInAt rowsPerMinute events deadLetters';

interface Fresh {
  readonly lag: number | null;
  readonly newestEventTime: string | null;
  readonly takenInAt: string | null;
  readonly rowsPerMinute: number;
  readonly events: number;
  readonly deadLetters: number;
}

/** Samples of Prometheus' text format by name and labels; throws for a line that is none. */
function parseMetrics(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  const typed = new Set<string>();
  for (const line of text.trimEnd().split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-z_][a-z0-9_]*) (.+)$/.exec(line);
    if (comment) {
      if (comment[1] === 'TYPE') expect(['gauge', 'counter']).toContain(comment[3]);
      typed.add(comment[2]!);
      continue;
    }
    const sample =
      /^([a-z_][a-z0-9_]*)(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? (-?[0-9.e+-]+)$/.exec(
        line,
      );
    if (!sample) throw new Error(`no line of the format: ${line}`);
    expect(typed).toContain(sample[1]);
    samples.set(`${sample[1]}${sample[2] ?? ''}`, Number(sample[3]));
  }
  return samples;
}

describe.each<PlatformName>(['embedded', 'servers'])('freshness on %s', (name) => {
  let platform: Platform;
  let fstore: FStoreProcess;
  const freshness = async (source: string): Promise<Fresh> => {
    const query = `{ source(name: "${source}") { freshness { ${FIELDS} } } }`;
    return (await ask<{ source: { freshness: Fresh } }>(fstore.url, query)).source.freshness;
  };
  const metrics = async () => {
    const response = await fetch(`${fstore.url}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    return parseMetrics(await response.text());
  };

  beforeAll(async () => {
    platform = await createPlatform(name);
    writeFileSync(
      join(platform.folder, 'payments.csv'),
      'user_id,amount,at\nu1,1,2026-01-01T00:00:00Z\n,2,2026-01-02T00:00:00Z\n',
    );
    fstore = await platform.start({ environment: { FSTORE_BATCH_FOLDER: platform.folder } });
    await apply(fstore.url, definitions);
  }, 60_000);
  afterAll(() => platform.drop());

  test('of a source that has had nothing is told, and of one that is not there nothing', async () => {
    const nothing = { newestEventTime: null, takenInAt: null, rowsPerMinute: 0, events: 0, deadLetters: 0 };
    expect(await freshness('payments')).toEqual({ lag: 0, ...nothing });
    expect(await freshness('imports')).toEqual({ lag: null, ...nothing });
    await expect(freshness('none')).rejects.toThrow('SOURCE_UNKNOWN');
  });

  test('follows a stream and a batch, and is one in GraphQL, /metrics and the command line', async () => {
    const events = Array.from({ length: 300 }, (_, index) => {
      return {
        user_id: `u${index % 10}`,
        amount: index,
        at: new Date(Date.UTC(2026, 0, 5) + index * 1_000).toISOString(),
      };
    });
    const began = Date.now();
    await push(fstore.url, 'payments', events);
    await eventually(async () => expect(await freshness('payments')).toMatchObject({ lag: 0, events: 300 }), {
      timeoutMs: 20_000,
    });
    const seen = await freshness('payments');
    expect(seen.newestEventTime).toBe(events.at(-1)!.at);
    expect(seen.rowsPerMinute).toBeGreaterThan(0);
    expect(seen.rowsPerMinute).toBeLessThanOrEqual(300);
    expect(Date.parse(seen.takenInAt!)).toBeGreaterThan(began - 1_000);
    await run(process.execPath, ['dist/main.js', 'materialize', 'imports', '--url', fstore.url]);
    expect(await freshness('imports')).toMatchObject({
      lag: null,
      events: 1,
      deadLetters: 1,
      newestEventTime: '2026-01-01T00:00:00.000Z',
    });
    const { featureViews } = await ask<{ featureViews: unknown[] }>(
      fstore.url,
      `{ featureViews { name freshness { engine ${FIELDS} } } }`,
    );
    const { takenInAt: _, rowsPerMinute: __, ...same } = seen;
    expect(featureViews).toMatchObject([
      { name: 'user_import', freshness: { engine: 'builtin', lag: null, events: 1 } },
      { name: 'user_payment', freshness: { engine: 'builtin', ...same } },
    ]);

    const samples = await metrics();
    const of = (measure: string, labels = '{source="payments"}') => samples.get(`fstore_${measure}${labels}`);
    expect(of('source_lag_events')).toBe(0);
    expect(of('source_events_total')).toBe(300);
    expect(of('source_newest_event_timestamp_seconds')).toBe(Date.parse(events.at(-1)!.at) / 1_000);
    expect(of('source_dead_letters_total', '{source="imports"}')).toBe(1);
    expect(of('source_lag_events', '{source="imports"}')).toBeUndefined();
    expect(of('view_lag_events', '{view="user_payment",version="1",engine="builtin"}')).toBe(0);
    expect(of('freshness_up', '')).toBe(1);

    const { stdout } = await run(process.execPath, ['dist/main.js', 'sources', '--url', fstore.url]);
    expect(stdout).toMatch(/^source +topic +lag +newest event/);
    expect(stdout).toMatch(/^payments +payments +0 +2026-01-05T00:04:59\.000Z +\S.* ago +[\d.]+ +300 +0 +1$/m);
    const json = await run(process.execPath, ['dist/main.js', 'sources', '--json', '--url', fstore.url]);
    const [imports] = (JSON.parse(json.stdout) as { sources: { name: string; freshness: Fresh }[] }).sources.filter(
      (one) => one.name === 'imports',
    );
    expect(imports!.freshness).toMatchObject({ lag: null, events: 1 });
  }, 60_000);

  // On the embedded default the server is the worker.
  if (name === 'embedded') return;
  test('counts what waits while no worker takes it', async () => {
    fstore.process.kill('SIGTERM');
    await fstore.process.exited;
    fstore = await platform.start({ arguments: ['serve', '--without-worker'] });
    await push(
      fstore.url,
      'payments',
      [1, 2, 3].map((amount) => ({ user_id: 'u1', amount, at: '2026-01-06T00:00:00Z' })),
    );
    expect((await freshness('payments')).lag).toBe(3);
    expect((await metrics()).get('fstore_view_lag_events{view="user_payment",version="1",engine="builtin"}')).toBe(3);
    await platform.start({ arguments: ['worker'] });
    await eventually(async () => expect((await freshness('payments')).lag).toBe(0), { timeoutMs: 30_000 });
    expect(await freshness('payments')).toMatchObject({ events: 303, newestEventTime: '2026-01-06T00:00:00.000Z' });
  }, 90_000);
});

test('/metrics asks for the key where there is one', async () => {
  const platform = await createPlatform('embedded');
  try {
    const key = 'a-key-of-this-test';
    const hash = createHash('sha256').update(key).digest('hex');
    const { url } = await platform.start({ environment: { FSTORE_API_KEY_SHA256: hash } });
    const status = async (authorization?: string) =>
      (await fetch(`${url}/metrics`, { headers: authorization ? { authorization } : {} })).status;
    expect(await status()).toBe(401);
    expect(await status('Bearer wrong')).toBe(401);
    expect(await status(`Bearer ${key}`)).toBe(200);
  } finally {
    await platform.drop();
  }
}, 60_000);
