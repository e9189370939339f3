/** One revision of the registry, indexed for serving and computing. */
import type { Consumer, Entity, FeatureService, Source } from '../definition/definition.js';
import type {
  ConsumerMeaning,
  DefinitionRecord,
  EntityMeaning,
  ServiceMeaning,
  SourceMeaning,
} from '../definition/definition-record.js';
import { resolveView, type ViewVersion } from '../definition/view-version.js';
import type { RegistryState } from './registry.js';

/** A record of an entity. */
export type EntityRecord = DefinitionRecord<Entity, EntityMeaning>;
/** A record of a source. */
export type SourceRecord = DefinitionRecord<Source, SourceMeaning>;
/** A record of a feature service. */
export type ServiceRecord = DefinitionRecord<FeatureService, ServiceMeaning>;
/** A record of a consumer. */
export type ConsumerRecord = DefinitionRecord<Consumer, ConsumerMeaning>;

/** The definitions of a project at one revision, with indexes. */
export interface Snapshot {
  readonly project: string;
  readonly revision: number;
  readonly records: readonly DefinitionRecord[];
  /** The current version of each, by name. */
  readonly entities: ReadonlyMap<string, EntityRecord>;
  readonly sources: ReadonlyMap<string, SourceRecord>;
  readonly services: ReadonlyMap<string, ServiceRecord>;
  readonly consumers: ReadonlyMap<string, ConsumerRecord>;
  /** Every active version of every view, by `name@version`. */
  readonly views: ReadonlyMap<string, ViewVersion>;
  /** The current version of each view, by name. */
  readonly currentViews: ReadonlyMap<string, ViewVersion>;
  readonly viewsOfEntity: ReadonlyMap<string, readonly ViewVersion[]>;
  readonly viewsOfSource: ReadonlyMap<string, readonly ViewVersion[]>;
}

function append<T>(map: Map<string, T[]>, key: string, item: T): void {
  const list = map.get(key);
  if (list) list.push(item);
  else map.set(key, [item]);
}

const texts = new WeakMap<DefinitionRecord, string>();

function textOf(record: DefinitionRecord): string {
  let text = texts.get(record);
  if (text === undefined) {
    text = JSON.stringify([record.version, record.active, record.fingerprint, record.definition]);
    texts.set(record, text);
  }
  return text;
}

/**
 * Indexes a state of the registry in one pass over its records. Unchanged records and views are the same objects as in
 * `previous`, so caches that use them as keys stay valid across revisions.
 */
export function createSnapshot(state: RegistryState, previous?: Snapshot): Snapshot {
  const idOf = ({ kind, name, version }: DefinitionRecord): string => `${kind}/${name}@${version}`;
  const earlier = new Map(previous?.records.map((record) => [idOf(record), record]));
  const records = state.records.map((record) => {
    const before = earlier.get(idOf(record));
    return before && (before === record || textOf(before) === textOf(record)) ? before : record;
  });
  const newest = new Map<string, DefinitionRecord>();
  const active = records.filter((record) => record.active);
  for (const record of active) {
    const id = `${record.kind}/${record.name}`;
    if ((newest.get(id)?.version ?? 0) < record.version) newest.set(id, record);
  }
  const currentOf = <R>(kind: DefinitionRecord['kind']): Map<string, R> =>
    new Map([...newest.values()].filter((record) => record.kind === kind).map((record) => [record.name, record as R]));

  const views = new Map<string, ViewVersion>();
  const currentViews = new Map<string, ViewVersion>();
  const viewsOfEntity = new Map<string, ViewVersion[]>();
  const viewsOfSource = new Map<string, ViewVersion[]>();
  for (const record of active) {
    if (record.kind !== 'featureView') continue;
    const view = resolveView(record, newest.get(`${record.kind}/${record.name}`) === record);
    views.set(view.id, view);
    if (view.current) currentViews.set(view.name, view);
    append(viewsOfEntity, view.entity, view);
    append(viewsOfSource, view.source, view);
  }
  return {
    project: state.project,
    revision: state.revision,
    records,
    entities: currentOf<EntityRecord>('entity'),
    sources: currentOf<SourceRecord>('source'),
    services: currentOf<ServiceRecord>('featureService'),
    consumers: currentOf<ConsumerRecord>('consumer'),
    views,
    currentViews,
    viewsOfEntity,
    viewsOfSource,
  };
}
