/**
 * The transaction generator of the fraud-detection example.
 *
 * Invariants
 * 1. Pure: equal options give equal transactions, on every machine.
 * 2. Event times grow strictly from `start` to about `end`. Without late events, that is also the order of arrival.
 * 3. It gives exactly `count` transactions. Those of a fraud pattern, and no others, have its name and label 1.
 */
import { createFraud, type Draft, type Pattern, toAmount } from './fraud-patterns.js';
import { createPopulation, type Population } from './population.js';
import { createRandom, deriveSeed, integerBetween, lognormal, pick, type Random } from './random.js';

/** An event of the source `transactions`. */
export interface Transaction {
  readonly transaction_id: string;
  readonly user_id: string;
  readonly merchant_id: string;
  readonly card_id: string;
  readonly amount: number;
  readonly country: string;
  readonly merchant_category: string;
  readonly channel: string;
  readonly is_online: boolean;
  readonly device_count: number;
  readonly balance_cents: number;
  readonly tags: readonly string[];
  readonly event_time: string;
}

/** The label that a model learns. It is kept apart from the event, which does not contain it. */
export interface TransactionLabel {
  readonly label: 0 | 1;
  readonly pattern: Pattern | null;
}

/** An event and its label. */
export type LabelledTransaction = Transaction & TransactionLabel;

/** The options of the generator. */
export interface TransactionOptions {
  /** The seed of all random numbers; default 1. */
  readonly seed: number;
  /** The number of transactions; default 100,000. */
  readonly count: number;
  /** The number of users; default 2,000. */
  readonly users: number;
  /** The number of merchants; default 300. */
  readonly merchants: number;
  /** First and last instant, in milliseconds since 1970; default: the first week of 2026. */
  readonly start: number;
  readonly end: number;
  /** Share of transactions that belong to a fraud pattern; default 0.02. */
  readonly fraudShare: number;
  /** Share of transactions that arrive late, by 1 to 90 minutes; default 0. */
  readonly lateShare: number;
}

const DAY = 86_400_000;
const HOUR = 3_600_000;
const MINUTE = 60_000;
const START = Date.UTC(2026, 0, 1);

/** The relative number of transactions in each hour of the day (UTC). */
const RHYTHM = [2, 1, 1, 1, 1, 2, 4, 7, 9, 9, 9, 10, 12, 11, 9, 9, 10, 12, 13, 12, 9, 7, 5, 3];

/** The default options. */
export const DEFAULTS: TransactionOptions = {
  seed: 1,
  count: 100_000,
  users: 2_000,
  merchants: 300,
  start: START,
  end: START + 7 * DAY,
  fraudShare: 0.02,
  lateShare: 0,
};

/** Returns a function from a share of the transactions (0 to 1) to the instant by which that share has happened. */
function createClock(start: number, end: number): (share: number) => number {
  const hours: { readonly from: number; readonly to: number; readonly sum: number; readonly weight: number }[] = [];
  let sum = 0;
  for (let from = start; from < end; ) {
    const to = Math.min(end, (Math.floor(from / HOUR) + 1) * HOUR);
    const weight = ((RHYTHM[Math.floor((from % DAY) / HOUR)] ?? 1) * (to - from)) / HOUR;
    hours.push({ from, to, sum, weight });
    sum += weight;
    from = to;
  }
  let index = 0;
  // Shares arrive in ascending order, so the search continues from the last hour.
  return (share) => {
    const target = share * sum;
    while (index + 1 < hours.length && (hours[index + 1]?.sum ?? 0) <= target) index += 1;
    const hour = hours[index];
    if (!hour) return start;
    return Math.floor(hour.from + ((target - hour.sum) / hour.weight) * (hour.to - hour.from));
  };
}

function createOrdinary(random: Random, population: Population, time: number): Draft {
  const user = population.drawUser(random);
  const merchant = population.drawMerchant(random);
  const online = merchant.online && random() < 0.8;
  const channel = online ? pick(random, ['WEB', 'APP']) : random() < 0.06 ? 'ATM' : 'POS';
  const travelling = random() < 0.02;
  const tags: string[] = [];
  if (channel === 'POS' && random() < 0.7) tags.push('contactless');
  if (online && random() < 0.1) tags.push('recurring');
  return {
    time,
    user,
    card: pick(random, user.cards),
    merchant,
    amount: toAmount(lognormal(random, merchant.medianAmount * user.spending, 0.55)),
    country: travelling ? pick(random, ['FR', 'ES', 'IT', 'GB', 'US']) : user.home,
    channel,
    tags,
    pattern: null,
  };
}

/** Merges ordinary and fraudulent transactions by time. */
function* createDrafts(options: TransactionOptions, population: Population): Generator<Draft, void, void> {
  const { seed, start, end, count, fraudShare } = options;
  const fraudCount = Math.round(count * fraudShare);
  const fraud = createFraud(createRandom(deriveSeed(seed, 3)), population, { start, end, count: fraudCount });
  const random = createRandom(deriveSeed(seed, 4));
  const clock = createClock(start, end);
  const ordinary = count - fraud.length;
  let next = 0;
  for (let index = 0; index < ordinary; index += 1) {
    const draft = createOrdinary(random, population, clock((index + random()) / ordinary));
    for (let episode = fraud[next]; episode && episode.time <= draft.time; episode = fraud[next]) {
      yield episode;
      next += 1;
    }
    yield draft;
  }
  yield* fraud.slice(next);
}

/** Delays a share of the transactions. The others keep their order. */
function* delaySome(
  transactions: Iterable<LabelledTransaction>,
  { seed, lateShare }: TransactionOptions,
): Generator<LabelledTransaction, void, void> {
  const random = createRandom(deriveSeed(seed, 5));
  const late: { readonly arrival: number; readonly transaction: LabelledTransaction }[] = [];
  for (const transaction of transactions) {
    const time = Date.parse(transaction.event_time);
    while (late[0] && late[0].arrival <= time) yield late.shift()!.transaction;
    if (random() >= lateShare) {
      yield transaction;
      continue;
    }
    const arrival = time + integerBetween(random, 1, 90) * MINUTE;
    const place = late.findIndex((other) => other.arrival > arrival);
    late.splice(place === -1 ? late.length : place, 0, { arrival, transaction });
  }
  for (const { transaction } of late) yield transaction;
}

function* finishDrafts(drafts: Iterable<Draft>, seed: number): Generator<LabelledTransaction, void, void> {
  const balances = new Map<string, number>();
  let index = 0;
  let lastTime = Number.NEGATIVE_INFINITY;
  for (const { time, user, card, merchant, amount, country, channel, tags, pattern } of drafts) {
    // Event times are unique, so that the newest event never depends on the order of arrival.
    lastTime = Math.max(time, lastTime + 1);
    index += 1;
    let balance = (balances.get(user.id) ?? user.openingBalanceCents) - Math.round(amount * 100);
    if (balance < 0) balance += user.openingBalanceCents;
    balances.set(user.id, balance);
    yield {
      transaction_id: `tx_${seed}_${String(index).padStart(8, '0')}`,
      user_id: user.id,
      merchant_id: merchant.id,
      card_id: card,
      amount,
      country,
      merchant_category: merchant.category,
      channel,
      is_online: channel === 'WEB' || channel === 'APP',
      device_count: user.devices,
      balance_cents: balance,
      tags,
      event_time: new Date(lastTime).toISOString(),
      label: pattern === null ? 0 : 1,
      pattern,
    };
  }
}

/** Generates transactions with labels, in order of arrival. */
export function generateTransactions(given: Partial<TransactionOptions> = {}): Iterable<LabelledTransaction> {
  const options = { ...DEFAULTS, ...given };
  const { seed, users, merchants, start, end, lateShare } = options;
  if (!(end > start) || users < 1 || merchants < 1) throw new RangeError('nobody, nothing or no time to pay in');
  const population = createPopulation(seed, users, merchants);
  const transactions = finishDrafts(createDrafts(options, population), seed);
  return lateShare > 0 ? delaySome(transactions, options) : transactions;
}

/** Returns the event and its label separately. */
export function separateLabel({ label, pattern, ...event }: LabelledTransaction): {
  readonly event: Transaction;
  readonly label: TransactionLabel & { readonly transaction_id: string };
} {
  return { event, label: { transaction_id: event.transaction_id, label, pattern } };
}
