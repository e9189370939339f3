/** Three known patterns of card fraud. Each produces episodes of transactions. */
import { COUNTRIES, type Merchant, type Population, type User } from './population.js';
import { integerBetween, lognormal, pick, type Random } from './random.js';

/** The names of the patterns. */
export const PATTERNS = ['small_then_large', 'many_countries', 'rapid_retries'] as const;
export type Pattern = (typeof PATTERNS)[number];

/** A transaction without id and balance. `time` is in milliseconds since 1970. */
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
/** The longest duration of an episode. */
const EPISODE_LENGTH = 60 * MINUTE;

/** Rounds an amount to cents, and to at least 0.01. */
export function toAmount(value: number): number {
  return Math.max(0.01, Math.round(value * 100) / 100);
}

/** A thief tests a stolen card with small amounts. When they pass, a large payment follows. */
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

/** A copied card pays in several countries within an hour. */
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

/** A script repeats a payment until it passes: same card, merchant and amount within seconds. */
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

/** Returns up to `count` transactions in episodes of all patterns in turn, from `start` to `end`, in time order. */
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
    // Only complete episodes count, because a part of one would not show the pattern of its label.
    if (drafts.length + episode.length > count) break;
    drafts.push(...episode);
  }
  return drafts.sort((a, b) => a.time - b.time);
}
