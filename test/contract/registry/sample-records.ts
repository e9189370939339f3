/** Small definitions for tests of the registry; what they mean does not matter here, only that it comes back. */

import type { Entity, Source } from '../../../src/definition/definition.js';
import type { DefinitionRecord, EntityMeaning, SourceMeaning } from '../../../src/definition/definition-record.js';
import type { RegistryChange } from '../../../src/registry/registry.js';

/** An entity with one join key. */
export function entityRecord(name: string, version = 1, description?: string): DefinitionRecord<Entity, EntityMeaning> {
  const joinKeys: Entity['joinKeys'] = [{ name: `${name}_id`, type: 'STRING' }];
  const definition: Entity = { kind: 'entity', name, joinKeys, ...(description ? { description } : {}) };
  const fingerprint = `fp-${name}-${version}`;
  return { kind: 'entity', name, version, fingerprint, definition, meaning: { joinKeys }, active: true };
}

/** A source with columns in an order that is not that of the alphabet. */
export function sourceRecord(name: string, version = 1): DefinitionRecord<Source, SourceMeaning> {
  const schema: Source['schema'] = { user_id: 'STRING', amount: 'FLOAT64', at: 'TIMESTAMP' };
  const definition: Source = { kind: 'source', name, schema, timestamp: 'at' };
  const meaning: SourceMeaning = { schema, timestamp: 'at', topic: null };
  return { kind: 'source', name, version, fingerprint: `fp-${name}-${version}`, definition, meaning, active: true };
}

/** A change that does nothing but what is given. */
export function changeOf(expectedRevision: number, parts: Partial<RegistryChange> = {}): RegistryChange {
  return { expectedRevision, create: [], update: [], retire: [], actor: 'test', summary: [], ...parts };
}
