/** The users and merchants of the demo. Users have a home country, cards and habits; merchants have categories. */
import { createRandom, createZipf, deriveSeed, integerBetween, lognormal, pick, type Random } from './random.js';

/** The countries in which users pay. */
export const COUNTRIES = ['DE', 'FR', 'ES', 'IT', 'NL', 'PL', 'SE', 'GB', 'US', 'BR', 'IN', 'JP'] as const;
const HOME_WEIGHTS = ['DE', 'DE', 'DE', 'FR', 'FR', 'ES', 'IT', 'NL', 'PL', 'SE', 'GB', 'GB', 'US'] as const;

/** Categories with their median amount, and whether they sell online. */
const CATEGORIES = [
  { name: 'grocery', median: 28, online: false },
  { name: 'fuel', median: 55, online: false },
  { name: 'restaurant', median: 24, online: false },
  { name: 'fashion', median: 60, online: true },
  { name: 'electronics', median: 160, online: true },
  { name: 'travel', median: 240, online: true },
  { name: 'gaming', median: 15, online: true },
  { name: 'pharmacy', median: 17, online: false },
] as const;

/** A user who pays. */
export interface User {
  readonly id: string;
  readonly home: string;
  readonly cards: readonly string[];
  readonly devices: number;
  /** Spending relative to the average user. */
  readonly spending: number;
  readonly openingBalanceCents: number;
}

/** A merchant. */
export interface Merchant {
  readonly id: string;
  readonly category: string;
  readonly medianAmount: number;
  readonly online: boolean;
}

/** All users and merchants. */
export interface Population {
  readonly users: readonly User[];
  readonly merchants: readonly Merchant[];
  readonly onlineMerchants: readonly Merchant[];
  /** Draws a user by Zipf's law: a few occur very often, most of them rarely. */
  drawUser(random: Random): User;
  /** Draws a merchant by Zipf's law. */
  drawMerchant(random: Random): Merchant;
}

function createUser(random: Random, index: number): User {
  const number = String(index).padStart(5, '0');
  const cards = Array.from({ length: integerBetween(random, 1, 3) }, (_, card) => `card_${number}_${card}`);
  return {
    id: `user_${number}`,
    home: pick(random, HOME_WEIGHTS),
    cards,
    devices: integerBetween(random, 1, 4),
    spending: lognormal(random, 1, 0.35),
    openingBalanceCents: Math.round(lognormal(random, 250_000, 0.8)),
  };
}

function createMerchant(random: Random, index: number): Merchant {
  const { name, median, online } = pick(random, CATEGORIES);
  const medianAmount = lognormal(random, median, 0.3);
  return { id: `merchant_${String(index).padStart(4, '0')}`, category: name, medianAmount, online };
}

/** Creates a population. Equal arguments give equal populations. */
export function createPopulation(seed: number, userCount: number, merchantCount: number): Population {
  const userRandom = createRandom(deriveSeed(seed, 1));
  const merchantRandom = createRandom(deriveSeed(seed, 2));
  const users = Array.from({ length: userCount }, (_, index) => createUser(userRandom, index + 1));
  const merchants = Array.from({ length: merchantCount }, (_, index) => createMerchant(merchantRandom, index + 1));
  const online = merchants.filter((merchant) => merchant.online);
  const userLaw = createZipf(userCount, 0.8);
  const merchantLaw = createZipf(merchantCount, 1);
  return {
    users,
    merchants,
    onlineMerchants: online.length > 0 ? online : merchants,
    drawUser: (random) => users[userLaw(random)] as User,
    drawMerchant: (random) => merchants[merchantLaw(random)] as Merchant,
  };
}
