/**
 * Resolves definitions: fills in every reference, and reports every issue.
 *
 * Boundary: pure. `schema-names.ts` checks GraphQL names. `plan.ts` assigns versions.
 */
import type { Issue } from '../errors.js';
import { inputTypesOf, resultTypeOf } from './aggregate-function.js';
import { AvroSchemaError, type AvroType, carries, parseAvroSchema } from './avro-schema.js';
import type { Entity, FeatureView, Source } from './definition.js';
import type {
  AggregationMeaning,
  BatchMeaning,
  EntityMeaning,
  SourceMeaning,
  SqlMeaning,
  ViewMeaning,
} from './definition-record.js';
import { readWindow } from './window.js';

/** An issue of the definition that is being resolved. The caller adds which definition that is. */
export type Finding = Pick<Issue, 'code' | 'message'> & { readonly path: readonly (string | number)[] };

/** The result of resolving a definition: the resolved definition, or null with the issues. */
export interface Resolved<M> {
  readonly meaning: M | null;
  readonly findings: readonly Finding[];
}

/** Resolves an entity. Its join keys must have different names. */
export function resolveEntityMeaning(entity: Entity): Resolved<EntityMeaning> {
  const seen = new Set<string>();
  const findings: Finding[] = [];
  for (const [index, key] of entity.joinKeys.entries()) {
    if (seen.has(key.name)) {
      const message = `entity ${entity.name} has the join key ${key.name} twice`;
      findings.push({ code: 'DEFINITION_INVALID', message, path: ['joinKeys', index, 'name'] });
    }
    seen.add(key.name);
  }
  if (entity.graphql?.key && entity.joinKeys.length > 1) {
    const message =
      'graphql.key names the field of a single join key; a composite key keeps the names of its join keys';
    findings.push({ code: 'DEFINITION_INVALID', message, path: ['graphql', 'key'] });
  }
  return { meaning: findings.length ? null : { joinKeys: entity.joinKeys }, findings };
}

/** Resolves a source. Its timestamp must be one of its TIMESTAMP columns. */
export function resolveSourceMeaning(source: Source): Resolved<SourceMeaning> {
  const type = source.schema[source.timestamp];
  if (type !== 'TIMESTAMP') {
    const message = type
      ? `column ${source.timestamp} of source ${source.name} is ${type}, but the timestamp of a source is a TIMESTAMP`
      : `source ${source.name} has no column ${source.timestamp}`;
    const code = type ? 'DEFINITION_INVALID' : 'REFERENCE_UNKNOWN';
    return { meaning: null, findings: [{ code, message, path: ['timestamp'] }] };
  }
  const topic = source.stream ? (source.stream.topic ?? source.name) : null;
  const batch = batchOf(source);
  const { avro, findings } = resolveAvro(source);
  const meaning = {
    schema: source.schema,
    timestamp: source.timestamp,
    topic,
    ...(avro ? { avro } : {}),
    ...(batch ? { batch } : {}),
  };
  return { meaning: findings.length ? null : meaning, findings };
}

function resolveAvro({ name, schema, timestamp, stream }: Source): {
  readonly avro?: NonNullable<SourceMeaning['avro']>;
  readonly findings: readonly Finding[];
} {
  if (stream?.format !== 'avro') return { findings: [] };
  const given = stream.avroSchema;
  if (given === undefined) return { avro: { schema: null }, findings: [] };
  const invalid = (message: string): Finding => ({
    code: 'DEFINITION_INVALID',
    message,
    path: ['stream', 'avroSchema'],
  });
  if (typeof given === 'string') {
    return { findings: [invalid(`${given} is a path, which \`fstore apply\` reads; here goes the schema itself`)] };
  }
  let fields: ReadonlyMap<string, AvroType>;
  try {
    fields = new Map(parseAvroSchema(given).fields.map((field) => [field.name, field.type]));
  } catch (error) {
    if (!(error instanceof AvroSchemaError)) throw error;
    return { findings: [invalid(`the Avro schema cannot be used: ${error.message}`)] };
  }
  const findings = [...fields].flatMap(([field, type]) => {
    const declared = Object.hasOwn(schema, field) ? schema[field] : undefined;
    if (!declared) return [invalid(`the Avro schema has the field ${field}, which source ${name} does not declare`)];
    if (carries(type, declared)) return [];
    return [invalid(`field ${field} of the Avro schema is ${type.kind}, which is no ${declared}`)];
  });
  if (!fields.has(timestamp)) findings.push(invalid(`the Avro schema has no field ${timestamp}`));
  return { avro: { schema: given }, findings };
}

function batchOf({ batch }: Source): BatchMeaning | null {
  if (!batch) return null;
  if (batch.jdbc) {
    const { connection, table, query } = batch.jdbc;
    // The table name stays unquoted: quoting rules depend on the other database.
    return { connection, query: query ?? `SELECT * FROM ${table}` };
  }
  if (batch.query) return { query: batch.query };
  if (batch.table) {
    const name = batch.table
      .split('.')
      .map((part) => `"${part}"`)
      .join('.');
    return { query: `SELECT * FROM ${name}` };
  }
  const format = (['csv', 'ndjson', 'parquet', 'arrow', 'orc'] as const).find((one) => batch[one] !== undefined);
  return format ? { format, path: batch[format]! } : null;
}

/** Resolves a view against resolved entities and sources. */
export function resolveViewMeaning(
  view: FeatureView,
  entities: ReadonlyMap<string, EntityMeaning>,
  sources: ReadonlyMap<string, SourceMeaning>,
): Resolved<ViewMeaning> {
  const findings: Finding[] = [];
  const unknown = (message: string, path: Finding['path']) =>
    findings.push({ code: 'REFERENCE_UNKNOWN', message, path });
  const invalid = (message: string, path: Finding['path']) =>
    findings.push({ code: 'DEFINITION_INVALID', message, path });
  const entity = entities.get(view.entity);
  const source = sources.get(view.source);
  if (!entity) unknown(`view ${view.name} names the entity ${view.entity}, which is not declared`, ['entity']);
  if (!source) unknown(`view ${view.name} names the source ${view.source}, which is not declared`, ['source']);
  if (!entity || !source) return { meaning: null, findings };

  for (const key of Object.keys(view.joinKeys ?? {})) {
    if (!entity.joinKeys.some((joinKey) => joinKey.name === key)) {
      unknown(`entity ${view.entity} has no join key ${key}`, ['joinKeys', key]);
    }
  }
  const keys = entity.joinKeys.map((key) => {
    const column = view.joinKeys?.[key.name] ?? key.name;
    // Spark checks the columns of a query's result when the query runs.
    if (view.sql) return { name: key.name, type: key.type, column };
    const type = source.schema[column];
    const path = view.joinKeys?.[key.name] ? ['joinKeys', key.name] : ['source'];
    if (!type) unknown(`source ${view.source} has no column ${column} for the join key ${key.name}`, path);
    else if (type !== key.type) invalid(`join key ${key.name} is ${key.type}, but column ${column} is ${type}`, path);
    return { name: key.name, type: key.type, column };
  });
  const { features, ...computed } = resolveFeatures(view, source, sources, findings);
  const names = new Set<string>();
  for (const { name, path } of features) {
    if (names.has(name)) invalid(`view ${view.name} has the feature ${name} twice`, path);
    names.add(name);
  }
  if (findings.length) return { meaning: null, findings };
  return {
    meaning: {
      entity: view.entity,
      source: view.source,
      timestamp: source.timestamp,
      keys,
      features: features.map(({ path: _, ...feature }) => feature),
      ...computed,
    },
    findings,
  };
}

type ResolvedFeature = ViewMeaning['features'][number] & { readonly path: Finding['path'] };
type ResolvedFeatures = Pick<ViewMeaning, 'aggregation' | 'sql'> & { readonly features: ResolvedFeature[] };

function resolveFeatures(
  view: FeatureView,
  source: SourceMeaning,
  sources: ReadonlyMap<string, SourceMeaning>,
  findings: Finding[],
): ResolvedFeatures {
  if (view.aggregations) return resolveAggregations(view, source, findings);
  if (!view.sql) return { features: resolveRows(view, source, findings) };
  const features = Object.entries(view.sql.features).map(([name, type]) => ({
    name,
    type,
    column: null,
    path: ['sql', 'features', name],
  }));
  return { features, sql: resolveSql(view, view.sql, sources, findings) };
}

function resolveSql(
  view: FeatureView,
  { query, with: names = [] }: NonNullable<FeatureView['sql']>,
  sources: ReadonlyMap<string, SourceMeaning>,
  findings: Finding[],
): SqlMeaning {
  const find = (code: Finding['code'], message: string, path: Finding['path']) =>
    findings.push({ code, message, path });
  if (view.engine !== 'spark') {
    const message = `view ${view.name} has a query in the SQL of Spark: write engine: spark. SQL of PostgreSQL is the \`batch: { query }\` of a source`;
    find('DEFINITION_INVALID', message, ['engine']);
  }
  const source = sources.get(view.source);
  if (source?.topic === null && !source.batch) {
    const message = `view ${view.name} computes events, and source ${view.source} has none: give it a \`stream\`, or a \`batch\` that Spark reads`;
    find('DEFINITION_INVALID', message, ['source']);
  }
  for (const [index, name] of names.entries()) {
    const path = ['sql', 'with', index];
    const table = sources.get(name);
    if (!table) find('REFERENCE_UNKNOWN', `view ${view.name} reads the source ${name}, which is not declared`, path);
    else if (!table.batch) {
      const message = `source ${name} is read as a table, and has no \`batch\` to read it from`;
      find('DEFINITION_INVALID', message, path);
    } else if ('format' in table.batch && table.batch.format === 'arrow') {
      find('DEFINITION_INVALID', `source ${name} is an Arrow file, which Spark does not read: write Parquet`, path);
    }
    if (name === view.source || names.indexOf(name) < index) {
      find('NAME_COLLISION', `the query of view ${view.name} has the table ${name} twice`, path);
    }
  }
  return { query, with: names };
}

function resolveRows(view: FeatureView, source: SourceMeaning, findings: Finding[]): ResolvedFeature[] {
  return (view.features ?? []).map((item, index) => {
    const { name, column = name } = typeof item === 'string' ? { name: item } : item;
    const type = source.schema[column];
    const path = ['features', index];
    if (!type) {
      const message = `source ${view.source} has no column ${column}`;
      findings.push({ code: 'REFERENCE_UNKNOWN', message, path });
    }
    return { name, type: type ?? 'STRING', column, path };
  });
}

function resolveAggregations(view: FeatureView, source: SourceMeaning, findings: Finding[]): ResolvedFeatures {
  const features: ResolvedFeature[] = [];
  const aggregates: AggregationMeaning['aggregates'][number][] = [];
  const windows: AggregationMeaning['features'][number][] = [];
  for (const [index, item] of (view.aggregations ?? []).entries()) {
    const at = (...steps: (string | number)[]): Finding['path'] => ['aggregations', index, ...steps];
    const found = findings.length;
    const type = item.column === undefined ? null : (source.schema[item.column] ?? null);
    const accepted = inputTypesOf(item.function);
    const invalid = (message: string, path: Finding['path']) =>
      findings.push({ code: 'DEFINITION_INVALID', message: `aggregation ${item.name}: ${message}`, path });
    if (item.column !== undefined && type === null) {
      const message = `source ${view.source} has no column ${item.column}`;
      findings.push({ code: 'REFERENCE_UNKNOWN', message, path: at('column') });
    } else if (accepted && type === null) {
      invalid(`${item.function} needs a column`, at('column'));
    } else if (accepted && type && !accepted.includes(type)) {
      invalid(`${item.function} takes ${accepted.join(', ')}, but column ${item.column} is ${type}`, at('column'));
    }
    if ((item.function === 'lastN') !== (item.n !== undefined)) {
      invalid(item.n === undefined ? 'lastN needs n, how many values it keeps' : 'only lastN has n', at('n'));
    }
    const resolved = item.windows.map((text, position) => {
      const window = readWindow(text, item.hop);
      if (!window.ok) invalid(window.reason, at('windows', position));
      return window.ok ? { text, window: window.value } : null;
    });
    if (findings.length > found) continue;
    aggregates.push({ function: item.function, column: item.column ?? null, type, n: item.n ?? null });
    for (const [position, one] of resolved.entries()) {
      if (!one) continue;
      const path = at('windows', position);
      features.push({ name: `${item.name}_${one.text}`, type: resultTypeOf(item.function, type), column: null, path });
      windows.push({ aggregate: aggregates.length - 1, ...one.window });
    }
  }
  return { features, aggregation: { aggregates, features: windows } };
}
