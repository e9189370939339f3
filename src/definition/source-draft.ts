/**
 * Drafts definitions for undeclared data: a source, the entity that it is probably about, and a view of its columns.
 *
 * Boundary: pure. The draft reports every doubt about its guesses as an issue, for the person who applies it.
 */
import { ERRORS, type ErrorCode } from '../errors.js';
import { type ColumnProfile, isTimeName } from './column-profile.js';
import { camelCase } from './graphql-name.js';
import type { KeyType } from './value-type.js';

/** One issue of data, or of its declaration. */
export interface SourceFinding {
  /** An error makes the data unusable. A warning needs human judgement. */
  readonly severity: 'error' | 'warning';
  readonly code: ErrorCode;
  readonly column: string | null;
  /** The number of affected records in the sample; null if the issue is not about single records. */
  readonly count: number | null;
  readonly message: string;
  readonly cure: string;
}

/** The part of a source definition that says where its data comes from. */
export type SourceInput =
  | { readonly stream: { readonly topic: string } }
  | { readonly batch: Readonly<Record<string, string>> };

/** The names that are declared already, so that the draft reuses or avoids them. */
export interface KnownNames {
  readonly entities: readonly {
    readonly name: string;
    readonly joinKeys: readonly { readonly name: string; readonly type: string }[];
  }[];
  readonly sources: readonly string[];
  readonly views: readonly string[];
}

/** The profile of a sample, and where it comes from. */
export interface DraftRequest {
  /** The name of the topic, file or table that holds the data. */
  readonly title: string;
  readonly input: SourceInput;
  readonly columns: readonly ColumnProfile[];
  readonly records: number;
  readonly known: KnownNames;
}

/** Drafted definitions, with the columns chosen for time and key. */
export interface SourceDraft {
  readonly name: string;
  readonly timestamp: string | null;
  readonly key: string | null;
  readonly findings: readonly SourceFinding[];
  /** Definitions for `fstore apply`. Empty if no column can be the event time, which every source needs. */
  readonly definitions: readonly Readonly<Record<string, unknown>>[];
}

const NAME = /^[a-z](?:_?[a-z0-9])*$/;
const MAX_NAME = 58;
const MAX_FEATURES = 900;
const KEY_TYPES = new Set<string>(['STRING', 'INT32', 'INT64']);
const KEY_NAME = /^(.+?)_(?:id|key|uuid|code|number|no)$/;
const THINGS =
  /^(?:user|customer|account|client|member|patient|device|sensor|merchant|seller|card|session|item|product|store|driver|vehicle|company)$/;
/** Identifiers of the event itself, which cannot be join keys of an entity. */
const OWN_KEY = /^(?:event|message|request|row|record|log|trace)_(?:id|key|uuid)$|^(?:id|uuid|offset|sequence)$/;
const TIME_NAMES = [
  'event_time',
  'event_timestamp',
  'occurred_at',
  'happened_at',
  'timestamp',
  'ts',
  'time',
  'at',
  'created_at',
];
/** Fields that every view has besides its features. */
const VIEW_FIELDS = new Set(['eventTime', 'status', 'version']);

/** Returns an issue with the hint of its code, or with the one in `details`. */
export function finding(
  severity: SourceFinding['severity'],
  code: ErrorCode,
  message: string,
  details: { readonly column?: string; readonly count?: number; readonly cure?: string } = {},
): SourceFinding {
  const { column = null, count = null, cure = ERRORS[code].cure } = details;
  return { severity, code, column, count, message, cure };
}

/** Returns the valid definition name that is closest to a text. */
export function nameOf(text: string): string {
  const name = text
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^[_0-9]+|_+$/g, '')
    .slice(0, MAX_NAME)
    .replace(/_+$/, '');
  return name || 'events';
}

function free(name: string, taken: ReadonlySet<string>): string {
  if (!taken.has(name)) return name;
  for (let number = 2; ; number += 1) if (!taken.has(`${name}_${number}`)) return `${name}_${number}`;
}

function singular(name: string): string {
  return name.length > 3 && name.endsWith('s') && !name.endsWith('ss') ? name.slice(0, -1) : name;
}

function pickTime(columns: readonly ColumnProfile[]): ColumnProfile | null {
  const rank = ({ name, nulls }: ColumnProfile): number => {
    const listed = TIME_NAMES.indexOf(name);
    return (nulls > 0 ? 1_000 : 0) + (listed >= 0 ? listed : isTimeName(name) ? 100 : 200);
  };
  return columns.filter(({ type }) => type === 'TIMESTAMP').sort((a, b) => rank(a) - rank(b))[0] ?? null;
}

/** Returns how likely a column is the join key of an entity with features; 0 or less: not at all. */
function keyScore(column: ColumnProfile, { title, records, known }: DraftRequest): number {
  const { name, type, nulls, distinct } = column;
  if (!KEY_TYPES.has(type) || nulls === records) return 0;
  const isKnown = known.entities.some(({ joinKeys }) => joinKeys.length === 1 && joinKeys[0]!.name === name);
  const thing = KEY_NAME.exec(name)?.[1];
  const isOwn = OWN_KEY.test(name) || (thing !== undefined && thing === singular(nameOf(title)));
  const looks = (isKnown ? 8 : 0) + (thing ? 4 : 0) + (THINGS.test(thing ?? name) ? 2 : 0) + (name === 'id' ? 2 : 0);
  if (looks === 0) return 0;
  const repeats = records > 1 && distinct < records - nulls ? 1 : 0;
  return looks + repeats - (nulls > 0 ? 3 : 0) - (isOwn && !isKnown && !repeats ? 5 : 0);
}

function troubles({ columns, input }: DraftRequest): SourceFinding[] {
  const isStream = 'stream' in input;
  return columns.flatMap(({ name, trouble }): SourceFinding[] => {
    const found: SourceFinding[] = [];
    if (!isUsableName(name)) {
      const rest = isStream ? 'every event that has it is a dead letter' : 'it is left out';
      const message = `${name} is no name that a column can have: ${rest}`;
      found.push(finding(isStream ? 'error' : 'warning', 'COLUMN_NAME_INVALID', message, { column: name }));
    }
    if (trouble === 'mixed') {
      const message = `${name} holds objects, or values of different types, which no one type takes`;
      found.push(finding(isStream ? 'error' : 'warning', 'COLUMN_TYPE_UNKNOWN', message, { column: name }));
    } else if (trouble === 'epoch') {
      const message = `${name} looks like a time as a number; numbers are read as times in JSON and CSV only, as milliseconds since 1970`;
      found.push(finding('warning', 'TIME_FORMAT_UNKNOWN', message, { column: name }));
    } else if (trouble === 'zoneless') {
      const message = `${name} looks like times without a zone, which are refused as TIMESTAMP`;
      found.push(finding('warning', 'TIME_FORMAT_UNKNOWN', message, { column: name }));
    }
    return found;
  });
}

/** Returns true if a column of a source can have this name. */
export function isUsableName(name: string): boolean {
  return name.length <= MAX_NAME && NAME.test(name);
}

/** Drafts definitions for a sample. */
export function draftSource(request: DraftRequest): SourceDraft {
  const { title, input, known } = request;
  const findings = troubles(request);
  const usable = request.columns.filter(({ name, trouble }) => isUsableName(name) && trouble !== 'mixed');
  const name = free(nameOf(title), new Set(known.sources));
  const time = pickTime(usable);
  if (!time) {
    const message = 'no column looks like the time at which an event happened, which every source has';
    return {
      name,
      timestamp: null,
      key: null,
      definitions: [],
      findings: [...findings, finding('error', 'TIME_COLUMN_UNKNOWN', message)],
    };
  }
  if (time.nulls > 0) {
    const message = `${time.name} is null in ${time.nulls} of ${request.records} records, which become dead letters`;
    findings.push(finding('warning', 'EVENT_TIME_MISSING', message, { column: time.name, count: time.nulls }));
  }
  const schema = Object.fromEntries(usable.map((column) => [column.name, column.type]));
  const source = { kind: 'source', name, schema, timestamp: time.name, ...input };
  const scored = usable
    .map((column) => ({ column, score: keyScore(column, request) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score);
  const key = scored[0]?.column;
  if (!key) {
    const message = 'no column looks like the key of something that has features: the draft has no entity and no view';
    findings.push(finding('warning', 'KEY_COLUMN_UNKNOWN', message));
    return { name, timestamp: time.name, key: null, definitions: [source], findings };
  }
  if (key.nulls > 0) {
    const message = `${key.name} is null in ${key.nulls} of ${request.records} records, which become dead letters`;
    findings.push(finding('warning', 'EVENT_KEY_MISSING', message, { column: key.name, count: key.nulls }));
  }
  const others = scored.slice(1).map(({ column }) => column.name);
  if (others.length > 0) {
    const message = `${others.join(', ')} ${others.length > 1 ? 'look' : 'looks'} like a join key too; the draft takes ${key.name}`;
    findings.push(
      finding('warning', 'KEY_COLUMN_UNKNOWN', message, {
        cure: 'Declare an entity and a view for each thing that has features.',
      }),
    );
  }
  const { entity, isNew } = entityOf(key, request);
  const features = usable
    .filter((column) => column !== time && column !== key)
    .slice(0, MAX_FEATURES)
    .map((column) => {
      const field = camelCase(column.name);
      return VIEW_FIELDS.has(field) ? { name: column.name, graphql: `${field}Value` } : column.name;
    });
  const view = {
    kind: 'featureView',
    name: free(`${entity}_${name}`.slice(0, MAX_NAME).replace(/_+$/, ''), new Set(known.views)),
    entity,
    source: name,
    ...(features.length > 0
      ? { features }
      : { aggregations: [{ name: 'events', function: 'count', windows: ['1h', '24h'] }] }),
  };
  const joinKeys = [{ name: key.name, type: key.type as KeyType }];
  const definitions = [...(isNew ? [{ kind: 'entity', name: entity, joinKeys }] : []), source, view];
  return { name, timestamp: time.name, key: key.name, definitions, findings };
}

/** Returns the entity of a join key: a declared one, or a new one. */
function entityOf(key: ColumnProfile, { title, known }: DraftRequest): { entity: string; isNew: boolean } {
  const declared = known.entities.find(({ joinKeys }) => {
    return joinKeys.length === 1 && joinKeys[0]!.name === key.name && joinKeys[0]!.type === key.type;
  });
  if (declared) return { entity: declared.name, isNew: false };
  const wanted = KEY_NAME.exec(key.name)?.[1] ?? (key.name === 'id' ? singular(nameOf(title)) : key.name);
  return { entity: free(wanted, new Set(known.entities.map(({ name }) => name))), isNew: true };
}

/** Returns a YAML scalar. It quotes text that YAML would read as another type. */
function word(value: unknown): string {
  const text = String(value);
  return typeof value !== 'string' ||
    (/^[A-Za-z][A-Za-z0-9_]*$/.test(text) && !/^(?:null|true|false|yes|no|on|off|y|n)$/i.test(text))
    ? text
    : JSON.stringify(text);
}

function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return word(value);
  return `{ ${Object.entries(value)
    .map(([name, item]) => `${word(name)}: ${inline(item)}`)
    .join(', ')} }`;
}

const LINE = 100;

/** Returns definitions as the text of a YAML definition file. */
export function definitionsYaml(definitions: readonly Readonly<Record<string, unknown>>[]): string {
  const field = (name: string, value: unknown): string => {
    const line = `${word(name)}: ${inline(value)}`;
    if (line.length <= LINE || typeof value !== 'object' || value === null) return line;
    const items = Array.isArray(value)
      ? value.map((item) => `  - ${inline(item)}`)
      : Object.entries(value).map(([key, item]) => `  ${word(key)}: ${inline(item)}`);
    return [`${word(name)}:`, ...items].join('\n');
  };
  return definitions
    .map(
      (definition) =>
        `${Object.entries(definition)
          .map(([name, value]) => field(name, value))
          .join('\n')}\n`,
    )
    .join('---\n');
}
