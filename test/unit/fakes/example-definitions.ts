/** Small definitions that units share: a user, a card, their transactions, and a service over both. */
export const user = {
  kind: 'entity',
  name: 'user',
  joinKeys: [{ name: 'user_id', type: 'STRING' }],
  graphql: { type: 'User', key: 'id' },
};
export const purchase = {
  kind: 'entity',
  name: 'purchase',
  joinKeys: [
    { name: 'user_id', type: 'STRING' },
    { name: 'card_id', type: 'INT64' },
  ],
};
export const transactions = {
  kind: 'source',
  name: 'transactions',
  schema: {
    user_id: 'STRING',
    card_id: 'INT64',
    amount: 'FLOAT64',
    country: 'STRING',
    event_time: 'TIMESTAMP',
  },
  timestamp: 'event_time',
  stream: {},
};
export const userStats = {
  kind: 'featureView',
  name: 'user_stats',
  entity: 'user',
  source: 'transactions',
  ttl: '30d',
  features: ['amount', { name: 'last_country', column: 'country' }],
  owner: 'risk-team',
};
export const purchaseStats = {
  kind: 'featureView',
  name: 'purchase_stats',
  entity: 'purchase',
  source: 'transactions',
  features: [{ name: 'amount', column: 'amount' }],
};
export const fraud = {
  kind: 'featureService',
  name: 'fraud',
  features: ['user_stats', { feature: 'purchase_stats:amount', as: 'purchaseAmount' }],
};
export const all: readonly Record<string, unknown>[] = [user, purchase, transactions, userStats, purchaseStats, fraud];
