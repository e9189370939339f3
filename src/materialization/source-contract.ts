import type { Engine, Source } from '../definition/definition.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { EventContract, EventLimits } from './event-decoder.js';
import { onlyJson, type PayloadFormats } from './payload-format.js';
import type { ReadPartition, TableMeaning } from './table-input.js';

/** A source: its topic, and what its events must conform to. */
export interface SourceContract extends EventContract {
  /** Revision of the registry that the contract belongs to. */
  readonly revision: number;
  /** Null for a source that is read only in batches. */
  readonly topic: string | null;
  /** How its batches are read; null if it has none. */
  readonly reading: BatchReading | null;
  /** Columns whose joined values order the events of a topic: the join keys of the source's first view. */
  readonly keyColumns: readonly string[];
  /** Views that a query computes from the events. They require nothing of a single event. */
  readonly queries: readonly ViewVersion[];
  /** The sources that those queries read as tables, by name. */
  readonly tables: ReadonlyMap<string, TableMeaning>;
}

/** How batches are read. It does not affect what they mean. */
export interface BatchReading {
  readonly engine: Engine;
  readonly partition: ReadPartition | null;
}

/** Number of parallel reads if a definition does not set it. */
const PARTITIONS = 8;

function readingOf({ batch }: Source): BatchReading | null {
  if (!batch) return null;
  const { partitionBy, partitions = PARTITIONS } = batch.jdbc ?? batch;
  return {
    engine: batch.engine ?? 'builtin',
    partition: partitionBy === undefined ? null : { column: partitionBy, count: partitions },
  };
}

/** Header of a pushed event: the registry revision that it was checked against. */
export const REVISION_HEADER = 'fstore-revision';

/** Returns the topic of the bus for a source's topic. Projects that share a bus have different prefixes. */
export function busTopic(project: string, topic: string): string {
  return `${project}.${topic}`;
}

/** Returns the name of a source's stream for other engines; it is also the consumer group of the source's topic. */
export function streamName(project: string, source: string): string {
  return `fstore.${project}.${source}`;
}

/** Returns the name under which other engines read a source's batches. */
export function batchStream(project: string, source: string): string {
  return `${streamName(project, source)}.batch`;
}

/** Returns the topic that rows of a source's batches have in history and in dead letters. */
export function batchTopic(project: string, source: string): string {
  return `${project}.${source}.batch`;
}

/** Returns the consumer name under which rows of a source's batches are written. */
export function batchConsumer(source: string): string {
  return `batch.${source}`;
}

/** Returns the topic for unusable events of a topic. */
export function deadLetterTopic(topic: string): string {
  return `${topic}.dead-letters`;
}

/** Returns the contracts of all sources, by name. `formats` decodes payloads from the bus. */
export function sourceContracts(
  snapshot: Snapshot,
  limits: EventLimits,
  formats: PayloadFormats = onlyJson,
): Map<string, SourceContract> {
  const contracts = new Map<string, SourceContract>();
  for (const record of snapshot.sources.values()) {
    // A view version is left out if its columns or tables no longer exist as it needs them.
    const all = snapshot.viewsOfSource.get(record.name) ?? [];
    const views = all.filter(
      (view) => !view.sql && view.columns.every((one) => record.meaning.schema[one.column] === one.type),
    );
    const tables = tablesOf(snapshot, all);
    const queries = all.filter((view) => view.sql?.with.every((name) => tables.has(name)));
    const first = [...views].sort((a, b) => (a.name < b.name ? -1 : 1))[0];
    contracts.set(record.name, {
      revision: snapshot.revision,
      source: record.name,
      meaning: record.meaning,
      views,
      limits,
      format: formats(record.name, record.meaning),
      reading: readingOf(record.definition),
      topic: record.meaning.topic === null ? null : busTopic(snapshot.project, record.meaning.topic),
      keyColumns: first?.keys.map((key) => key.column) ?? [],
      queries,
      tables,
    });
  }
  return contracts;
}

function tablesOf(snapshot: Snapshot, views: readonly ViewVersion[]): Map<string, TableMeaning> {
  const tables = new Map<string, TableMeaning>();
  for (const name of views.flatMap((view) => view.sql?.with ?? [])) {
    const meaning = snapshot.sources.get(name)?.meaning;
    if (meaning?.batch) tables.set(name, { ...meaning, batch: meaning.batch });
  }
  return tables;
}

/** A contract of a source that has a stream. */
export type StreamContract = SourceContract & { readonly topic: string };

/** Returns the contract of one source that has a stream. Throws SOURCE_UNKNOWN or SOURCE_NOT_PUSHABLE. */
export function contractOf(
  snapshot: Snapshot,
  source: string,
  limits: EventLimits,
  formats: PayloadFormats,
): StreamContract {
  if (!snapshot.sources.has(source))
    throw new FStoreError('SOURCE_UNKNOWN', `there is no source ${source}`, { field: 'source' });
  const contract = sourceContracts(snapshot, limits, formats).get(source);
  if (!contract || contract.topic === null) {
    throw new FStoreError('SOURCE_NOT_PUSHABLE', `source ${source} has no stream`, { field: 'source' });
  }
  return { ...contract, topic: contract.topic };
}
