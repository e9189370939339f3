/** Three known patterns of card fraud, as episodes of transactions. */
import { COUNTRIES, type Merchant, type Population, type User } from './population.js';
import { integerBetween, lognormal, pick, type Random } from './random.js';

export const PATTERNS = ['small_then_large', 'many_countries', 'rapid_retries'] as const;
export type Pattern = (typeof PATTERNS)[number];

/** A transaction before it has an id and a balance. `time` in milliseconds since 1970. */
export interface Draft {
  readonly time: number;
  readonly user: User;
  readonly card: string;
  readonly merchant: Merchant;
  readonly amount: number;
  readonly country: string;
  readonly channel: string;
  readonly tags: readonly string[];
  readonly pattern: Pattern | null;
}

const SECOND = 1_000;
const MINUTE = 60_000;
/** No episode lasts longer than this. */
const EPISODE_LENGTH = 60 * MINUTE;

/** An amount in cents precision, never zero. */
export function toAmount(value: number): number {
  return Math.max(0.01, Math.round(value * 100) / 100);
}

/** A stolen card is tried with small amounts; when they pass, it is emptied. */
function smallThenLarge(random: Random, population: Population, time: number): Draft[] {
  const user = population.drawUser(random);
  const card = pick(random, user.cards);
  const common = { user, card, country: user.home, channel: 'WEB', pattern: 'small_then_large' as const };
  const drafts: Draft[] = [];
  let now = time;
  for (let probe = integerBetween(random, 3, 6); probe > 0; probe -= 1) {
    const amount = toAmount(0.5 + random() * 2.5);
    drafts.push({ ...common, time: now, merchant: pick(random, population.onlineMerchants), amount, tags: ['probe'] });
    now += integerBetween(random, 8, 45) * SECOND;
  }
  const amount = toAmount(lognormal(random, 1_400, 0.4) + 400);
  drafts.push({
    ...common,
    time: now,
    merchant: pick(random, population.onlineMerchants),
    amount,
    tags: ['gift_card'],
  });
  return drafts;
}

/** A copied card is used in several countries within an hour. */
function manyCountries(random: Random, population: Population, time: number): Draft[] {
  const user = population.drawUser(random);
  const card = pick(random, user.cards);
  const abroad = COUNTRIES.filter((country) => country !== user.home);
  const count = integerBetween(random, 3, 5);
  const first = integerBetween(random, 0, abroad.length - 1);
  return Array.from({ length: count }, (_, index): Draft => {
    const merchant = population.drawMerchant(random);
    return {
      time: time + Math.floor(((index + random() * 0.8) / count) * EPISODE_LENGTH),
      user,
      card,
      merchant,
      amount: toAmount(lognormal(random, merchant.medianAmount * 2, 0.4)),
      country: abroad[(first + index) % abroad.length] as string,
      channel: 'POS',
      tags: ['magstripe'],
      pattern: 'many_countries',
    };
  });
}

/** A script repeats one payment until it passes: the same card, merchant and amount within seconds. */
function rapidRetries(random: Random, population: Population, time: number): Draft[] {
  const user = population.drawUser(random);
  const merchant = pick(random, population.onlineMerchants);
  const retry = {
    user,
    card: pick(random, user.cards),
    merchant,
    amount: toAmount(lognormal(random, merchant.medianAmount * 1.5, 0.3)),
    country: user.home,
    channel: 'WEB',
    tags: ['retry'],
    pattern: 'rapid_retries' as const,
  };
  let now = time;
  return Array.from({ length: integerBetween(random, 3, 6) }, () => {
    const draft = { ...retry, time: now };
    now += integerBetween(random, 1_000, 7_000);
    return draft;
  });
}

const EPISODES: Record<Pattern, typeof smallThenLarge> = {
  small_then_large: smallThenLarge,
  many_countries: manyCountries,
  rapid_retries: rapidRetries,
};

/** Episodes of all patterns in turn, `count` transactions in all, anywhere from `start` to `end`, in time order. */
export function createFraud(
  random: Random,
  population: Population,
  { start, end, count }: { readonly start: number; readonly end: number; readonly count: number },
): Draft[] {
  const latest = Math.max(start, end - EPISODE_LENGTH);
  const drafts: Draft[] = [];
  for (let turn = 0; drafts.length < count; turn += 1) {
    const pattern = PATTERNS[turn % PATTERNS.length] as Pattern;
    const episode = EPISODES[pattern](random, population, start + Math.floor(random() * (latest - start)));
    // An episode is whole or not there at all: half of one would be labelled as what it is not.
    if (drafts.length + episode.length > count) break;
    drafts.push(...episode);
  }
  return drafts.sort((a, b) => a.time - b.time);
}
