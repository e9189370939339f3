/** A registry in memory, for unit tests. */
import type { DefinitionRecord } from '../../../src/definition/definition-record.js';
import { FStoreError } from '../../../src/errors.js';
import type { AuditRecord, Registry, RegistryChange, RegistryState } from '../../../src/registry/registry.js';

const idOf = (one: { kind: string; name: string; version: number }): string => `${one.kind}/${one.name}@${one.version}`;

/** Keeps definitions in memory. */
export class MemoryRegistry implements Registry {
  #state: RegistryState;
  readonly #audit: AuditRecord[] = [];
  readonly #listeners = new Set<() => void>();

  constructor(project = 'test') {
    this.#state = { project, revision: 0, records: [] };
  }

  async load(): Promise<RegistryState> {
    return structuredClone(this.#state);
  }

  async revision(): Promise<number> {
    return this.#state.revision;
  }

  async apply(change: RegistryChange): Promise<number> {
    if (change.expectedRevision !== this.#state.revision)
      throw new FStoreError('REVISION_CONFLICT', 'another apply was first');
    const updated = new Map(change.update.map((one) => [idOf(one), one.definition]));
    const retired = new Set(change.retire.map(idOf));
    const records: DefinitionRecord[] = this.#state.records.map((record) => ({
      ...record,
      definition: updated.get(idOf(record)) ?? record.definition,
      active: record.active && !retired.has(idOf(record)),
    }));
    const revision = this.#state.revision + 1;
    this.#state = { ...this.#state, revision, records: [...records, ...change.create] };
    this.#audit.unshift({ revision, actor: change.actor, summary: change.summary, appliedAt: new Date(0) });
    for (const listener of this.#listeners) listener();
    return revision;
  }

  async audit(limit: number): Promise<readonly AuditRecord[]> {
    return this.#audit.slice(0, limit);
  }

  async watch(listener: () => void): Promise<() => Promise<void>> {
    this.#listeners.add(listener);
    return async () => void this.#listeners.delete(listener);
  }

  async ping(): Promise<void> {}
  async close(): Promise<void> {}
}
