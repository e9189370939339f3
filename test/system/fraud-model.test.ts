/** The fraud example to its end: events, a labelled training set, a model in Python, and scores with features by GraphQL. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runProcess, startProcess } from '../harness/child-process.js';
import { eventually } from '../harness/eventually.js';
import { scaled } from '../harness/time-factor.js';
import { ask, push } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const run = promisify(execFile);
const EXAMPLE = 'examples/fraud-detection';
/** Rows to train and test on; the transactions after them are held out, to be scored. */
const ROWS = 100_000;
const HELD_OUT = 5_000;
const USERS = 50;
const MINUTE = 60_000;

interface Transaction {
  readonly transaction_id: string;
  readonly user_id: string;
  readonly merchant_id: string;
  readonly card_id: string;
  readonly event_time: string;
  readonly amount: number;
  readonly country: string;
}

interface Label {
  readonly transaction_id: string;
  readonly label: 0 | 1;
  readonly pattern: string | null;
}

type Vector = Readonly<Record<string, unknown>>;

/** Python with what the example asks for, made once and kept. */
async function preparePython(): Promise<string> {
  const folder = join('.cache', 'python-model');
  const python = join(folder, 'bin', 'python');
  const [ready, requirements] = [join(folder, 'ready'), join(EXAMPLE, 'requirements.txt')];
  const [made, asked] = await Promise.all([stat(ready).catch(() => null), stat(requirements)]);
  if (!made || made.mtimeMs < asked.mtimeMs) {
    await mkdir('.cache', { recursive: true });
    await run('python3', ['-m', 'venv', '--clear', folder]);
    await run(python, ['-m', 'pip', 'install', '--quiet', '-r', requirements], { timeout: scaled(400_000) });
    await writeFile(ready, '');
  }
  return python;
}

function readLines<T>(path: string): T[] {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as T);
}

/** An INT64 may be a string, and doubles are added up in any order. */
function isSame(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, place) => isSame(item, other[place]));
  }
  if (typeof one === 'number' && typeof other === 'number') {
    return Math.abs(one - other) <= 1e-9 * Math.max(1, Math.abs(one));
  }
  return String(one) === String(other);
}

const VECTOR = `query ($userId: ID!, $merchantId: ID!, $cardId: ID!, $request: FraudDetectionRequest!) {
  fraudDetection(userId: $userId, merchantId: $merchantId, cardId: $cardId, request: $request)`;

describe('the fraud example', () => {
  let platform: Platform;
  let fstore: FStoreProcess;
  let python: string;
  let events: readonly Transaction[];
  let labels: ReadonlyMap<string, Label>;
  /** Fields of the service that the training set has as columns. */
  let features: readonly string[];
  const seconds: Record<string, number> = {};

  const file = (name: string): string => join(platform.folder, name);
  const timed = async <T>(step: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    const result = await work();
    seconds[step] = Math.round((performance.now() - started) / 100) / 10;
    return result;
  };
  const command = async <T>(...args: string[]): Promise<T> => {
    const given = ['dist/main.js', ...args, '--url', fstore.url, '--json'];
    return JSON.parse((await run(process.execPath, given, { maxBuffer: 1 << 26 })).stdout) as T;
  };

  /** Waits until all that a view of these transactions serves is of the newest of them. */
  const served = async (pushed: readonly Transaction[]): Promise<void> => {
    const newest = (key: 'user_id' | 'merchant_id' | 'card_id') => new Map(pushed.map((one) => [one[key], one]));
    const [users, merchants, cards] = [newest('user_id'), newest('merchant_id'), newest('card_id')];
    const query = `query ($users: [ID!]!, $merchants: [ID!]!, $cards: [ID!]!) {
      users(ids: $users) { lastTransaction { eventTime } spending { eventTime } }
      merchants(ids: $merchants) { lastTransaction { eventTime } }
      cards(ids: $cards) { lastTransaction { eventTime } activity { eventTime } }
    }`;
    const ids = { users: [...users.keys()], merchants: [...merchants.keys()], cards: [...cards.keys()] };
    const expected = (of: ReadonlyMap<string, Transaction>, ...views: string[]) =>
      [...of.values()].map(({ event_time }) =>
        Object.fromEntries(views.map((view) => [view, { eventTime: event_time }])),
      );
    await eventually(
      async () =>
        expect(await ask(fstore.url, query, ids)).toEqual({
          users: expected(users, 'lastTransaction', 'spending'),
          merchants: expected(merchants, 'lastTransaction'),
          cards: expected(cards, 'lastTransaction', 'activity'),
        }),
      { timeoutMs: 120_000, everyMs: 100 },
    );
  };

  beforeAll(async () => {
    python = await preparePython();
    platform = await createPlatform('embedded');
    fstore = await platform.start();
    // They end ten minutes ago, so that what the tests push is newer.
    const end = new Date(Date.now() - 10 * MINUTE).toISOString();
    const options = ['--count', `${ROWS + HELD_OUT}`, '--seed', '11', '--end', end];
    const files = ['--labels', file('labels.ndjson'), '--spine', file('all.csv')];
    await timed('generate', () =>
      runProcess(process.execPath, ['--import', 'tsx', `${EXAMPLE}/transactions.ts`, ...options, ...files], {
        logFile: file('events.ndjson'),
      }),
    );
    events = readLines<Transaction>(file('events.ndjson'));
    labels = new Map(readLines<Label>(file('labels.ndjson')).map((label) => [label.transaction_id, label]));
    const spine = readFileSync(file('all.csv'), 'utf8')
      .split('\n')
      .slice(0, ROWS + 1);
    await writeFile(file('spine.csv'), `${spine.join('\n')}\n`);
    await command('apply', `${EXAMPLE}/definitions.yaml`);
    await timed('push', () => command('push', 'transactions', file('events.ndjson')));
    await timed('serve', () => served(events.slice(-1)));
  }, 600_000);
  afterAll(async () => {
    process.stdout.write(`seconds: ${JSON.stringify(seconds)}\n`);
    await platform.drop();
  });

  test('trains a model on 100,000 labelled rows', async () => {
    const options = ['--before', '--test', '0.25', '--split-by', 'entity', '--fit', '--publish'];
    const set = await timed('training set', () =>
      command<{ result: { rows: number; columns: { name: string; origin: string }[] } }>(
        ...['training-set', 'fraud_detection', file('spine.csv'), ...options, '-o', file('set.parquet')],
      ),
    );
    expect(set).toMatchObject({
      status: 'SUCCEEDED',
      result: { rows: ROWS, fitted: ['scaled_spend@1', 'channel_code@1'] },
      published: { revision: 2 },
    });
    features = set.result.columns.filter(({ origin }) => origin.includes('@')).map(({ name }) => name);
    const { stdout } = await timed('train', () =>
      run(python, [`${EXAMPLE}/train.py`, file('set.parquet'), file('model')], { timeout: scaled(120_000) }),
    );
    process.stdout.write(stdout);
    const report = JSON.parse(stdout) as Record<'trainRows' | 'testRows' | 'fraudShare' | 'rocAuc', number> & {
      averagePrecision: number;
      mostImportant: Record<string, number>;
    };
    expect(report.trainRows + report.testRows).toBe(ROWS);
    expect(report.rocAuc).toBeGreaterThan(0.9);
    expect(report.averagePrecision).toBeGreaterThan(10 * report.fraudShare);
    // Nothing that names a transaction, and nothing of the spine, is read by the model.
    const { columns } = JSON.parse(readFileSync(file('model/features.json'), 'utf8')) as {
      columns: { name: string }[];
    };
    const names = columns.map(({ name }) => name);
    expect(features).toEqual(expect.arrayContaining(names));
    expect(names.filter((name) => /id$|^label$|^split$/i.test(name))).toEqual([]);
    expect(names).toEqual(expect.arrayContaining(['spend7d', 'amountToAverage', 'scaledSpend', 'channelCode']));
  }, 300_000);

  test('scores a fraud above a usual payment, with what FStore serves', async () => {
    const heldOut = events.slice(ROWS);
    const isOf = (pattern: string | null) => (one: Transaction) => labels.get(one.transaction_id)?.pattern === pattern;
    // A card is tried with small amounts, then emptied: the same again, now.
    const large = heldOut.findLast((one) => isOf('small_then_large')(one) && one.amount > 400) as Transaction;
    const at = Date.parse(large.event_time);
    const probes = heldOut.filter(
      (one) =>
        isOf('small_then_large')(one) &&
        one.card_id === large.card_id &&
        one.amount < 4 &&
        Math.abs(at - Date.parse(one.event_time)) < 5 * MINUTE,
    );
    expect(probes.length).toBeGreaterThanOrEqual(3);
    const shift = Date.now() - at;
    const again = probes.map((one, index) => ({
      ...one,
      transaction_id: `again_${index}`,
      event_time: new Date(Date.parse(one.event_time) + shift).toISOString(),
    }));
    expect(await push(fstore.url, 'transactions', again)).toBe(again.length);
    await served(again);

    const model = startProcess(python, [`${EXAMPLE}/score_server.py`, file('model'), fstore.url, '0'], {
      env: { PYTHONDONTWRITEBYTECODE: '1' },
      logFile: file('score.log'),
    });
    try {
      const address = await eventually(
        () => {
          const found = /Scoring on (http:\S+)/.exec(model.logTail())?.[1];
          if (!found) throw new Error(`it has not announced itself: ${model.logTail()}`);
          return found;
        },
        { timeoutMs: 30_000 },
      );
      const score = async (transaction: unknown) => {
        const response = await fetch(address, { method: 'POST', body: JSON.stringify(transaction) });
        return { status: response.status, ...((await response.json()) as { score: number; features: Vector }) };
      };
      const usual = heldOut.findLast((one) => isOf(null)(one) && one.user_id !== large.user_id) as Transaction;
      const [fraud, normal] = [await score(large), await score(usual)];
      expect(fraud).toMatchObject({ status: 200, features: { attempts10m: `${probes.length}` } });
      expect(fraud.features.amountToSmallest).toBe(large.amount / Math.min(...probes.map(({ amount }) => amount)));
      expect(normal.status).toBe(200);
      expect(normal.features.scaledSpend === null).toBe(normal.features.spend24h === null);
      expect(fraud.score).toBeGreaterThan(normal.score);
      expect(fraud.score).toBeGreaterThan(0.5);
      // Somebody new is scored as well; what is no transaction is refused.
      expect((await score({ ...usual, user_id: 'nobody', card_id: 'none' })).status).toBe(200);
      expect((await score({ user_id: 'user_00001' })).status).toBe(400);
      expect((await score({ ...usual, amount: 'much' })).status).toBe(502);
      process.stdout.write(`${model.logTail(10)}\n`);
    } finally {
      await model.stop();
    }
  }, 120_000);

  test('serves, right after a push, what a training set of that instant has', async () => {
    const byUser = new Map(events.slice(ROWS).map((event) => [event.user_id, event]));
    const sample = [...byUser.values()].slice(-USERS);
    const started = Date.now() - 1_000;
    const pushed = sample.map((event, index) => ({
      ...event,
      transaction_id: `new_${index}`,
      amount: event.amount + 1,
      event_time: new Date(started + index).toISOString(),
    }));
    expect(pushed).toHaveLength(USERS);
    await push(fstore.url, 'transactions', pushed);
    await served(pushed);

    // The instant of an answer lies between these; a window's tail may move on meanwhile.
    const from = Date.now();
    const online = await Promise.all(
      pushed.map(async ({ user_id, merchant_id, card_id, amount, country }) => {
        const variables = { userId: user_id, merchantId: merchant_id, cardId: card_id, request: { amount, country } };
        const query = `${VECTOR} { ${features.join(' ')} } }`;
        return (await ask<{ fraudDetection: Vector }>(fstore.url, query, variables)).fraudDetection;
      }),
    );
    const instants = [from, Date.now()].map((at) => new Date(at).toISOString());
    const rows = pushed.flatMap(({ user_id, merchant_id, card_id, amount, country }) =>
      instants.map((event_time) => ({ user_id, merchant_id, card_id, amount, country, event_time })),
    );
    await writeFile(file('now.ndjson'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    // With the transformers as they were published.
    await command('training-set', 'fraud_detection', file('now.ndjson'), '-o', file('then.ndjson'));
    const offline = readLines<Vector>(file('then.ndjson'));
    expect(offline).toHaveLength(2 * USERS);

    const different: unknown[] = [];
    let present = 0;
    for (const [index, vector] of online.entries()) {
      expect(vector.userLastTransactionTransactionId).toBe(`new_${index}`);
      for (const name of features) {
        const values = [offline[2 * index]?.[name], offline[2 * index + 1]?.[name]];
        if (vector[name] !== null) present += 1;
        if (!values.some((value) => isSame(vector[name], value))) different.push([index, name, vector[name], values]);
      }
    }
    expect(different).toEqual([]);
    // Nearly every feature of somebody who has just paid has a value.
    expect(present).toBeGreaterThan(0.9 * USERS * features.length);
  }, 120_000);
});
