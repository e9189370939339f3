/** What a plan reads from the offline store's PostgreSQL by the text of a user. */
import type { QueryReader } from '../store/query-reader.js';
import type { BatchPlan, StreamPlan } from './engine-plan.js';
import { READ_VARIABLE } from './table-input.js';

/**
 * Has PostgreSQL parse each query of a plan alone, before an engine reads it: JDBC takes several statements, and pastes a query into others.
 * Throws what `QueryReader.check` throws.
 */
export async function checkPlanQueries(queries: QueryReader, plan: BatchPlan | StreamPlan): Promise<void> {
  for (const input of [plan.input, ...plan.tables.map((table) => table.input)]) {
    if ('jdbc' in input && input.jdbc.urlEnv === READ_VARIABLE) await queries.check(input.jdbc.query);
  }
}
