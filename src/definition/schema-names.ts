/**
 * The names that definitions use in the GraphQL schema, and the collisions among them.
 *
 * Invariant: if `findCollisions` returns no issue, then in the generated schema type names are unique, and so are the
 * field names of each type. No name equals one of the control schema or of GraphQL itself.
 */
import type { Issue } from '../errors.js';
import type { DefinitionKind, Entity, FeatureService } from './definition.js';
import type { DefinitionRecord, EntityMeaning, ServiceMeaning } from './definition-record.js';
import { resolveEntity } from './entity-type.js';
import { camelCase } from './graphql-name.js';
import { pinsOf } from './service-meaning.js';
import { resolveService } from './service-type.js';
import { resolveView } from './view-version.js';

/** Names that the rest of the schema uses: of types, and of fields of the root types. */
export interface ReservedNames {
  readonly types: ReadonlySet<string>;
  readonly queries: ReadonlySet<string>;
  readonly subscriptions: ReadonlySet<string>;
}

/** Fields of every generated view type besides its features. */
const VIEW_FIELDS: readonly string[] = ['eventTime', 'status', 'version'];
/** Fields of every generated service type besides keys and features. */
const SERVICE_FIELDS: readonly string[] = ['statuses', 'serviceVersion'];

/** Returns the subscription field of a view type or service: `UserStats` → `userStatsUpdated`. */
export function updatedField(typeName: string): string {
  return `${typeName.charAt(0).toLowerCase()}${typeName.slice(1)}Updated`;
}

/** Returns the name of the type with the keys of one vector of a service. */
export function serviceKeysType(typeName: string): string {
  return `${typeName}Keys`;
}

/** Returns the name of the input type with the request data of a service. */
export function serviceRequestType(typeName: string): string {
  return `${typeName}Request`;
}

/** Returns the name of the type with many vectors of a service in columns. */
export function serviceColumnsType(typeName: string): string {
  return `${typeName}Columns`;
}

/** Returns the name of the input type with a composite key of an entity. */
export function entityKeyType(typeName: string): string {
  return `${typeName}Key`;
}

interface Owner {
  readonly kind: DefinitionKind;
  readonly name: string;
}

/** Checks the active records of a project for name collisions. Each issue names the definition that comes later. */
export function findCollisions(
  records: readonly DefinitionRecord[],
  reserved: ReservedNames,
): (Issue & { readonly owner: Owner })[] {
  const issues: (Issue & { readonly owner: Owner })[] = [];
  const scopes = new Map<string, Map<string, string>>();
  const scope = (name: string, taken: Iterable<string> = []): Map<string, string> => {
    let names = scopes.get(name);
    if (!names) {
      names = new Map([...taken].map((one) => [one, 'FStore itself']));
      scopes.set(name, names);
    }
    return names;
  };
  const claim = (
    names: Map<string, string>,
    where: string,
    name: string,
    owner: Owner,
    path: (string | number)[],
  ): void => {
    const other = names.get(name);
    const mine = `${owner.kind} ${owner.name}`;
    if (other) {
      const message = `${mine} would take the ${where} ${name}, which ${other} has`;
      issues.push({ code: 'NAME_COLLISION', message, path, owner });
    } else names.set(name, mine);
  };
  const types = scope('types', reserved.types);
  const queries = scope('queries', reserved.queries);
  const subscriptions = scope('subscriptions', reserved.subscriptions);

  const ofKind = (kind: DefinitionKind) => records.filter((record) => record.active && record.kind === kind);
  const newest = new Map<string, number>();
  for (const record of records) {
    const id = `${record.kind}/${record.name}`;
    if (record.active && (newest.get(id) ?? 0) < record.version) newest.set(id, record.version);
  }
  const isCurrent = (record: DefinitionRecord) => newest.get(`${record.kind}/${record.name}`) === record.version;

  for (const record of ofKind('entity').filter(isCurrent)) {
    const owner = { kind: record.kind, name: record.name };
    const entity = resolveEntity(record as DefinitionRecord<Entity, EntityMeaning>);
    claim(types, 'type', entity.typeName, owner, ['graphql', 'type']);
    if (entity.keys.length > 1) claim(types, 'type', entityKeyType(entity.typeName), owner, ['graphql', 'type']);
    claim(queries, 'query field', entity.queryField, owner, ['graphql', 'field']);
    claim(queries, 'query field', entity.listField, owner, ['graphql', 'plural']);
    const fields = scope(`entity ${entity.name}`);
    for (const [index, key] of entity.keys.entries()) {
      claim(fields, `field of ${entity.typeName}`, key.field, owner, ['joinKeys', index]);
    }
  }
  for (const record of ofKind('featureView')) {
    const owner = { kind: record.kind, name: record.name };
    const view = resolveView(record, isCurrent(record));
    claim(types, 'type', view.typeName, owner, ['graphql', 'type']);
    claim(scope(`entity ${view.entity}`), `field of entity ${view.entity}`, view.fieldName, owner, [
      'graphql',
      'field',
    ]);
    claim(subscriptions, 'subscription field', updatedField(view.typeName), owner, ['name']);
    const fields = scope(`view ${view.id}`, VIEW_FIELDS);
    for (const [index, feature] of view.features.entries()) {
      claim(fields, `field of ${view.typeName}`, feature.graphqlName, owner, ['features', index]);
    }
  }
  for (const record of ofKind('featureService').filter(isCurrent)) {
    const owner = { kind: record.kind, name: record.name };
    const service = resolveService(record as DefinitionRecord<FeatureService, ServiceMeaning>);
    claim(types, 'type', service.typeName, owner, ['graphql', 'type']);
    claim(types, 'type', serviceKeysType(service.typeName), owner, ['graphql', 'type']);
    claim(queries, 'query field', service.queryField, owner, ['graphql', 'field']);
    claim(queries, 'query field', `${service.queryField}List`, owner, ['graphql', 'field']);
    claim(types, 'type', serviceColumnsType(service.typeName), owner, ['graphql', 'type']);
    claim(queries, 'query field', `${service.queryField}Columns`, owner, ['graphql', 'field']);
    if (service.request.length > 0) {
      claim(types, 'type', serviceRequestType(service.typeName), owner, ['graphql', 'type']);
    }
    claim(subscriptions, 'subscription field', updatedField(service.typeName), owner, ['name']);
    const keys = serviceArguments(service.features, records);
    if (service.request.length > 0 && keys.has('request')) {
      const message = `service ${service.name} has a join key named request, which is the argument of its request data`;
      issues.push({ code: 'NAME_COLLISION', message, path: ['name'], owner });
    }
    const fields = scope(`service ${service.name}`, [...SERVICE_FIELDS, ...keys]);
    for (const feature of service.features) {
      claim(fields, `field of ${service.typeName}`, feature.field, owner, ['features']);
    }
  }
  return issues;
}

function serviceArguments(features: ServiceMeaning['features'], records: readonly DefinitionRecord[]): Set<string> {
  const views = new Set(features.flatMap(pinsOf).map((pin) => `${pin.view}@${pin.version}`));
  const names = new Set<string>();
  for (const record of records) {
    if (record.kind !== 'featureView' || !views.has(`${record.name}@${record.version}`)) continue;
    for (const key of resolveView(record, true).keys) names.add(camelCase(key.name));
  }
  return names;
}
