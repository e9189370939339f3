/**
 * The definitions of `definitions.yaml` in TypeScript: a misspelt column does not compile.
 *
 * In a project of your own, import from 'fstore'.
 */
import {
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandFeatureView,
  defineSource,
  defineTransformer,
} from '../../src/sdk.js';

export const user = defineEntity({
  name: 'user',
  description: 'A person who pays.',
  joinKeys: [{ name: 'user_id', type: 'STRING' }],
  graphql: { type: 'User', key: 'id' },
  owner: 'risk-team',
});

export const merchant = defineEntity({
  name: 'merchant',
  description: 'A shop that is paid.',
  joinKeys: [{ name: 'merchant_id', type: 'STRING' }],
  graphql: { type: 'Merchant', key: 'id' },
  owner: 'risk-team',
});

export const card = defineEntity({
  name: 'card',
  description: 'A payment card of a user.',
  joinKeys: [{ name: 'card_id', type: 'STRING' }],
  graphql: { type: 'Card', key: 'id' },
  owner: 'risk-team',
});

export const transactions = defineSource({
  name: 'transactions',
  description: 'Card transactions as they are authorised.',
  schema: {
    transaction_id: 'STRING',
    user_id: 'STRING',
    merchant_id: 'STRING',
    card_id: 'STRING',
    amount: 'FLOAT64',
    country: 'STRING',
    merchant_category: 'STRING',
    channel: 'STRING',
    is_online: 'BOOL',
    device_count: 'INT32',
    balance_cents: 'INT64',
    tags: 'STRING[]',
    event_time: 'TIMESTAMP',
  },
  timestamp: 'event_time',
  stream: {},
  owner: 'payments-team',
});

export const userLastTransaction = defineFeatureView({
  name: 'user_last_transaction',
  description: 'The newest transaction of a user.',
  entity: user,
  source: transactions,
  ttl: '30d',
  features: [
    'transaction_id',
    { name: 'amount', description: 'Amount, in the currency of the account.' },
    'country',
    'merchant_id',
    'merchant_category',
    'channel',
    'is_online',
    'device_count',
    { name: 'balance_cents', description: 'Balance of the account after the transaction, in cents.' },
    'tags',
  ],
  owner: 'risk-team',
  tags: { pii: 'false' },
});

export const merchantLastTransaction = defineFeatureView({
  name: 'merchant_last_transaction',
  description: 'The newest transaction at a merchant.',
  entity: merchant,
  source: transactions,
  ttl: '90d',
  features: ['amount', 'country', 'channel', 'is_online'],
  owner: 'risk-team',
});

export const cardLastTransaction = defineFeatureView({
  name: 'card_last_transaction',
  description: 'The newest transaction of a card; near-duplicate retries show here.',
  entity: card,
  source: transactions,
  ttl: '7d',
  features: ['transaction_id', 'amount', 'country', 'merchant_id', 'channel'],
  owner: 'risk-team',
});

export const userSpending = defineFeatureView({
  name: 'user_spending',
  description: 'What a user has spent lately, and where.',
  entity: user,
  source: transactions,
  ttl: '90d',
  aggregations: [
    { name: 'spend', function: 'sum', column: 'amount', windows: ['1h', '24h', '7d'] },
    { name: 'transactions', function: 'count', windows: ['10m', '1h', '24h', '7d'] },
    {
      name: 'average_amount',
      function: 'avg',
      column: 'amount',
      windows: ['7d', '30d'],
      description: 'Usual size of a payment.',
    },
    { name: 'amount_deviation', function: 'stddev', column: 'amount', windows: ['30d'] },
    {
      name: 'countries',
      function: 'countDistinct',
      column: 'country',
      windows: ['1h', '24h'],
      description: 'A copied card pays in several countries within an hour.',
    },
  ],
  owner: 'risk-team',
});

export const cardActivity = defineFeatureView({
  name: 'card_activity',
  description: 'How a card is being used; small amounts before a large one, and retries, show here.',
  entity: card,
  source: transactions,
  ttl: '30d',
  aggregations: [
    { name: 'attempts', function: 'count', windows: ['10m', '1h'] },
    { name: 'smallest', function: 'min', column: 'amount', windows: ['10m', '24h'] },
    { name: 'largest', function: 'max', column: 'amount', windows: ['10m', '24h'] },
    { name: 'recent_amounts', function: 'lastN', n: 5, column: 'amount', windows: ['1h'] },
    { name: 'merchants', function: 'countDistinct', column: 'merchant_id', windows: ['1h'] },
  ],
  owner: 'risk-team',
});

export const paymentContext = defineOnDemandFeatureView({
  name: 'payment_context',
  description: 'How the payment at hand compares with what its user and card usually do.',
  request: { amount: 'FLOAT64', country: 'STRING' },
  features: [
    {
      name: 'amount_to_average',
      type: 'FLOAT64',
      expression: 'request.amount / user_spending.average_amount_7d',
      description: "Amount against the average of the user's last seven days.",
    },
    {
      name: 'amount_to_smallest',
      type: 'FLOAT64',
      expression: 'request.amount / card_activity.smallest_10m',
      description: 'A large amount after small ones is how a stolen card is emptied.',
    },
    { name: 'is_new_country', type: 'BOOL', expression: 'request.country != user_last_transaction.country' },
  ],
  owner: 'risk-team',
});

export const scaledSpend = defineTransformer({
  name: 'scaled_spend',
  description: 'Spending of a day, in standard deviations from the mean.',
  feature: 'user_spending:spend_24h',
  transform: { type: 'standard' },
  owner: 'risk-team',
});

export const channelCode = defineTransformer({
  name: 'channel_code',
  feature: 'user_last_transaction:channel',
  transform: { type: 'oneHot' },
  owner: 'risk-team',
});

export const fraudDetection = defineFeatureService({
  name: 'fraud_detection',
  description: 'What the fraud model reads before it lets a transaction pass.',
  features: [
    userLastTransaction,
    merchantLastTransaction,
    cardLastTransaction,
    userSpending,
    cardActivity,
    paymentContext,
    scaledSpend,
    channelCode,
  ],
  owner: 'risk-team',
});
