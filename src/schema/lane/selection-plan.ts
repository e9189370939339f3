/**
 * What an operation selects of views, entities and vectors, compiled into the order in which bytes are written.
 *
 * Invariants
 * 1. Names, commas and braces are fixed when a plan is made; while it runs only values are looked at.
 * 2. What is written is what graphql-js and JSON.stringify write for the same rows (test/unit/fast-lane.test.ts).
 */
import type { FieldNode, FragmentDefinitionNode, GraphQLObjectType, GraphQLSchema } from 'graphql';
import { getNamedType, isObjectType } from 'graphql';
// The algorithm of the specification itself, which graphql-js has in no other place.
import { collectSubfields } from 'graphql/execution/collectFields.js';
import type { EntityKey } from '../../definition/entity-key.js';
import { type FeatureValue, type ValueType, valueToJson } from '../../definition/value-type.js';
import type { ViewVersion } from '../../definition/view-version.js';
import type { FeatureRow } from '../../retrieval/feature-row.js';
import { PackedRow } from '../../retrieval/packed-row.js';
import type { Pinned, VectorColumn, VectorPlan } from '../../retrieval/vector-plan.js';
import { EXPANSION } from '../../store/json-packer.js';
import type { AnswerWriter } from './answer-writer.js';
import { type FieldSource, sourceOf, type VectorInputs } from './field-source.js';

/** Thrown while a plan is made of an operation that no plan can be made of, and while one runs that cannot answer: resolvers can. */
export class NotPlanned extends Error {}

/** A row of a view, for one of an answer's entities. */
export type Row = PackedRow | FeatureRow;

/** What plans of one operation are made from. */
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

/** Fixed text between values. */
class FixedText {
  #text = '{';
  #count = 0;

  /** Begins a field. */
  field(name: string): void {
    this.#text += `${this.#count === 0 ? '' : ','}"${name}":`;
    this.#count += 1;
  }

  constant(value: string | number): void {
    this.#text += JSON.stringify(value);
  }

  /** What stands before the next value. */
  take(): Uint8Array {
    const bytes = new TextEncoder().encode(this.#text);
    this.#text = '';
    return bytes;
  }

  /** What stands after the last value. */
  end(): Uint8Array {
    this.#text += '}';
    return this.take();
  }
}

const NULL = new TextEncoder().encode('null');

/** Event times repeat: rows of one batch have the same. */
let lastTime = Number.NaN;
let lastTimeText: Uint8Array = NULL;

function writeTime(writer: AnswerWriter, time: number | null): void {
  if (time === null) {
    writer.bytes(NULL);
    return;
  }
  if (time !== lastTime) {
    lastTimeText = new TextEncoder().encode(`"${new Date(time).toISOString()}"`);
    lastTime = time;
  }
  writer.bytes(lastTimeText);
}

const INT32_LIMIT = 2 ** 31;

/** Writes a computed value; throws NotPlanned for one that GraphQL refuses to show. */
function writeValue(writer: AnswerWriter, type: ValueType, value: FeatureValue): void {
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
function copyFeature(writer: AnswerWriter, { codec, bytes }: PackedRow, index: number, places: Int32Array): void {
  writer.reserve(EXPANSION * bytes.length + 4);
  writer.at = codec.values.copy(bytes, index, places[index]!, writer.buffer, writer.at);
}

const STATUS = -1;
const EVENT_TIME = -2;

/** The fields of one view. */
export class RowPlan {
  readonly #labels: Uint8Array[] = [];
  /** For each label the index of a feature, or STATUS or EVENT_TIME. */
  readonly #values: number[] = [];
  readonly #end: Uint8Array;
  readonly #places: Int32Array;
  readonly #readsFeatures: boolean;

  constructor(planning: Planning, view: ViewVersion, type: GraphQLObjectType, nodes: readonly FieldNode[]) {
    const text = new FixedText();
    for (const { name, source } of selectFields(planning, type, nodes)) {
      text.field(name);
      if (source.kind === 'constant') {
        text.constant(source.value);
        continue;
      }
      this.#labels.push(text.take());
      if (source.kind === 'feature') this.#values.push(source.index);
      else if (source.kind === 'status') this.#values.push(STATUS);
      else if (source.kind === 'eventTime') this.#values.push(EVENT_TIME);
      else throw new NotPlanned(`a view has no ${source.kind}`);
    }
    this.#end = text.end();
    this.#places = new Int32Array(view.features.length);
    this.#readsFeatures = this.#values.some((value) => value >= 0);
  }

  /** Throws DamagedValue. */
  write(writer: AnswerWriter, row: Row): void {
    const packed = row instanceof PackedRow ? row : null;
    if (packed && this.#readsFeatures) packed.codec.values.locate(packed.bytes, packed.codec.start, this.#places);
    const values = this.#values;
    for (let index = 0; index < values.length; index += 1) {
      writer.bytes(this.#labels[index]!);
      const value = values[index]!;
      if (value >= 0) {
        if (packed) copyFeature(writer, packed, value, this.#places);
        else writer.bytes(NULL);
      } else if (value === STATUS) writer.string(row.status);
      else writeTime(writer, row.eventTime);
    }
    writer.bytes(this.#end);
  }
}

/** The fields of one entity. */
export class EntityPlan {
  /** What has to be read for each entity. */
  readonly views: ViewVersion[] = [];
  readonly #labels: Uint8Array[] = [];
  /** For each label the index of a join key, or a view's place in `views` and its fields. */
  readonly #values: (number | { readonly place: number; readonly row: RowPlan })[] = [];
  readonly #end: Uint8Array;

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
        const row = new RowPlan(planning, view, field.type, field.nodes);
        this.#values.push({ place: this.views.indexOf(view), row });
      } else throw new NotPlanned(`an entity has no ${source.kind}`);
    }
    this.#end = text.end();
  }

  /** Writes the entity whose rows begin at `from`. Throws DamagedValue. */
  write(writer: AnswerWriter, key: EntityKey, rows: readonly Row[], from: number): void {
    const values = this.#values;
    for (let index = 0; index < values.length; index += 1) {
      writer.bytes(this.#labels[index]!);
      const value = values[index]!;
      if (typeof value === 'number') writer.string(key.parts[value]!);
      else value.row.write(writer, rows[from + value.place]!);
    }
    writer.bytes(this.#end);
  }
}

/** The fields of an entry of `statuses`. */
class StatusPlan {
  readonly #labels: Uint8Array[] = [];
  readonly #values: ('featureName' | 'status' | 'eventTime')[] = [];
  readonly #end: Uint8Array;

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

  write(writer: AnswerWriter, column: VectorColumn, rows: readonly Row[], { request }: VectorInputs): void {
    const { status, eventTime } = column.status(rows, request);
    for (const [index, value] of this.#values.entries()) {
      writer.bytes(this.#labels[index]!);
      if (value === 'featureName') writer.string(column.field);
      else if (value === 'status') writer.string(status);
      else writeTime(writer, eventTime);
    }
    writer.bytes(this.#end);
  }
}

type VectorValue =
  | { readonly kind: 'joinKey'; readonly argument: string }
  | { readonly kind: 'pinned'; readonly pinned: Pinned }
  | { readonly kind: 'computed'; readonly column: VectorColumn }
  | { readonly kind: 'statuses'; readonly entry: StatusPlan };

/** The fields of one vector of a service. */
export class VectorSelection {
  readonly #plan: VectorPlan;
  readonly #labels: Uint8Array[] = [];
  readonly #values: VectorValue[] = [];
  readonly #end: Uint8Array;
  /** For each view that a feature is copied from, where its values are; null for the others. */
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

  /** Writes the vector whose rows, one for each view of its plan, begin at `from`. Throws DamagedValue, NotPlanned. */
  write(writer: AnswerWriter, inputs: VectorInputs, rows: readonly Row[], from: number): void {
    const own = rows.slice(from, from + this.#plan.views.length);
    for (const [index, places] of this.#places.entries()) {
      const row = own[index];
      if (places && row instanceof PackedRow) row.codec.values.locate(row.bytes, row.codec.start, places);
    }
    for (const [index, value] of this.#values.entries()) {
      writer.bytes(this.#labels[index]!);
      if (value.kind === 'pinned') this.#copy(writer, own, value.pinned);
      else if (value.kind === 'joinKey') writer.string(inputs.keys[value.argument]!);
      else if (value.kind === 'statuses') this.#writeStatuses(writer, value.entry, inputs, own);
      else writeValue(writer, value.column.type, value.column.value(own, inputs.request));
    }
    writer.bytes(this.#end);
  }

  #copy(writer: AnswerWriter, rows: readonly Row[], { viewIndex, featureIndex }: Pinned): void {
    const row = rows[viewIndex];
    if (row instanceof PackedRow) copyFeature(writer, row, featureIndex, this.#places[viewIndex]!);
    else writer.bytes(NULL);
  }

  #writeStatuses(writer: AnswerWriter, entry: StatusPlan, inputs: VectorInputs, rows: readonly Row[]): void {
    const { columns } = this.#plan;
    writeList(writer, columns.length, (index) => entry.write(writer, columns[index]!, rows, inputs));
  }
}

/** Writes a JSON list of `count` items. */
export function writeList(writer: AnswerWriter, count: number, writeItem: (index: number) => void): void {
  writer.byte(0x5b);
  for (let index = 0; index < count; index += 1) {
    if (index > 0) writer.byte(0x2c);
    writeItem(index);
  }
  writer.byte(0x5d);
}
