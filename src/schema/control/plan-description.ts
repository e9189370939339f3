import type { PlanReport } from '../plan-report.js';
import { ChangeAction, Criticality, type DefinitionPlanReport } from './catalog-types.js';

/** Returns a plan's report in the types of the schema. */
export function describePlan({ revision, changes, schemaChanges }: PlanReport): DefinitionPlanReport {
  return {
    revision,
    changes: changes.map(({ action, kind, name, version }) => ({ action: ChangeAction[action], kind, name, version })),
    schemaChanges: schemaChanges.map((change) => ({ ...change, criticality: Criticality[change.criticality] })),
  };
}
