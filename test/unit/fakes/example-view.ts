import type { ViewVersion } from '../../../src/definition/view-version.js';

/** A view of users with one FLOAT64 feature, `amount`. */
export const exampleView: ViewVersion = {
  id: 'user_stats@1',
  name: 'user_stats',
  version: 1,
  current: true,
  fingerprint: '0123456789abcdef',
  entity: 'user',
  source: 'transactions',
  timestamp: 'event_time',
  keys: [{ name: 'user_id', type: 'STRING', column: 'user_id' }],
  features: [
    {
      name: 'amount',
      type: 'FLOAT64',
      column: 'amount',
      computation: null,
      graphqlName: 'amount',
      description: undefined,
      tags: {},
    },
  ],
  columns: [{ name: 'amount', type: 'FLOAT64', column: 'amount' }],
  aggregation: null,
  sql: null,
  engine: 'builtin',
  ttl: null,
  table: 'view_user_stats_0123456789abcdef',
  typeName: 'UserStats',
  fieldName: 'stats',
  description: undefined,
  owner: undefined,
  tags: {},
};
