/** Inputs of every type that the tests of expressions read. */
import type { ExpressionInput } from '../../../src/transformation/expression.js';

export const INPUTS = [
  { name: 'x', type: 'FLOAT64' },
  { name: 'request.amount', type: 'FLOAT64' },
  { name: 'user_stats.spend_7d', type: 'FLOAT64' },
  { name: 'n', type: 'INT32' },
  { name: 'big', type: 'INT64' },
  { name: 'request.ts', type: 'TIMESTAMP' },
  { name: 'text', type: 'STRING' },
  { name: 'flag', type: 'BOOL' },
  { name: 'list', type: 'INT32[]' },
  { name: 'tags', type: 'STRING[]' },
  { name: 'type', type: 'STRING' },
] as const satisfies readonly ExpressionInput[];
