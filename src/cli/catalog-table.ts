/** Text tables of the catalog lists. */
import type { AuditQuery, CatalogQuery, ConsumersQuery, DeadLettersQuery } from './generated/operations.js';
import { layOutTable, showValue } from './table.js';

const MAX_PAYLOAD = 120;

function table(headings: readonly string[], rows: readonly (readonly string[])[], none: string): string[] {
  return rows.length > 0 ? layOutTable(headings, rows) : [none];
}

function duration(seconds: number | null): string {
  if (seconds === null) return '–';
  for (const [unit, length] of [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
  ] as const) {
    if (seconds % length === 0) return `${seconds / length}${unit}`;
  }
  return `${seconds}s`;
}

/** Returns the table of entities. */
export function entityTable({ entities }: CatalogQuery): string[] {
  const rows = entities.map(({ name, version, joinKeys, graphqlType, owner }) => {
    const keys = joinKeys.map((key) => `${key.name} ${key.type}`).join(', ');
    return [name, `${version}`, keys, graphqlType, showValue(owner)];
  });
  return table(['entity', 'version', 'join keys', 'GraphQL type', 'owner'], rows, 'No entities.');
}

/** Returns the table of sources. */
export function sourceTable({ sources }: CatalogQuery): string[] {
  const rows = sources.map(({ name, version, columns, timestamp, topic, owner }) => {
    return [name, `${version}`, `${columns.length}`, timestamp, showValue(topic), showValue(owner)];
  });
  return table(['source', 'version', 'columns', 'timestamp', 'topic', 'owner'], rows, 'No sources.');
}

/** Returns the table of feature views, with their older versions. */
export function viewTable({ featureViews }: CatalogQuery): string[] {
  const rows = featureViews.map((view) => {
    const version = view.current ? `${view.version}` : `${view.version} (older)`;
    const ttl = duration(view.ttlSeconds);
    return [view.name, version, view.entity, view.source, `${view.features.length}`, ttl, view.graphqlType];
  });
  return table(['view', 'version', 'entity', 'source', 'features', 'ttl', 'GraphQL type'], rows, 'No feature views.');
}

/** Returns the table of feature services. */
export function serviceTable({ featureServices }: CatalogQuery): string[] {
  const rows = featureServices.map(({ name, version, features, graphqlField, owner }) => {
    const views = [...new Set(features.map((reference) => reference.split(':')[0] ?? ''))].join(', ');
    return [name, `${version}`, `${features.length}`, views, graphqlField, showValue(owner)];
  });
  return table(['service', 'version', 'features', 'views', 'GraphQL field', 'owner'], rows, 'No feature services.');
}

/** Returns the table of consumers: one line for each operation, with the id that clients send. */
export function consumerTable({ featureConsumers }: ConsumersQuery): string[] {
  const rows = featureConsumers.flatMap(({ name, version, owner, operations }) =>
    operations.map((one) => [name, `${version}`, showValue(one.name), one.id, one.fault ?? 'fits', showValue(owner)]),
  );
  return table(['consumer', 'version', 'operation', 'id (sha256)', 'schema', 'owner'], rows, 'No consumers.');
}

/** Returns the table of dead letters. Payloads are cut off after 120 characters. */
export function deadLetterTable({ deadLetters }: DeadLettersQuery): string[] {
  const rows = deadLetters.map(({ id, source, code, message, payload, arrivedAt, replayedAt }) => {
    const event = payload.length > MAX_PAYLOAD ? `${payload.slice(0, MAX_PAYLOAD)}…` : payload;
    return [id, source, arrivedAt, code, message, event, showValue(replayedAt)];
  });
  return table(['id', 'source', 'arrived', 'code', 'message', 'event', 'replayed'], rows, 'No dead letters.');
}

/** Returns the table of applies. */
export function auditTable({ audit }: AuditQuery): string[] {
  const rows = audit.map(({ revision, appliedAt, actor, summary }) => {
    return [`${revision}`, appliedAt, actor, summary.join('; ')];
  });
  return table(['revision', 'applied', 'by', 'changes'], rows, 'No changes yet.');
}
