/**
 * Examines the data of a source before anything relies on it: what the data contains, how a definition could read it,
 * and which of it an existing definition refuses.
 *
 * Boundary: reads a sample, writes nothing, joins no consumer group. Its results need not hold for the rest of the
 * data.
 */
import type { EventBus } from '../bus/event-bus.js';
import { type ColumnProfile, profileColumns } from '../definition/column-profile.js';
import { parseDefinitions, planDefinitions } from '../definition/plan.js';
import type { ReservedNames } from '../definition/schema-names.js';
import {
  definitionsYaml,
  draftSource,
  finding,
  type KnownNames,
  type SourceDraft,
  type SourceFinding,
} from '../definition/source-draft.js';
import { TOPIC_NAME, TOPIC_RULE } from '../definition/stream-schema.js';
import { FStoreError } from '../errors.js';
import { createSnapshot, type Snapshot } from '../registry/snapshot.js';
import type { QueryReader } from '../store/query-reader.js';
import { computation } from '../transformation/computation.js';
import { type LocalBatch, localBatch, pathWithin } from './batch-path.js';
import type { EventLimits } from './event-decoder.js';
import type { PayloadFormats } from './payload-format.js';
import { Slots } from './slots.js';
import { compareColumns, compareEvents, type DeclaredRows, readDeclared } from './source-comparison.js';
import { type SourceContract, sourceContracts } from './source-contract.js';
import { parsePayload, type SourceSample, sampleFile, sampleQuery, sampleTopic } from './source-sample.js';

/** What to examine: exactly one of these. */
export interface SourceCheckRequest {
  /** Name of a declared source. */
  readonly source?: string | undefined;
  /** Definitions that are not applied yet; their sources are examined. */
  readonly definitions?: readonly unknown[] | undefined;
  readonly topic?: string | undefined;
  readonly table?: string | undefined;
  readonly query?: string | undefined;
  /** A path within the folder of batch files. */
  readonly file?: string | undefined;
  /** Maximum number of records to read. */
  readonly sample: number;
}

/** A column of the examined data. */
export interface CheckedColumn {
  readonly name: string;
  /** The type that its values suggest. */
  readonly type: string;
  /** The type that the source declares; null if it declares none. */
  readonly declaredType: string | null;
  readonly nulls: number;
  readonly role: 'eventTime' | 'joinKey' | null;
}

/** The result for one origin of a source's data. */
export interface SourceCheckReport {
  /** Name of the declared source, or the name in the draft. */
  readonly source: string;
  readonly declared: boolean;
  readonly origin: string;
  /** Number of records that were examined. */
  readonly sampled: number;
  /** Number of records that would become dead letters; null if no source is declared. */
  readonly unusable: number | null;
  readonly columns: readonly CheckedColumn[];
  readonly findings: readonly SourceFinding[];
  /** A definition file; null if the data is too little for a draft. */
  readonly draft: string | null;
}

/** The dependencies of a SourceChecker. */
export interface SourceCheckerOptions {
  readonly bus: EventBus;
  readonly queries: QueryReader;
  /** Folder of batch files. */
  readonly folder: string;
  readonly limits: EventLimits;
  readonly reserved: ReservedNames;
  readonly formats: PayloadFormats;
  readonly now: () => number;
}

const MAX_SAMPLE = 10_000;
/** Checks that run at the same time, and that wait for them. */
const CHECKS = 4;
const MAX_WAITING = 50;
/** Why nothing of a declared source could be looked at: that is what the report says then. */
const UNREAD: ReadonlySet<string> = new Set(['SOURCE_UNREADABLE', 'TABLE_TOO_LARGE']);

/** Returns the report on a sample of undeclared data. */
export function draftReport(
  sample: SourceSample,
  known: KnownNames,
): { report: SourceCheckReport; draft: SourceDraft } {
  const { origin, title, input, records } = sample;
  const columns = profileColumns(records, sample.columns, sample.typed);
  const draft = draftSource({ title, input, columns, records: records.length, known });
  const empty = finding('error', 'SAMPLE_EMPTY', `${origin} holds no record`);
  const report = {
    source: draft.name,
    declared: false,
    origin,
    sampled: sample.payloads.length || records.length,
    unusable: null,
    columns: columns.map((column) => describe(column, null, draft)),
    findings: [...sample.findings, ...(records.length > 0 ? draft.findings : [empty])],
    draft: records.length > 0 && draft.definitions.length > 0 ? definitionsYaml(draft.definitions) : null,
  };
  return { report, draft };
}

function describe(
  { name, type, nulls }: ColumnProfile,
  declaredType: string | null,
  draft: SourceDraft,
): CheckedColumn {
  const role = name === draft.timestamp ? 'eventTime' : name === draft.key ? 'joinKey' : null;
  return { name, type, declaredType, nulls, role };
}

/** Returns the declared names of a snapshot. */
function knownNames({ entities, sources, currentViews }: Snapshot): KnownNames {
  return {
    entities: [...entities.values()].map(({ name, meaning }) => ({ name, joinKeys: meaning.joinKeys })),
    sources: [...sources.keys()],
    views: [...currentViews.keys()],
  };
}

/** Runs source checks, one after the other. */
export class SourceChecker {
  readonly #options: SourceCheckerOptions;
  /** A check may read a file, open a consumer or run a slow query, so only some checks run at the same time. */
  readonly #slots = new Slots(CHECKS, MAX_WAITING);

  constructor(options: SourceCheckerOptions) {
    this.#options = options;
  }

  /**
   * Examines what the request names. A source with a stream and a batch gets a report for each. Throws BAD_REQUEST,
   * SOURCE_UNKNOWN, SOURCE_UNREADABLE, QUERY_TIMEOUT, SQL_QUERIES_OFF, OVERLOADED, issues of definitions, and errors of
   * stores.
   */
  check(snapshot: Snapshot, request: SourceCheckRequest): Promise<SourceCheckReport[]> {
    return this.#slots.run(() => this.#check(snapshot, request));
  }

  async #check(snapshot: Snapshot, request: SourceCheckRequest): Promise<SourceCheckReport[]> {
    const { source, definitions, sample } = request;
    if (!Number.isInteger(sample) || sample < 1 || sample > MAX_SAMPLE) {
      throw new FStoreError('BAD_REQUEST', `sample is ${sample}; it lies between 1 and ${MAX_SAMPLE}`, {
        field: 'sample',
      });
    }
    const { sample: _, ...given } = request;
    const named = Object.values(given).filter((value) => value !== undefined && value !== null).length;
    if (named !== 1) {
      const message = `name one of source, definitions, topic, table, query and file; there are ${named}`;
      throw new FStoreError('BAD_REQUEST', message, { field: 'input' });
    }
    if (source !== undefined) return this.#checkDeclared(snapshot, source, sample);
    if (definitions === undefined) return [await this.#checkNew(snapshot, request)];
    const planned = this.#planned(snapshot, definitions);
    const reports: SourceCheckReport[] = [];
    for (const name of planned.sources) reports.push(...(await this.#checkDeclared(planned.snapshot, name, sample)));
    return reports;
  }

  /** Returns the project as it would be with these definitions. */
  #planned(snapshot: Snapshot, inputs: readonly unknown[]): { snapshot: Snapshot; sources: string[] } {
    const definitions = parseDefinitions(inputs);
    const { reserved } = this.#options;
    const { records } = planDefinitions(snapshot.records, definitions, {
      prune: false,
      retire: [],
      reserved,
      computation,
    });
    const { project, revision } = snapshot;
    return {
      snapshot: createSnapshot({ project, revision, records }, snapshot),
      sources: definitions.flatMap((one) => (one.kind === 'source' ? [one.name] : [])),
    };
  }

  async #checkNew(snapshot: Snapshot, request: SourceCheckRequest): Promise<SourceCheckReport> {
    const { report, draft } = draftReport(await this.#sampleNew(snapshot, request), knownNames(snapshot));
    try {
      // Report problems of the draft now instead of at the apply, for instance a name that is already in use.
      this.#planned(snapshot, draft.definitions);
      return report;
    } catch (error) {
      if (!(error instanceof FStoreError)) throw error;
      const issues = error.issues.length > 0 ? error.issues : [error];
      const refused = issues.map(({ code, message }) => finding('error', code, message));
      return { ...report, findings: [...report.findings, ...refused] };
    }
  }

  #sampleNew({ project }: Snapshot, { topic, table, query, file, sample }: SourceCheckRequest): Promise<SourceSample> {
    const { bus, queries, folder } = this.#options;
    if (topic !== undefined) {
      if (!TOPIC_NAME.test(topic)) {
        throw new FStoreError('BAD_REQUEST', `topic: ${TOPIC_RULE}`, { field: 'topic' });
      }
      const own = topic.startsWith(`${project}.`) ? topic.slice(project.length + 1) : topic;
      return sampleTopic(bus, project, own, sample);
    }
    if (table !== undefined) return sampleQuery(queries, { table }, sample);
    if (query !== undefined) return sampleQuery(queries, { query }, sample);
    return sampleFile(pathWithin(folder, file!, null, 'file'), file!, sample, null, { within: folder, field: 'file' });
  }

  async #checkDeclared(snapshot: Snapshot, name: string, count: number): Promise<SourceCheckReport[]> {
    const { limits, formats } = this.#options;
    const contract = sourceContracts(snapshot, limits, formats).get(name);
    if (!contract) {
      throw new FStoreError('SOURCE_UNKNOWN', `there is no source ${name.slice(0, 80)}`, { field: 'source' });
    }
    const { batch, topic } = contract.meaning;
    const reports: SourceCheckReport[] = [];
    if (topic !== null) {
      const sample = () => sampleTopic(this.#options.bus, snapshot.project, topic, count, contract.format);
      reports.push(await this.#report(snapshot, contract, `topic ${topic}`, sample));
    }
    const local = batch && localBatch(batch);
    if (local) {
      const read = await readDeclared(contract.meaning, local, count, this.#options);
      const origin = 'query' in local ? 'a query of PostgreSQL' : `${local.format} file ${local.path}`;
      const found = await this.#report(snapshot, contract, origin, () => this.#sampleBatch(local, count), read);
      reports.push(found);
    } else if (batch) {
      const origin = 'query' in batch ? `a query of ${batch.connection}` : `${batch.format} ${batch.path}`;
      const message = `${origin} is read by Spark only, so nothing of it was looked at`;
      const cure = `\`fstore materialize ${name}\` reads it, and says what is wrong with it.`;
      reports.push(unseen(name, origin, finding('warning', 'SOURCE_UNREADABLE', message, { cure })));
    }
    if (reports.length === 0) {
      const message = `source ${name} has neither a stream nor a batch: nothing comes in`;
      reports.push(unseen(name, 'nothing', finding('warning', 'SOURCE_NOT_PUSHABLE', message)));
    }
    return reports;
  }

  #sampleBatch(batch: LocalBatch, count: number): Promise<SourceSample> {
    const { queries, folder } = this.#options;
    if ('query' in batch) return sampleQuery(queries, batch, count);
    const place = { within: folder, field: 'batch' };
    return sampleFile(pathWithin(folder, batch.path, batch.format), batch.path, count, batch.format, place);
  }

  /**
   * Compares a sample with the declared source. `read` holds the rows of a batch as a materialization would read them.
   */
  async #report(
    snapshot: Snapshot,
    contract: SourceContract,
    origin: string,
    take: () => Promise<SourceSample>,
    read?: DeclaredRows,
  ): Promise<SourceCheckReport> {
    const { source, meaning } = contract;
    const head = { source, declared: true };
    let sample: SourceSample;
    try {
      sample = await take();
    } catch (error) {
      if (!(error instanceof FStoreError) || !UNREAD.has(error.code)) throw error;
      return unseen(source, origin, finding('error', error.code, error.message));
    }
    const { records } = sample;
    const columns = profileColumns(records, sample.columns, sample.typed);
    const draft = draftSource({
      title: source,
      input: sample.input,
      columns,
      records: records.length,
      known: knownNames(snapshot),
    });
    const events = read
      ? read.rows
      : sample.payloads.map((payload) => parsePayload(payload, contract.format) ?? undefined);
    const compared = compareEvents(contract, events, this.#options.now());
    const findings = [...sample.findings, ...compared.findings];
    if (records.length === 0) findings.push(finding('warning', 'SAMPLE_EMPTY', `${sample.origin} holds no record`));
    else findings.push(...compareColumns(meaning.schema, columns, read !== undefined));
    if (read?.refused) {
      const cure = 'Correct the data or the declared type; until then, `fstore materialize` ends at this row.';
      findings.push(finding('error', 'SOURCE_UNREADABLE', read.refused, { cure }));
    }
    const roles = { ...draft, timestamp: meaning.timestamp, key: null };
    const keys = new Set(contract.views.flatMap((view) => view.keys.map((key) => key.column)));
    return {
      ...head,
      origin: sample.origin,
      sampled: sample.payloads.length || records.length,
      unusable: compared.unusable,
      columns: columns.map((column) => {
        const found = describe(column, meaning.schema[column.name] ?? null, roles);
        return keys.has(column.name) ? { ...found, role: 'joinKey' as const } : found;
      }),
      findings,
      draft: draft.definitions.length > 0 && records.length > 0 ? definitionsYaml(draft.definitions) : null,
    };
  }
}

/** Returns the report on a source whose data could not be examined, with the reason. */
function unseen(source: string, origin: string, why: SourceFinding): SourceCheckReport {
  return { source, declared: true, origin, sampled: 0, unusable: null, columns: [], findings: [why], draft: null };
}
