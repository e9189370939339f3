/**
 * Generates random operations over a schema, with their variables. Most are valid. Many are unusual: aliases, nested
 * fragments, conditions, repeated fields, single values for lists, defaults, nulls. Some are invalid in their text or
 * variables.
 */
import {
  type GraphQLField,
  type GraphQLInputType,
  GraphQLList,
  GraphQLNonNull,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  getNamedType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
} from 'graphql';
import type { SeededRandom } from './seeded-random.js';

/** A random operation. */
export interface RandomOperation {
  readonly query: string;
  readonly operationName: string | null;
  /** Several sets of variables for the same text. */
  readonly variables: readonly (Record<string, unknown> | null)[];
}

interface DeclaredVariable {
  readonly name: string;
  readonly type: GraphQLInputType;
  readonly text: string;
  readonly fallback: string | null;
}

const ALIASES = ['a', 'b', 'id', 'x1', '_y', 'status', 'amount'];

/** Writes random operations; each call of `next` returns another one. */
export class OperationGrammar {
  readonly #schema: GraphQLSchema;
  readonly #random: SeededRandom;
  readonly #ids: readonly string[];
  readonly #roots: readonly GraphQLField<unknown, unknown>[];
  #variables: DeclaredVariable[] = [];
  #fragments: string[] = [];
  #room = 0;

  /** `roots` are the fields of the query type to select. `ids` are the keys that most operations use. */
  constructor(schema: GraphQLSchema, random: SeededRandom, ids: readonly string[], roots: readonly string[]) {
    this.#schema = schema;
    this.#random = random;
    this.#ids = ids;
    this.#roots = roots.map((name) => schema.getQueryType()!.getFields()[name]!);
  }

  /** Returns a random operation with `sets` sets of variables. */
  next(sets: number): RandomOperation {
    this.#variables = [];
    this.#fragments = [];
    this.#room = 60;
    const count = this.#chance(0.7) ? 1 : 1 + this.#below(3);
    const fields = Array.from({ length: count }, (_, index) => this.#rootField(index > 0 && this.#chance(0.8)));
    if (this.#chance(0.06)) fields.push('__typename');
    const root = this.#chance(0.05) ? [`...on Query{${fields.join(' ')}}`] : fields;
    const isNamed = this.#variables.length > 0 || this.#chance(0.3);
    const declared = this.#variables
      .map(({ name, text, fallback }) => `$${name}:${text}${fallback === null ? '' : `=${fallback}`}`)
      .join(' ');
    const head = isNamed ? `query Q${declared === '' ? '' : `(${declared})`}` : '';
    const others = this.#chance(0.05) ? ['query Other{__typename}'] : [];
    let query = [`${head}{${root.join(' ')}}`, ...others, ...this.#fragments].join('\n');
    if (this.#chance(0.01)) query = query.slice(0, this.#below(query.length));
    const name = this.#chance(0.04) ? this.#pick(['Q', 'Other', 'Missing', '']) : null;
    const variables = Array.from({ length: sets }, () => this.#variableSet());
    return { query, operationName: others.length > 0 && this.#chance(0.8) ? 'Q' : name, variables };
  }

  #below(limit: number): number {
    return this.#random.below(limit);
  }

  #chance(share: number): boolean {
    return this.#random.below(1_000_000) < share * 1_000_000;
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)]!;
  }

  #rootField(aliased: boolean): string {
    const field = this.#pick(this.#roots);
    return this.#field(field, aliased ? `r${this.#below(4)}` : null, 0);
  }

  #field(field: GraphQLField<unknown, unknown>, alias: string | null, depth: number): string {
    const type = getNamedType(field.type);
    const args = field.args.flatMap((arg) => {
      const isRequired = isNonNullType(arg.type);
      if (!isRequired && !this.#chance(arg.name === 'asOf' ? 0.03 : 0.5)) return [];
      if (isRequired && this.#chance(0.003)) return [];
      return [`${arg.name}:${this.#argument(arg.type)}`];
    });
    const selection = isLeafType(type) ? '' : `{${this.#selection(field.type, depth + 1)}}`;
    const written = args.length > 0 ? `(${args.join(',')})` : '';
    return `${alias === null ? '' : `${alias}:`}${field.name}${written}${this.#condition()}${selection}`;
  }

  #condition(): string {
    if (!this.#chance(0.04)) return '';
    const directive = this.#pick(['skip', 'include']);
    const value = this.#chance(0.7)
      ? this.#pick(['true', 'false'])
      : this.#variable(new GraphQLNonNull(this.#schema.getType('Boolean') as GraphQLInputType));
    return `@${directive}(if:${value})`;
  }

  #selection(of: GraphQLOutputType, depth: number): string {
    const type = getNamedType(of);
    if (isUnionType(type)) {
      const chosen = type.getTypes().filter(() => this.#chance(0.6));
      const parts = chosen.map((one) => `...on ${one.name}{${this.#fields(one, depth)}}`);
      return [...parts, ...(parts.length === 0 || this.#chance(0.3) ? ['__typename'] : [])].join(' ');
    }
    return isObjectType(type) ? this.#fields(type, depth) : '';
  }

  #fields(type: GraphQLObjectType, depth: number): string {
    const all = Object.values(type.getFields());
    const share = this.#pick([0.15, 0.4, 1]);
    const chosen = all.filter(() => this.#chance(share));
    if (chosen.length === 0) chosen.push(this.#pick(all));
    if (this.#chance(0.3)) chosen.push(this.#pick(chosen));
    if (this.#chance(0.2)) chosen.reverse();
    const written: string[] = [];
    for (const field of chosen) {
      this.#room -= 1;
      const fits = this.#room > 0 || isLeafType(getNamedType(field.type));
      if (!fits) continue;
      const alias = this.#chance(0.08)
        ? this.#chance(0.15)
          ? this.#pick(ALIASES)
          : `${field.name}_${this.#below(3)}`
        : null;
      const text = this.#field(field, alias, depth);
      written.push(this.#wrapped(text, type));
    }
    if (written.length === 0 || this.#chance(0.15)) {
      written.splice(this.#below(written.length + 1), 0, this.#chance(0.5) ? '__typename' : 't:__typename');
    }
    return written.join(' ');
  }

  /** Returns the field unchanged, or in one of three forms of fragment. */
  #wrapped(text: string, type: GraphQLObjectType): string {
    switch (this.#below(20)) {
      case 0:
        return `...{${text}}`;
      case 1:
        return `...on ${type.name}${this.#condition()}{${text}}`;
      case 2: {
        const name = `F${this.#fragments.length}`;
        this.#fragments.push(`fragment ${name} on ${type.name}{${text}}`);
        return `...${name}${this.#chance(0.3) ? ` ...${name}` : ''}${this.#condition()}`;
      }
      default:
        return text;
    }
  }

  #argument(type: GraphQLInputType): string {
    return this.#chance(0.6) ? this.#variable(type) : this.#literal(type);
  }

  #variable(type: GraphQLInputType): string {
    const known = this.#variables.find((one) => `${one.type}` === `${type}`);
    if (known && this.#chance(0.4)) return `$${known.name}`;
    const name = `v${this.#variables.length}`;
    const isNonNull = isNonNullType(type);
    const declared = !isNonNull && this.#chance(0.3) ? new GraphQLNonNull(type) : type;
    const mayDefault = this.#chance(0.1);
    const open = mayDefault && isNonNullType(declared) ? declared.ofType : declared;
    const text = this.#chance(0.01) ? 'String' : `${open}`;
    const fallback = mayDefault ? this.#literal(open) : null;
    this.#variables.push({ name, type, text, fallback });
    return `$${name}`;
  }

  #literal(type: GraphQLInputType): string {
    if (isNonNullType(type)) return this.#literal(type.ofType);
    if (this.#chance(0.02)) return 'null';
    if (isListType(type)) {
      if (this.#chance(0.1)) return this.#literal(type.ofType);
      const item = (): string => (this.#chance(0.15) ? this.#variable(type.ofType) : this.#literal(type.ofType));
      return `[${Array.from({ length: this.#below(4) }, item).join(',')}]`;
    }
    if (isInputObjectType(type)) {
      const fields = Object.values(type.getFields()).flatMap((field) => {
        if (!isNonNullType(field.type) && this.#chance(0.4)) return [];
        const value = this.#chance(0.2) ? this.#variable(field.type) : this.#literal(field.type);
        return [`${field.name}:${value}`];
      });
      return `{${fields.join(',')}}`;
    }
    if (`${type}` === '_Any') return objectLiteral(this.#representation());
    return JSON.stringify(this.#scalar(`${type}`));
  }

  #variableSet(): Record<string, unknown> | null {
    if (this.#variables.length === 0 && this.#chance(0.5)) return this.#chance(0.5) ? null : {};
    const values: Record<string, unknown> = {};
    for (const { name, type, fallback } of this.#variables) {
      if (this.#chance(fallback === null ? 0.02 : 0.5)) continue;
      values[name] = this.#value(type);
    }
    if (this.#chance(0.05)) values.unknown = 1;
    return values;
  }

  #value(type: GraphQLInputType): unknown {
    if (this.#chance(0.01)) return this.#pick([null, true, 1.5, {}, [], 'odd', [[]]]);
    if (isNonNullType(type)) return this.#value(type.ofType);
    if (this.#chance(0.01)) return null;
    if (type instanceof GraphQLList) {
      const of = type.ofType as GraphQLInputType;
      if (this.#chance(0.08)) return this.#value(of);
      return Array.from({ length: this.#below(6) }, () => this.#value(of));
    }
    if (isInputObjectType(type)) {
      const entries = Object.values(type.getFields())
        .filter((field) => isNonNullType(field.type) || this.#chance(0.7))
        .map((field) => [field.name, this.#value(field.type)]);
      return Object.fromEntries(this.#chance(0.01) ? [...entries, ['unknown', 1]] : entries);
    }
    if (`${type}` === '_Any') return this.#representation();
    return this.#scalar(`${type}`);
  }

  #representation(): Record<string, unknown> {
    const union = this.#schema.getType('_Entity');
    const types = isUnionType(union) ? union.getTypes() : [];
    const type = this.#pick(types);
    const keys = `${type.extensions.key}`.split(' ');
    const typeName = this.#chance(0.01) ? 'Nobody' : type.name;
    const entries = keys.filter(() => !this.#chance(0.005)).map((key) => [key, this.#scalar('ID')]);
    return { __typename: typeName, ...Object.fromEntries(entries) };
  }

  #scalar(type: string): unknown {
    switch (type) {
      case 'ID':
        if (this.#chance(0.08)) return this.#pick([7, 0, -1, 12, 2 ** 53]);
        if (this.#chance(0.06))
          return this.#pick(['', ' ', 'é', '"', 'a|b', '\\', '007', '-0', '🙂', '\n', 'x'.repeat(600)]);
        return this.#pick(this.#ids);
      case 'Boolean':
        return this.#chance(0.5);
      case 'Int':
        return this.#below(100) - 50;
      case 'Float':
        return this.#pick([0, 1.5, -3.25, 1e21, 7]);
      case 'BigInt':
        return this.#pick(['3', '-9', '9223372036854775807', '12']);
      case 'DateTime':
        return this.#pick(['2026-01-31T10:00:00Z', '2026-01-30T22:15:00.5+02:00']);
      default:
        return this.#pick(['', 'text', 'Łódź "x"\n']);
    }
  }
}

function objectLiteral(value: Record<string, unknown>): string {
  return `{${Object.entries(value)
    .map(([name, item]) => `${name}:${JSON.stringify(item)}`)
    .join(',')}}`;
}
