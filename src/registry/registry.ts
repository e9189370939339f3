/**
 * The port to the registry, which stores definitions.
 *
 * Invariants that every adapter holds (test/contract/registry.test.ts)
 * 1. An apply is atomic. Exactly one apply wins a revision, and the others get REVISION_CONFLICT.
 * 2. The revision grows by one with each apply and never falls.
 * 3. The resolved definition of a stored (kind, name, version) never changes.
 * 4. `load` is consistent: the records are those of its revision.
 * 5. A project sees nothing of another project.
 */
import type { Definition } from '../definition/definition.js';
import type { DefinitionRecord } from '../definition/definition-record.js';

/** All definitions of a project at one revision. */
export interface RegistryState {
  readonly project: string;
  /** 0 before the first apply. */
  readonly revision: number;
  /** All versions, including retired ones, ordered by kind, name, version. */
  readonly records: readonly DefinitionRecord[];
}

/** Identifies one version of a definition. */
export type VersionReference = Pick<DefinitionRecord, 'kind' | 'name' | 'version'>;

/** The change that an apply makes. */
export interface RegistryChange {
  /** The revision for which the change was planned. */
  readonly expectedRevision: number;
  readonly create: readonly DefinitionRecord[];
  /** New definitions of existing versions whose resolved definitions stay the same. */
  readonly update: readonly (VersionReference & { readonly definition: Definition })[];
  /** Versions to retire. */
  readonly retire: readonly VersionReference[];
  /** Who applies the change, for the audit record. */
  readonly actor: string;
  /** One readable line for each change, for the audit record. */
  readonly summary: readonly string[];
}

/** The record of one apply. */
export interface AuditRecord {
  readonly revision: number;
  readonly actor: string;
  readonly summary: readonly string[];
  readonly appliedAt: Date;
}

/** The registry of one project. Methods throw REGISTRY_UNAVAILABLE if it cannot be reached. */
export interface Registry {
  /** Returns the whole state of the project. */
  load(): Promise<RegistryState>;
  /** Returns the newest revision. It is cheap enough to poll each second. */
  revision(): Promise<number>;
  /** Applies a change in one transaction and returns the new revision. Throws REVISION_CONFLICT. */
  apply(change: RegistryChange): Promise<number>;
  /** Returns up to `limit` audit records, newest first. */
  audit(limit: number): Promise<readonly AuditRecord[]>;
  /**
   * Calls `listener` soon after an apply. This is a hint: it may come twice, late or, after a lost connection, never.
   * A caller that needs certainty polls `revision`. Returns a function that ends the watch.
   */
  watch(listener: () => void): Promise<() => Promise<void>>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
