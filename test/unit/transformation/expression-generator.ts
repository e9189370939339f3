/** Writes random expressions with the right types, of every function, method, operator and macro that the checker knows. */
import type { ValueType } from '../../../src/definition/value-type.js';
import type { ExpressionInput } from '../../../src/transformation/expression.js';
import { FUNCTIONS, METHODS, type Overload } from '../../../src/transformation/expression-function.js';
import type { ExpressionScalar, ExpressionType } from '../../../src/transformation/expression-type.js';
import type { SeededRandom } from '../fakes/seeded-random.js';

/** The inputs of generated expressions. */
export const GENERATED_INPUTS = [
  { name: 'text', type: 'STRING' },
  { name: 'request.text', type: 'STRING' },
  { name: 'part', type: 'STRING' },
  { name: 'tags', type: 'STRING[]' },
  { name: 'numbers', type: 'FLOAT64[]' },
  { name: 'small', type: 'INT32[]' },
  { name: 'big', type: 'INT64[]' },
  { name: 'x', type: 'FLOAT64' },
  { name: 'n', type: 'INT64' },
  { name: 'flag', type: 'BOOL' },
  { name: 'at', type: 'TIMESTAMP' },
] as const satisfies readonly ExpressionInput[];

/** The types of results, with their types in expressions. */
export const RESULTS: readonly (readonly [ValueType, ExpressionType])[] = [
  ['STRING', 'string'],
  ['INT64', 'int'],
  ['INT32', 'int'],
  ['FLOAT64', 'double'],
  ['BOOL', 'bool'],
  ['TIMESTAMP', 'timestamp'],
  ['STRING[]', 'list<string>'],
  ['INT64[]', 'list<int>'],
  ['FLOAT64[]', 'list<double>'],
  ['BOOL[]', 'list<bool>'],
];

const LEAVES: Readonly<Record<string, readonly string[]>> = {
  string: ['text', 'request.text', 'part', '""', '"a"', '"ab"', '","', '"é😀"', `"${'a'.repeat(40)}"`],
  int: ['n', '0', '1', '-1', '3', '9223372036854775807', 'size(text)', 'tags.size()'],
  double: ['x', '0.0', '1.5', '-2.25', '1e308'],
  bool: ['flag', 'true', 'false'],
  timestamp: ['at', 'timestamp(0)', 'timestamp("2026-01-02T03:04:05Z")'],
  null: ['null'],
  duration: ['duration("90m")', 'duration("-1h30s")', '(at - timestamp(0))'],
  'list<string>': ['tags', '["a", "b", "a"]', 'text.split("")', 'text.split(part)'],
  'list<int>': ['small', 'big', '[1, 2, 3]'],
  'list<double>': ['numbers', '[0.5, 1.5]'],
  'list<bool>': ['[true, false]', '[flag]'],
  'list<timestamp>': ['[at, timestamp(0)]'],
  'list<duration>': ['[duration("1s")]'],
  'list<null>': ['[null]'],
};
const SCALARS: readonly ExpressionScalar[] = ['string', 'int', 'double', 'bool'];
const ORDERS = ['<', '<=', '>', '>='];

interface Producer {
  readonly name: string;
  readonly isMethod: boolean;
  readonly overload: Overload;
}

const PRODUCERS: readonly Producer[] = [
  ...[...FUNCTIONS].map(([name, overloads]) => ({ name, overloads, isMethod: false })),
  ...[...METHODS].map(([name, overloads]) => ({ name, overloads, isMethod: true })),
].flatMap(({ name, overloads, isMethod }) => overloads.map((overload) => ({ name, isMethod, overload })));

/** All names that a generator of enough expressions uses. */
export const KNOWN_NAMES: readonly string[] = [...new Set(PRODUCERS.map(({ name }) => name))].sort();

export class ExpressionGenerator {
  /** Names of the functions and methods in the expressions so far. */
  readonly used = new Set<string>();
  readonly #random: SeededRandom;
  /** The variable of the macro around, by its type. */
  #variable: ExpressionScalar | null = null;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** Returns an expression of the type `type` with at most `depth` levels of operations. */
  write(type: ExpressionType, depth: number): string {
    if (depth === 0) return this.#leaf(type);
    const of = (other: ExpressionType): string => this.write(other, depth - 1);
    const item = type.startsWith('list<') ? (type.slice(5, -1) as ExpressionScalar) : null;
    const forms: (() => string)[] = [
      () => this.#leaf(type),
      () => this.#call(type, depth),
      () => this.#call(type, depth),
      () => this.#call(type, depth),
      () => `(${of('bool')} ? ${of(type)} : ${of(type)})`,
      () => `coalesce(${of(type)}, ${of(type)})`,
    ];
    if (item) {
      forms.push(
        () => `(${of(type)} + ${of(type)})`,
        () => `[${of(item)}, ${of(item)}, ${of(item)}]`,
      );
      if (!this.#variable) {
        const from = this.#pick(SCALARS);
        forms.push(
          () => `${of(`list<${from}>`)}.map(v, ${this.#within(from, item, depth)})`,
          () => `${of(type)}.filter(v, ${this.#within(item, 'bool', depth)})`,
          () =>
            `${of(`list<${from}>`)}.map(v, ${this.#within(from, 'bool', depth)}, ${this.#within(from, item, depth)})`,
        );
      }
    }
    if (type === 'string') forms.push(() => `(${of('string')} + ${of('string')})`);
    if (type === 'int' || type === 'double') {
      const operator = this.#pick(type === 'int' ? ['+', '-', '*', '/', '%'] : ['+', '-', '*', '/']);
      forms.push(
        () => `(${of(type)} ${operator} ${of(type)})`,
        () => `-(${of(type)})`,
        () => `${this.#pick(['min', 'max'])}(${of(type)}, ${of(type)})`,
        () => `${this.#pick(['min', 'max'])}(${of(`list<${type}>`)})`,
        () => `clip(${of(type)}, ${of(type)}, ${of(type)})`,
        () => `${of(`list<${type}>`)}.sum()`,
      );
    }
    if (type === 'bool') this.#addTests(forms, of, depth);
    if (type === 'timestamp') forms.push(() => `(${of('timestamp')} + ${of('duration')})`);
    if (type === 'duration') forms.push(() => `(${of('timestamp')} - ${of('timestamp')})`);
    if (!item && SCALARS.includes(type as ExpressionScalar)) {
      forms.push(() => `${of(`list<${type as ExpressionScalar}>`)}[${of('int')}]`);
    }
    return this.#pick(forms)();
  }

  #addTests(forms: (() => string)[], of: (type: ExpressionType) => string, depth: number): void {
    const one = this.#pick(SCALARS);
    const ordered = this.#pick(['string', 'int', 'double', 'timestamp'] as const);
    forms.push(
      () => `(${of(one)} ${this.#pick(['==', '!='])} ${of(one)})`,
      () => `(${of(ordered)} ${this.#pick(ORDERS)} ${of(ordered)})`,
      () => `(${of(one)} in ${of(`list<${one}>`)})`,
      () => `(${of('bool')} ${this.#pick(['&&', '||'])} ${of('bool')})`,
      () => `!(${of('bool')})`,
      () => `${this.#pick(['isNull', 'has'])}(${of(one)})`,
    );
    if (this.#variable) return;
    const macro = this.#pick(['all', 'exists', 'exists_one']);
    forms.push(() => `${of(`list<${one}>`)}.${macro}(v, ${this.#within(one, 'bool', depth)})`);
  }

  /** Returns a body of a macro whose variable is a `from`. */
  #within(from: ExpressionScalar, type: ExpressionType, depth: number): string {
    const before = this.#variable;
    this.#variable = from;
    const body = this.write(type, depth - 1);
    this.#variable = before;
    return body;
  }

  #call(type: ExpressionType, depth: number): string {
    const producers = PRODUCERS.filter(({ overload }) => overload.result === type);
    if (producers.length === 0) return this.#leaf(type);
    const { name, isMethod, overload } = this.#pick(producers);
    this.used.add(name);
    const [first, ...others] = overload.arguments.map((one) => this.write(one, depth - 1));
    return isMethod ? `${first}.${name}(${others.join(', ')})` : `${name}(${[first, ...others].join(', ')})`;
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#random.below(items.length)] as T;
  }

  #leaf(type: ExpressionType): string {
    if (this.#variable === type && this.#random.below(2) === 0) return 'v';
    return this.#pick(LEAVES[type] as readonly string[]);
  }
}
