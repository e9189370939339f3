/** The input and output types of plan and apply. */
import type { PlannedChange } from '../definition/plan.js';

/** A change of the GraphQL schema, in graphql-inspector's classification. `path` is the schema coordinate. */
export interface SchemaChange {
  readonly criticality: 'SAFE' | 'DANGEROUS' | 'BREAKING';
  readonly message: string;
  readonly path: string | null;
}

/** The result of a plan or an apply. */
export interface PlanReport {
  /** The revision that the plan was made on, or that the apply created. */
  readonly revision: number;
  readonly changes: readonly PlannedChange[];
  readonly schemaChanges: readonly SchemaChange[];
}

/** Definitions to plan or apply. `prune` removes everything that they do not contain; `retire` lists view versions. */
export interface ApplyRequest {
  readonly definitions: readonly unknown[];
  readonly prune: boolean;
  readonly retire: readonly string[];
}

/** Plans and applies definitions. */
export interface ApplyDefinitions {
  plan(request: ApplyRequest): Promise<PlanReport>;
  apply(request: ApplyRequest, allowBreaking: boolean, actor: string): Promise<PlanReport>;
}
