/**
 * The selections of an operation in views, entities and vectors, compiled into the order in which bytes are written.
 *
 * Invariants
 * 1. Names, commas and braces are fixed when the plan is compiled. At run time only values are read.
 * 2. The output equals what graphql-js and JSON.stringify write for the same rows (test/unit/fast-lane.test.ts).
 */
import type { FieldNode, FragmentDefinitionNode, GraphQLObjectType, GraphQLSchema } from 'graphql';
import { getNamedType, isObjectType } from 'graphql';
// This is the algorithm of the specification; graphql-js exports it only here.
import { collectSubfields } from 'graphql/execution/collectFields.js';
import type { EntityKey } from '../../definition/entity-key.js';
import { type FeatureValue, type ValueType, valueToJson } from '../../definition/value-type.js';
import type { ViewVersion } from '../../definition/view-version.js';
import type { FeatureRow } from '../../retrieval/feature-row.js';
import { PackedRow } from '../../retrieval/packed-row.js';
import type { Pinned, VectorColumn, VectorPlan } from '../../retrieval/vector-plan.js';
import { EVENT_TIME, EXPANSION, LARGE_ROW, ValueTemplate } from '../../store/json-packer.js';
import { FixedBytes, type JsonWriter } from '../../store/json-writer.js';
import type { ExpressionWork } from '../../transformation/expression-budget.js';
import { STEPS_PER_TURN } from '../turns.js';
import { type FieldSource, sourceOf, type VectorInputs } from './field-source.js';

/**
 * The fast lane cannot handle this operation (at compile time) or this request (at run time). The caller falls back to
 * Apollo.
 */
export class NotPlanned extends Error {}

/** A row of a view for one of the entities in an answer. */
export type Row = PackedRow | FeatureRow;

/** The inputs for compiling one operation. */
export interface Planning {
  readonly schema: GraphQLSchema;
  readonly fragments: Readonly<Record<string, FragmentDefinitionNode>>;
  /** How many more fields may be selected. */
  room: number;
}

interface SelectedField {
  readonly name: string;
  readonly source: FieldSource;
  readonly type: GraphQLObjectType | null;
  readonly nodes: readonly FieldNode[];
}

function selectFields(planning: Planning, type: GraphQLObjectType, nodes: readonly FieldNode[]): SelectedField[] {
  const collected = collectSubfields(planning.schema, planning.fragments, {}, type, nodes);
  return [...collected].map(([name, group]) => {
    const [first] = group;
    planning.room -= 1;
    if (planning.room < 0 || !first) throw new NotPlanned('too many fields');
    const field = first.name.value;
    if (field === '__typename')
      return { name, source: { kind: 'constant', value: type.name }, type: null, nodes: group };
    const definition = type.getFields()[field];
    const source = definition && sourceOf(definition);
    if (!source) throw new NotPlanned(`${type.name}.${field} has no source`);
    if (first.arguments && first.arguments.length > 0) throw new NotPlanned(`${type.name}.${field} has arguments`);
    const of = getNamedType(definition.type);
    return { name, source, type: isObjectType(of) ? of : null, nodes: group };
  });
}

/** Collects the fixed text between values. */
class FixedText {
  #text = '{';
  #count = 0;

  /** Begins a field. */
  field(name: string): void {
    this.#text += `${this.#count === 0 ? '' : ','}"${name}":`;
    this.#count += 1;
  }

  constant(value: string | number | null): void {
    this.#text += JSON.stringify(value);
  }

  /** Returns the text before the next value. */
  take(): FixedBytes {
    const bytes = new FixedBytes(this.#text);
    this.#text = '';
    return bytes;
  }

  /** Returns the text after the last value. */
  end(): FixedBytes {
    this.#text += '}';
    return this.take();
  }
}

const NULL = new FixedBytes('null');

/** The statuses of rows as JSON. */
const STATUSES = Object.fromEntries(
  (['PRESENT', 'NOT_FOUND', 'OUTSIDE_MAX_AGE', 'FORBIDDEN', 'UNAVAILABLE'] as const).map((status) => {
    return [status, new FixedBytes(JSON.stringify(status))];
  }),
) as Record<FeatureRow['status'], FixedBytes>;
/** The last event time and its text, because rows of one batch have the same event time. */
let lastTime = Number.NaN;
let lastTimeText = NULL;

function timeText(time: number | null): FixedBytes {
  if (time === null) return NULL;
  if (time !== lastTime) {
    lastTimeText = new FixedBytes(`"${new Date(time).toISOString()}"`);
    lastTime = time;
  }
  return lastTimeText;
}

const INT32_LIMIT = 2 ** 31;

/** Writes a computed value. Throws NotPlanned for a value that GraphQL cannot represent. */
function writeValue(writer: JsonWriter, type: ValueType, value: FeatureValue): void {
  for (const item of Array.isArray(value) ? (value as readonly FeatureValue[]) : [value]) {
    if (typeof item !== 'number') continue;
    const isShown = type.startsWith('INT32')
      ? Number.isInteger(item) && item >= -INT32_LIMIT && item < INT32_LIMIT
      : Number.isFinite(item);
    if (!isShown) throw new NotPlanned(`${item} is no ${type}`);
  }
  writer.text(JSON.stringify(valueToJson(type, value)));
}

/** Copies a feature of a packed row whose values have been located. */
function copyFeature(writer: JsonWriter, { codec, bytes }: PackedRow, index: number, places: Int32Array): void {
  const { values } = codec;
  writer.reserve(bytes.length > LARGE_ROW ? values.roomOf(bytes, index, places) : EXPANSION * bytes.length + 5);
  writer.at = values.copy(bytes, index, places[index]!, writer, writer.at);
}

/** The selected fields of one view. */
export class RowPlan {
  /** Template for a packed row, whose status is PRESENT. */
  readonly #present: ValueTemplate;
  /** Template for a row without values, whose features are null. */
  readonly #absent: readonly { readonly label: FixedBytes; readonly value: 'status' | 'eventTime' }[];
  readonly #absentEnd: FixedBytes;

  constructor(planning: Planning, type: GraphQLObjectType, nodes: readonly FieldNode[]) {
    const [present, absent] = [new FixedText(), new FixedText()];
    const values: { label: FixedBytes; value: number }[] = [];
    const others: { label: FixedBytes; value: 'status' | 'eventTime' }[] = [];
    for (const { name, source } of selectFields(planning, type, nodes)) {
      present.field(name);
      absent.field(name);
      if (source.kind === 'constant') {
        present.constant(source.value);
        absent.constant(source.value);
      } else if (source.kind === 'feature') {
        values.push({ label: present.take(), value: source.index });
        absent.constant(null);
      } else if (source.kind === 'status') {
        present.constant('PRESENT');
        others.push({ label: absent.take(), value: 'status' });
      } else if (source.kind === 'eventTime') {
        values.push({ label: present.take(), value: EVENT_TIME });
        others.push({ label: absent.take(), value: 'eventTime' });
      } else throw new NotPlanned(`a view has no ${source.kind}`);
    }
    this.#present = new ValueTemplate(values, present.end());
    this.#absent = others;
    this.#absentEnd = absent.end();
  }

  /** Writes the fields of a row. Throws DamagedValue. */
  write(writer: JsonWriter, row: Row): void {
    if (row instanceof PackedRow) {
      const { codec, bytes, eventTime } = row;
      codec.values.copyAll(bytes, codec.start, this.#present, timeText(eventTime), writer);
      return;
    }
    for (const { label, value } of this.#absent) {
      writer.fixed(label);
      if (value === 'status') writer.fixed(STATUSES[row.status]);
      else writer.fixed(timeText(row.eventTime));
    }
    writer.fixed(this.#absentEnd);
  }
}

/** The selected fields of one entity. */
export class EntityPlan {
  /** The views to read for each entity. */
  readonly views: ViewVersion[] = [];
  readonly #labels: FixedBytes[] = [];
  /** For each label, the index of a join key, or the index of a view in `views` with its fields. */
  readonly #values: (number | { readonly place: number; readonly row: RowPlan })[] = [];
  readonly #end: FixedBytes;

  constructor(planning: Planning, type: GraphQLObjectType, nodes: readonly FieldNode[]) {
    const text = new FixedText();
    for (const field of selectFields(planning, type, nodes)) {
      const { name, source } = field;
      text.field(name);
      if (source.kind === 'constant') {
        text.constant(source.value);
        continue;
      }
      this.#labels.push(text.take());
      if (source.kind === 'key') this.#values.push(source.index);
      else if (source.kind === 'view' && field.type) {
        const { view } = source;
        if (!this.views.includes(view)) this.views.push(view);
        const row = new RowPlan(planning, field.type, field.nodes);
        this.#values.push({ place: this.views.indexOf(view), row });
      } else throw new NotPlanned(`an entity has no ${source.kind}`);
    }
    this.#end = text.end();
  }

  /** Writes the entity whose rows begin at index `from`. Throws DamagedValue. */
  write(writer: JsonWriter, key: EntityKey, rows: readonly Row[], from: number): void {
    const values = this.#values;
    for (let index = 0; index < values.length; index += 1) {
      writer.fixed(this.#labels[index]!);
      const value = values[index]!;
      if (typeof value === 'number') writer.string(key.parts[value]!);
      else value.row.write(writer, rows[from + value.place]!);
    }
    writer.fixed(this.#end);
  }
}

/** The selected fields of an entry of `statuses`. */
class StatusPlan {
  readonly #labels: FixedBytes[] = [];
  readonly #values: ('featureName' | 'status' | 'eventTime')[] = [];
  readonly #end: FixedBytes;

  constructor(planning: Planning, type: GraphQLObjectType, nodes: readonly FieldNode[]) {
    const text = new FixedText();
    for (const { name, source } of selectFields(planning, type, nodes)) {
      text.field(name);
      if (source.kind === 'constant') {
        text.constant(source.value);
        continue;
      }
      if (source.kind !== 'featureName' && source.kind !== 'status' && source.kind !== 'eventTime') {
        throw new NotPlanned(`a status has no ${source.kind}`);
      }
      this.#labels.push(text.take());
      this.#values.push(source.kind);
    }
    this.#end = text.end();
  }

  write(writer: JsonWriter, column: VectorColumn, rows: readonly Row[], { request, work }: VectorInputs): void {
    const { status, eventTime } = column.status(rows, request, work);
    refuseExpensive(work);
    for (const [index, value] of this.#values.entries()) {
      writer.fixed(this.#labels[index]!);
      if (value === 'featureName') writer.string(column.field);
      else if (value === 'status') writer.string(status);
      else writer.fixed(timeText(eventTime));
    }
    writer.fixed(this.#end);
  }
}

type VectorValue =
  | { readonly kind: 'joinKey'; readonly argument: string }
  | { readonly kind: 'pinned'; readonly pinned: Pinned }
  | { readonly kind: 'computed'; readonly column: VectorColumn }
  | { readonly kind: 'statuses'; readonly entry: StatusPlan };

/** The selected fields of one vector of a service. */
export class VectorSelection {
  readonly #plan: VectorPlan;
  readonly #labels: FixedBytes[] = [];
  readonly #values: VectorValue[] = [];
  readonly #end: FixedBytes;
  /** For each view that a feature is copied from, the offsets of its values; null for other views. */
  readonly #places: (Int32Array | null)[];

  constructor(planning: Planning, plan: VectorPlan, type: GraphQLObjectType, nodes: readonly FieldNode[]) {
    this.#plan = plan;
    this.#places = plan.views.map(() => null);
    const text = new FixedText();
    for (const field of selectFields(planning, type, nodes)) {
      const { name, source } = field;
      text.field(name);
      if (source.kind === 'constant') {
        text.constant(source.value);
        continue;
      }
      this.#labels.push(text.take());
      this.#values.push(this.#valueOf(planning, field));
    }
    this.#end = text.end();
  }

  #valueOf(planning: Planning, { source, type, nodes }: SelectedField): VectorValue {
    if (source.kind === 'joinKey') return source;
    if (source.kind === 'statuses' && type) {
      return { kind: 'statuses', entry: new StatusPlan(planning, type, nodes) };
    }
    if (source.kind !== 'column') throw new NotPlanned(`a vector has no ${source.kind}`);
    const { column } = source;
    if (!column.pinned) return { kind: 'computed', column };
    const { viewIndex } = column.pinned;
    this.#places[viewIndex] ??= new Int32Array(this.#plan.views[viewIndex]!.features.length);
    return { kind: 'pinned', pinned: column.pinned };
  }

  /**
   * Writes the vector whose rows (one for each view of its plan) begin at index `from`. Throws DamagedValue and
   * NotPlanned.
   */
  write(writer: JsonWriter, inputs: VectorInputs, rows: readonly Row[], from: number): void {
    const own = rows.slice(from, from + this.#plan.views.length);
    for (const [index, places] of this.#places.entries()) {
      const row = own[index];
      if (places && row instanceof PackedRow) row.codec.values.locate(row.bytes, row.codec.start, places);
    }
    for (const [index, value] of this.#values.entries()) {
      writer.fixed(this.#labels[index]!);
      if (value.kind === 'pinned') this.#copy(writer, own, value.pinned);
      else if (value.kind === 'joinKey') writer.string(inputs.keys[value.argument]!);
      else if (value.kind === 'statuses') this.#writeStatuses(writer, value.entry, inputs, own);
      else {
        writeValue(writer, value.column.type, value.column.value(own, inputs.request, inputs.work));
        refuseExpensive(inputs.work);
      }
    }
    writer.fixed(this.#end);
  }

  #copy(writer: JsonWriter, rows: readonly Row[], { viewIndex, featureIndex }: Pinned): void {
    const row = rows[viewIndex];
    if (row instanceof PackedRow) copyFeature(writer, row, featureIndex, this.#places[viewIndex]!);
    else writer.fixed(NULL);
  }

  #writeStatuses(writer: JsonWriter, entry: StatusPlan, inputs: VectorInputs, rows: readonly Row[]): void {
    const { columns } = this.#plan;
    writeList(writer, columns.length, (index) => entry.write(writer, columns[index]!, rows, inputs));
  }
}

/** Throws NotPlanned if expressions have taken so long that resolvers, which pause, have to answer the request. */
function refuseExpensive({ spent }: ExpressionWork): void {
  if (spent > STEPS_PER_TURN) throw new NotPlanned('expensive expressions');
}

/** Writes a JSON list of `count` items. */
export function writeList(writer: JsonWriter, count: number, writeItem: (index: number) => void): void {
  writer.byte(0x5b);
  for (let index = 0; index < count; index += 1) {
    if (index > 0) writer.byte(0x2c);
    writeItem(index);
  }
  writer.byte(0x5d);
}
