/** GraphQL documents for feature reads and subscriptions, composed for a target, and the form of their answers. */
import type { ServiceTarget, ViewTarget } from './feature-target.js';
import type { Operation } from './graphql-client.js';

/** A row of a view: features by the name of their field, with when and why. */
export interface ViewRow {
  readonly status: string;
  readonly eventTime: string | null;
  readonly version: number;
  readonly [feature: string]: unknown;
}

export interface FeatureStatusEntry {
  readonly feature: string;
  readonly status: string;
  readonly eventTime: string | null;
}

/** A vector of a service: join keys and features by the name of their field. */
export interface Vector {
  readonly statuses: readonly FeatureStatusEntry[];
  readonly serviceVersion: number;
  readonly [feature: string]: unknown;
}

function rowSelection({ view }: ViewTarget): string {
  return `{ status eventTime version ${view.features.map(({ graphqlField }) => graphqlField).join(' ')} }`;
}

function vectorSelection({ keys, features }: ServiceTarget): string {
  return `{ ${[...keys, ...features].join(' ')} statuses { feature status eventTime } serviceVersion }`;
}

function listArgument({ listField }: ViewTarget): { name: string; type: string } {
  return listField.args[0] ?? { name: 'ids', type: '[ID!]!' };
}

/** Rows of a view for many keys, in their order. */
export function readViewOperation(
  target: ViewTarget,
): Operation<{ entities: { row: ViewRow }[] }, { keys: unknown[]; asOf: string | null }> {
  const { name, type } = listArgument(target);
  const row = `row: ${target.view.graphqlField}(asOf: $asOf) ${rowSelection(target)}`;
  return `query ReadView($keys: ${type}, $asOf: DateTime) {
    entities: ${target.listField.name}(${name}: $keys) { ${row} }
  }`;
}

/** The vector of a service for one set of join keys. */
export function readServiceOperation(target: ServiceTarget): Operation<{ vector: Vector }, Record<string, string>> {
  const variables = target.keys.map((name) => `$${name}: ID!`).join(', ');
  const args = target.keys.map((name) => `${name}: $${name}`).join(', ');
  return `query ReadService(${variables}) { vector: ${target.field.name}(${args}) ${vectorSelection(target)} }`;
}

/** Rows of a view as they change; `keys` null: of every entity. */
export function watchViewOperation(
  target: ViewTarget,
): Operation<{ entity: { row: ViewRow; [keyField: string]: unknown } }, { keys: unknown[] | null }> {
  const { name, type } = listArgument(target);
  const row = `row: ${target.view.graphqlField} ${rowSelection(target)}`;
  return `subscription WatchView($keys: ${type.replace(/!$/, '')}) {
    entity: ${target.updatedField}(${name}: $keys) { ${target.keyFields.join(' ')} ${row} }
  }`;
}

/** Vectors of a service as they change. */
export function watchServiceOperation(
  target: ServiceTarget,
): Operation<{ vector: Vector }, { keys: Record<string, string>[] }> {
  return `subscription WatchService($keys: [${target.typeName}Keys!]!) {
    vector: ${target.updatedField}(keys: $keys) ${vectorSelection(target)}
  }`;
}
