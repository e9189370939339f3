/**
 * Port: where definitions live.
 *
 * Invariants that every adapter holds (test/contract/registry.test.ts)
 * 1. An apply is all or nothing, and exactly one apply wins a revision: the others get REVISION_CONFLICT.
 * 2. The revision grows by one with each apply and never falls.
 * 3. The meaning of a stored (kind, name, version) never changes.
 * 4. `load` is a consistent picture: the records are those of its revision.
 * 5. A project sees nothing of another project.
 */
import type { Definition } from '../definition/definition.js';
import type { DefinitionRecord } from '../definition/definition-record.js';

export interface RegistryState {
  readonly project: string;
  /** 0 before the first apply. */
  readonly revision: number;
  /** All versions, retired ones too, ordered by kind, name, version. */
  readonly records: readonly DefinitionRecord[];
}

/** Names one version of one definition. */
export type VersionReference = Pick<DefinitionRecord, 'kind' | 'name' | 'version'>;

export interface RegistryChange {
  /** The revision that the change was planned on. */
  readonly expectedRevision: number;
  readonly create: readonly DefinitionRecord[];
  /** New text of existing versions whose meaning stays. */
  readonly update: readonly (VersionReference & { readonly definition: Definition })[];
  /** Versions that are no longer active. */
  readonly retire: readonly VersionReference[];
  /** Who applies; for the audit record. */
  readonly actor: string;
  /** One line for each change, in words; for the audit record. */
  readonly summary: readonly string[];
}

export interface AuditRecord {
  readonly revision: number;
  readonly actor: string;
  readonly summary: readonly string[];
  readonly appliedAt: Date;
}

export interface Registry {
  /** The whole state of the project. Throws REGISTRY_UNAVAILABLE. */
  load(): Promise<RegistryState>;
  /** The newest revision; cheap enough to be polled each second. */
  revision(): Promise<number>;
  /** Applies a change in one transaction and returns the new revision. Throws REVISION_CONFLICT. */
  apply(change: RegistryChange): Promise<number>;
  /** The newest audit records, newest first. */
  audit(limit: number): Promise<readonly AuditRecord[]>;
  /**
   * Calls `listener` soon after somebody applied a change. A hint: it may come twice, late or, after a lost connection,
   * never; who needs certainty polls `revision`. Returns a function that ends the watch.
   */
  watch(listener: () => void): Promise<() => Promise<void>>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
