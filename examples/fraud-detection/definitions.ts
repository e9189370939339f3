/**
 * The definitions of `definitions.yaml` in TypeScript: a misspelt column does not compile.
 *
 * In a project of your own, import from 'fstore'.
 */
import { defineEntity, defineFeatureService, defineFeatureView, defineSource } from '../../src/sdk.js';

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

export const fraudDetection = defineFeatureService({
  name: 'fraud_detection',
  description: 'What the fraud model reads before it lets a transaction pass.',
  features: [userLastTransaction, merchantLastTransaction, cardLastTransaction],
  owner: 'risk-team',
});
