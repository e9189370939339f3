/** What the management API asks of plan and apply, and what it gets. */
import type { PlannedChange } from '../definition/plan.js';

export interface SchemaChange {
  readonly criticality: 'SAFE' | 'DANGEROUS' | 'BREAKING';
  readonly message: string;
  readonly path: string | null;
}

/** What a plan shows. */
export interface PlanReport {
  /** The revision that the plan was made on, or that the apply made. */
  readonly revision: number;
  readonly changes: readonly PlannedChange[];
  readonly schemaChanges: readonly SchemaChange[];
}

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
