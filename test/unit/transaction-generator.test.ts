import { describe, expect, test } from '@jest/globals';
import { PATTERNS, type Pattern } from '../../src/cli/demo/fraud-patterns.js';
import {
  DEFAULTS,
  generateTransactions,
  type LabelledTransaction,
  separateLabel,
  type TransactionOptions,
} from '../../src/cli/demo/transactions.js';

const SECOND = 1_000;
const MINUTE = 60_000;
const HOUR = 3_600_000;

function generate(options: Partial<TransactionOptions> = {}): LabelledTransaction[] {
  return [...generateTransactions({ seed: 7, count: 20_000, ...options })];
}
const timeOf = ({ event_time }: LabelledTransaction): number => Date.parse(event_time);

/** The transactions of a pattern, by card; an episode of a card ends when nothing comes for an hour. */
function episodesOf(transactions: readonly LabelledTransaction[], pattern: Pattern): LabelledTransaction[][] {
  const episodes: LabelledTransaction[][] = [];
  const open = new Map<string, LabelledTransaction[]>();
  for (const transaction of transactions.filter((one) => one.pattern === pattern)) {
    const episode = open.get(transaction.card_id);
    const last = episode?.at(-1);
    if (episode && last && timeOf(transaction) - timeOf(last) < HOUR) episode.push(transaction);
    else {
      const next = [transaction];
      open.set(transaction.card_id, next);
      episodes.push(next);
    }
  }
  return episodes;
}

describe('the transaction generator', () => {
  const transactions = generate();

  test('gives exactly as many as are asked for, 100,000 unless told otherwise', () => {
    expect(transactions).toHaveLength(20_000);
    expect(generate({ count: 1 })).toHaveLength(1);
    expect(generate({ count: 0 })).toHaveLength(0);
    expect(DEFAULTS.count).toBe(100_000);
  });

  test('gives the same for the same seed, and something else for another', () => {
    expect(generate({ count: 500 })).toEqual(generate({ count: 500 }));
    expect(generate({ count: 500 })).not.toEqual(generate({ count: 500, seed: 8 }));
  });

  test('never changes what a seed has given, for results that were published with it', () => {
    const [first] = generate({ count: 10, seed: 1 });
    expect(first).toEqual({
      transaction_id: 'tx_1_00000001',
      user_id: 'user_01146',
      merchant_id: 'merchant_0002',
      card_id: 'card_01146_1',
      amount: 75.67,
      country: 'GB',
      merchant_category: 'fashion',
      channel: 'POS',
      is_online: false,
      device_count: 2,
      balance_cents: 308386,
      tags: ['contactless'],
      event_time: '2026-01-01T12:43:10.830Z',
      label: 0,
      pattern: null,
    });
  });

  test('is in the order of event times, all different, from start to end', () => {
    const times = transactions.map(timeOf);
    expect(times.every((time, index) => index === 0 || time > (times[index - 1] ?? 0))).toBe(true);
    expect(times[0]).toBeGreaterThanOrEqual(DEFAULTS.start);
    expect(times.at(-1)).toBeLessThanOrEqual(DEFAULTS.end + SECOND);
    expect(times.at(-1)).toBeGreaterThan(DEFAULTS.end - HOUR);
  });

  test('labels what belongs to a pattern, and nothing else', () => {
    expect(transactions.every(({ label, pattern }) => (label === 1) === (pattern !== null))).toBe(true);
    const { event, label } = separateLabel(transactions[0]!);
    expect(event).not.toHaveProperty('label');
    expect(event).not.toHaveProperty('pattern');
    expect(label).toEqual({ transaction_id: event.transaction_id, label: expect.any(Number), pattern: null });
  });

  test.each([0, 0.02, 0.1])('has the share of fraud that is asked for: %d', (fraudShare) => {
    const fraud = generate({ fraudShare }).filter(({ label }) => label === 1).length;
    expect(fraud).toBeLessThanOrEqual(20_000 * fraudShare);
    expect(fraud).toBeGreaterThan(20_000 * fraudShare - 10);
  });

  test.each(PATTERNS)('has %s', (pattern) => {
    expect(episodesOf(transactions, pattern).length).toBeGreaterThan(20);
  });

  test('has small probes and then a large payment within minutes', () => {
    const wrong = episodesOf(transactions, 'small_then_large').filter((episode) => {
      const amounts = episode.map(({ amount }) => amount);
      const probes = amounts.slice(0, -1);
      const length = timeOf(episode.at(-1)!) - timeOf(episode[0]!);
      return probes.length < 3 || Math.max(...probes) > 3 || (amounts.at(-1) ?? 0) < 400 || length > 5 * MINUTE;
    });
    // Two episodes of one card within an hour count as one here; that is rare.
    expect(wrong.length).toBeLessThanOrEqual(3);
  });

  test('has one user in several countries within an hour', () => {
    const wrong = episodesOf(transactions, 'many_countries').filter((episode) => {
      const countries = new Set(episode.map(({ country }) => country));
      return countries.size < 3 || timeOf(episode.at(-1)!) - timeOf(episode[0]!) > HOUR;
    });
    expect(wrong.length).toBeLessThanOrEqual(3);
  });

  test('has retries of one card, merchant and amount within seconds', () => {
    const wrong = episodesOf(transactions, 'rapid_retries').filter((episode) => {
      const same = new Set(episode.map(({ merchant_id, amount }) => `${merchant_id} ${amount}`));
      return same.size !== 1 || episode.length < 3 || timeOf(episode.at(-1)!) - timeOf(episode[0]!) > MINUTE;
    });
    expect(wrong.length).toBeLessThanOrEqual(3);
  });

  test('has few users who pay often, and quiet nights', () => {
    const counts = new Map<string, number>();
    const hours = new Array<number>(24).fill(0);
    for (const transaction of transactions) {
      counts.set(transaction.user_id, (counts.get(transaction.user_id) ?? 0) + 1);
      const hour = new Date(transaction.event_time).getUTCHours();
      hours[hour] = (hours[hour] ?? 0) + 1;
    }
    const sorted = [...counts.values()].sort((a, b) => b - a);
    const top = sorted.slice(0, 200).reduce((sum, count) => sum + count, 0);
    expect(top / transactions.length).toBeGreaterThan(0.4);
    expect(sorted.length).toBeGreaterThan(1_500);
    expect(hours[18]! / hours[3]!).toBeGreaterThan(5);
  });

  test('spends amounts that are mostly small and sometimes large, at home', () => {
    const ordinary = transactions.filter(({ label }) => label === 0);
    const amounts = ordinary.map(({ amount }) => amount).sort((a, b) => a - b);
    const median = amounts[amounts.length >> 1] ?? 0;
    const mean = amounts.reduce((sum, amount) => sum + amount, 0) / amounts.length;
    expect(amounts[0]).toBeGreaterThan(0);
    expect(mean / median).toBeGreaterThan(1.3);
    const homes = new Map<string, Map<string, number>>();
    for (const { user_id, country } of ordinary) {
      const countries = homes.get(user_id) ?? new Map<string, number>();
      homes.set(user_id, countries.set(country, (countries.get(country) ?? 0) + 1));
    }
    const atHome = [...homes.values()].reduce((sum, countries) => sum + Math.max(...countries.values()), 0);
    expect(atHome / ordinary.length).toBeGreaterThan(0.95);
  });

  test('delivers a share late and out of order, and still everything once', () => {
    const late = generate({ lateShare: 0.05 });
    let newest = 0;
    let behind = 0;
    for (const transaction of late) {
      if (timeOf(transaction) < newest) behind += 1;
      newest = Math.max(newest, timeOf(transaction));
    }
    expect(behind / late.length).toBeGreaterThan(0.03);
    expect(behind / late.length).toBeLessThan(0.06);
    const ids = (list: readonly LabelledTransaction[]) => list.map(({ transaction_id }) => transaction_id).sort();
    expect(ids(late)).toEqual(ids(transactions));
  });

  test('refuses a world without people or time', () => {
    expect(() => generate({ users: 0 })).toThrow(RangeError);
    expect(() => generate({ end: DEFAULTS.start })).toThrow(RangeError);
  });
});
