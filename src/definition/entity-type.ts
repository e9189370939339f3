import type { Entity } from './definition.js';
import type { DefinitionRecord, EntityMeaning } from './definition-record.js';
import { camelCase, pascalCase, plural } from './graphql-name.js';
import type { KeyType } from './value-type.js';

/** The names of an entity in the GraphQL schema. */
export interface EntityType {
  readonly name: string;
  readonly typeName: string;
  /** For each join key, in order: its field on the entity type, and its name as an argument (`userId`). */
  readonly keys: readonly {
    readonly name: string;
    readonly type: KeyType;
    readonly field: string;
    readonly argument: string;
  }[];
  readonly queryField: string;
  readonly listField: string;
  readonly description: string | undefined;
}

/** Resolves the GraphQL names of an entity: `user` with `user_id` → type User, key `id`, fields `user` and `users`. */
export function resolveEntity(record: DefinitionRecord<Entity, EntityMeaning>): EntityType {
  const { graphql, description, name } = record.definition;
  const { joinKeys } = record.meaning;
  const queryField = graphql?.field ?? camelCase(name);
  return {
    name,
    typeName: graphql?.type ?? pascalCase(name),
    keys: joinKeys.map((key) => ({
      ...key,
      field: joinKeys.length === 1 ? (graphql?.key ?? 'id') : camelCase(key.name),
      argument: camelCase(key.name),
    })),
    queryField,
    listField: graphql?.plural ?? plural(queryField),
    description,
  };
}
