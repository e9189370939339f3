/** The fraud example to its end: events, labelled training set, a model in Python, and a score with features by GraphQL. */
import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startProcess } from '../harness/child-process.js';
import { eventually } from '../harness/eventually.js';
import { ask } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const run = promisify(execFile);
const COUNT = 100_000;
const EXAMPLE = 'examples/fraud-detection';

interface Labelled {
  readonly transaction_id: string;
  readonly user_id: string;
  readonly merchant_id: string;
  readonly card_id: string;
  readonly event_time: string;
  readonly amount: number;
  readonly country: string;
  readonly label: string;
}

/** Python with what the example asks for, made once and kept. */
async function preparePython(): Promise<string> {
  const folder = join('.cache', 'python-model');
  const python = join(folder, 'bin', 'python');
  if (!(await stat(join(folder, 'ready')).catch(() => null))) {
    await mkdir('.cache', { recursive: true });
    await run('python3', ['-m', 'venv', '--clear', folder]);
    await run(python, ['-m', 'pip', 'install', '--quiet', '-r', join(EXAMPLE, 'requirements.txt')], {
      timeout: 400_000,
    });
    await (await open(join(folder, 'ready'), 'w')).close();
  }
  return python;
}

describe('the fraud example', () => {
  let platform: Platform;
  let fstore: FStoreProcess;
  let python: string;
  const command = (...args: string[]) =>
    run(process.execPath, ['dist/main.js', ...args, '--url', fstore.url, '--json'], { maxBuffer: 1 << 26 });

  beforeAll(async () => {
    python = await preparePython();
    platform = await createPlatform('embedded');
    fstore = await platform.start();
  }, 500_000);
  afterAll(() => platform.drop());

  test('trains a model on 100,000 labelled rows that scores with what FStore serves', async () => {
    const [events, spine, set, model] = ['events.ndjson', 'spine.csv', 'set.parquet', 'model.joblib'].map((name) =>
      join(platform.folder, name),
    ) as [string, string, string, string];
    const generator = [
      '--import',
      'tsx',
      `${EXAMPLE}/transactions.ts`,
      '--count',
      `${COUNT}`,
      '--seed',
      '11',
      '--spine',
      spine,
    ];
    const generating = startProcess(process.execPath, generator, { logFile: events });
    expect((await generating.exited).code).toBe(0);
    await command('apply', `${EXAMPLE}/definitions.yaml`);
    await command('push', 'transactions', events);
    const examples: Labelled[] = [];
    for await (const line of createInterface({ input: createReadStream(spine) })) {
      const [transaction_id, user_id, merchant_id, card_id, event_time, amount, country, label] = line.split(
        ',',
      ) as string[];
      examples.push({
        transaction_id,
        user_id,
        merchant_id,
        card_id,
        event_time,
        amount: Number(amount),
        country,
        label,
      } as Labelled);
    }
    examples.shift();
    expect(examples).toHaveLength(COUNT);
    const last = examples.reduce((latest, one) => (one.event_time > latest.event_time ? one : latest));
    await eventually(
      async () => {
        const query = `{ user(id: "${last.user_id}") { lastTransaction { transactionId } } }`;
        const { user } = await ask<{ user: { lastTransaction: { transactionId: string } } }>(fstore.url, query);
        expect(user.lastTransaction.transactionId).toBe(last.transaction_id);
      },
      { timeoutMs: 120_000 },
    );

    const options = ['--before', '--test', '0.25', '--split-by', 'entity', '--fit', '--publish', '-o', set];
    const { stdout: built } = await command('training-set', 'fraud_detection', spine, ...options);
    expect(JSON.parse(built)).toMatchObject({ status: 'SUCCEEDED', result: { rows: COUNT } });
    const { stdout: trained } = await run(python, [`${EXAMPLE}/train.py`, set, model], { timeout: 120_000 });
    const report = JSON.parse(trained) as {
      rows: number;
      rocAuc: number;
      averagePrecision: number;
      fraudShare: number;
    };
    console.log(trained);
    expect(report.rows).toBe(COUNT);
    expect(report.rocAuc).toBeGreaterThan(0.9);
    expect(report.averagePrecision).toBeGreaterThan(10 * report.fraudShare);

    const scoring = startProcess(python, [`${EXAMPLE}/score_server.py`, model, fstore.url, '0'], {
      logFile: join(platform.folder, 'scoring.log'),
    });
    try {
      const address = await eventually(
        async () => {
          const found = /Scoring on (http:\S+)/.exec(scoring.logTail())?.[1];
          if (!found) throw new Error(`it has not announced itself: ${scoring.logTail()}`);
          return found;
        },
        { timeoutMs: 30_000 },
      );
      const score = async (transaction: Partial<Labelled>) => {
        const response = await fetch(address, { method: 'POST', body: JSON.stringify(transaction) });
        return (await response.json()) as { score: number; features: Record<string, unknown> };
      };
      // A usual payment of somebody, and one of a hundred times that from another country.
      const query = `{ user(id: "${last.user_id}") { spending { averageAmount7d } lastTransaction { country } } }`;
      const { user } = await ask<{
        user: { spending: { averageAmount7d: number }; lastTransaction: { country: string } };
      }>(fstore.url, query);
      const usual = await score({
        ...last,
        amount: user.spending.averageAmount7d,
        country: user.lastTransaction.country,
      });
      const odd = await score({
        ...last,
        amount: 100 * user.spending.averageAmount7d,
        country: user.lastTransaction.country === 'BR' ? 'NL' : 'BR',
      });
      expect(usual.features).toMatchObject({ amountToAverage: 1, isNewCountry: false });
      expect(odd.features).toMatchObject({ amountToAverage: 100, isNewCountry: true });
      expect(odd.score).toBeGreaterThan(usual.score);
    } finally {
      await scoring.stop();
    }
  }, 600_000);
});
