import {
  type GraphQLFieldConfigArgumentMap,
  type GraphQLFieldConfigMap,
  GraphQLID,
  GraphQLInputObjectType,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
} from 'graphql';
import { type EntityKey, readKey, readPlainKey } from '../../definition/entity-key.js';
import type { EntityType } from '../../definition/entity-type.js';
import { entityKeyType } from '../../definition/schema-names.js';
import type { KeyType } from '../../definition/value-type.js';
import type { ViewVersion } from '../../definition/view-version.js';
import { FStoreError } from '../../errors.js';
import type { KeyAllowance } from '../key-allowance.js';
import { sourced } from '../lane/field-source.js';
import type { RequestContext } from '../request-context.js';
import { DateTime } from '../scalars.js';

/** An entity in an answer; the parent value of the entity's fields. */
export interface EntityObject {
  readonly typeName: string;
  readonly key: EntityKey;
}

const id = new GraphQLNonNull(GraphQLID);

const keyTypes = new WeakMap<EntityType, readonly KeyType[]>();

function keyTypesOf(entity: EntityType): readonly KeyType[] {
  let types = keyTypes.get(entity);
  if (!types) {
    types = entity.keys.map(({ type }) => type);
    keyTypes.set(entity, types);
  }
  return types;
}

/**
 * Reads the key of an entity from named inputs. `place` is the path of the inputs in a list, for messages. Throws
 * KEY_INVALID.
 */
export function readEntityKey(
  entity: EntityType,
  inputs: Readonly<Record<string, unknown>>,
  name: 'field' | 'argument',
  place?: string,
): EntityKey {
  const { keys } = entity;
  const plain = readPlainKey(keyTypesOf(entity), inputs[keys[0]![name]]);
  if (plain) return plain;
  const values = keys.length === 1 ? [inputs[keys[0]![name]]] : keys.map((key) => inputs[key[name]]);
  return keyOf(entity, values, name, () => place);
}

/** Reads the values of an entity's join keys. `place` is called only if they are invalid. Throws KEY_INVALID. */
function keyOf(
  entity: EntityType,
  values: readonly unknown[],
  name: 'field' | 'argument',
  place: () => string | undefined,
): EntityKey {
  const read = readKey(keyTypesOf(entity), values);
  if (read.ok) return read.key;
  const own = entity.keys[read.part]?.[name] ?? '';
  const list = place();
  const field = list === undefined ? own : entity.keys.length === 1 ? list : `${list}.${own}`;
  throw new FStoreError('KEY_INVALID', `${field} is no key of ${entity.typeName}: ${read.reason}`, { field });
}

/** The input type of a composite key, or null for a single key, which is an ID. */
export function createKeyInput(entity: EntityType): GraphQLInputObjectType | null {
  if (entity.keys.length === 1) return null;
  return new GraphQLInputObjectType({
    name: entityKeyType(entity.typeName),
    description: `Identifies one ${entity.typeName}.`,
    fields: Object.fromEntries(entity.keys.map((key) => [key.field, { type: id }])),
  });
}

/** Returns the argument that lists entities: `ids` for a single key, `keys` for a composite one. */
export function listArguments(
  keyInput: GraphQLInputObjectType | null,
  required: boolean,
  description: string,
): GraphQLFieldConfigArgumentMap {
  const list = new GraphQLList(keyInput ? new GraphQLNonNull(keyInput) : id);
  return { [keyInput ? 'keys' : 'ids']: { type: required ? new GraphQLNonNull(list) : list, description } };
}

/** Reads the argument of `listArguments`. Returns null if it was not given. Throws KEY_INVALID and LIST_TOO_LONG. */
export function readKeyList(
  entity: EntityType,
  args: Readonly<Record<string, unknown>>,
  allowance: KeyAllowance,
): EntityKey[] | null {
  const name = entity.keys.length === 1 ? 'ids' : 'keys';
  const list = args[name] as readonly unknown[] | null | undefined;
  if (!list) return null;
  allowance.take(list.length, name);
  if (entity.keys.length === 1) {
    const types = keyTypesOf(entity);
    return list.map(
      (item, index) => readPlainKey(types, item) ?? keyOf(entity, [item], 'field', () => `${name}.${index}`),
    );
  }
  return list.map((item, index) => {
    return readEntityKey(entity, item as Record<string, unknown>, 'field', `${name}.${index}`);
  });
}

/** Returns the object type of an entity: its key, and a field for each active version of each of its views. */
export function createEntityObject(
  entity: EntityType,
  views: readonly { readonly view: ViewVersion; readonly type: GraphQLObjectType }[],
): GraphQLObjectType<EntityObject, RequestContext> {
  const keyFields = entity.keys.map((key) => key.field).join(' ');
  return new GraphQLObjectType<EntityObject, RequestContext>({
    name: entity.typeName,
    description: entity.description ?? `Entity \`${entity.name}\`.`,
    extensions: { key: keyFields },
    fields: () => {
      const fields: GraphQLFieldConfigMap<EntityObject, RequestContext> = {};
      for (const [index, key] of entity.keys.entries()) {
        fields[key.field] = {
          type: id,
          description: `Join key \`${key.name}\`.`,
          extensions: sourced({ kind: 'key', index }),
          resolve: (parent, _, context, info) => context.response.show(info.path.key, parent.key.parts[index]),
        };
      }
      for (const { view, type } of views) {
        fields[view.fieldName] = {
          type,
          description: type.description ?? null,
          ...(view.current
            ? {}
            : { deprecationReason: `Version ${view.version} of ${view.name}; a newer one is served.` }),
          args: { asOf: { type: DateTime, description: 'The instant whose value is asked for; default: now.' } },
          extensions: { fstore: view.fingerprint, ...sourced({ kind: 'view', view }) },
          resolve: (parent, args, context) => {
            const asOf = args.asOf as number | null | undefined;
            if (asOf === null || asOf === undefined) return context.load(view, parent.key);
            if (asOf > context.loader.now) {
              throw new FStoreError('BAD_REQUEST', 'asOf lies in the future', { field: 'asOf' });
            }
            return context.loader.loadAsOf(view, parent.key, asOf);
          },
        };
      }
      return fields;
    },
  });
}
