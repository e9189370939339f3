/** The scalars that GraphQL itself lacks, and the GraphQL type of each value type. */
import {
  GraphQLBoolean,
  GraphQLError,
  GraphQLFloat,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  type GraphQLOutputType,
  GraphQLScalarType,
  GraphQLString,
  Kind,
  valueFromASTUntyped,
} from 'graphql';
import { elementType, readValue, type ScalarType, type ValueType } from '../definition/value-type.js';

function readOrThrow<T>(type: ValueType, input: unknown): T {
  const read = readValue(type, input);
  if (!read.ok || read.value === null) throw new GraphQLError(read.ok ? 'a value is missing' : read.reason);
  return read.value as T;
}

/** TIMESTAMP values: milliseconds since 1970 inside FStore, ISO 8601 text in GraphQL. */
export const DateTime = new GraphQLScalarType<number, string>({
  name: 'DateTime',
  description: 'An instant in UTC with millisecond precision, as ISO 8601: `2026-01-31T12:00:00.000Z`.',
  specifiedByURL: 'https://scalars.graphql.org/andimarek/date-time.html',
  serialize: (value) => new Date(value as number | Date).toISOString(),
  parseValue: (value) => readOrThrow<number>('TIMESTAMP', value),
  parseLiteral: (node) => {
    if (node.kind !== Kind.STRING) throw new GraphQLError('a DateTime is written as a string', { nodes: node });
    return readOrThrow<number>('TIMESTAMP', node.value);
  },
});

/** INT64 values: a bigint inside FStore, a decimal string in GraphQL. */
export const BigIntScalar = new GraphQLScalarType<bigint, string>({
  name: 'BigInt',
  description: 'A 64-bit integer, as a decimal string, because a JSON number cannot hold every one of them.',
  serialize: (value) => `${value as bigint}`,
  parseValue: (value) => readOrThrow<bigint>('INT64', value),
  parseLiteral: (node) => {
    if (node.kind !== Kind.INT && node.kind !== Kind.STRING) {
      throw new GraphQLError('a BigInt is written as an integer or a string', { nodes: node });
    }
    return readOrThrow<bigint>('INT64', node.value);
  },
});

/** Any JSON value, passed through unchanged. */
export const JsonScalar = new GraphQLScalarType<unknown, unknown>({
  name: 'JSON',
  description: 'Any JSON value.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc8259',
  serialize: (value) => value,
  parseValue: (value) => value,
  parseLiteral: (node, variables) => valueFromASTUntyped(node, variables),
});

const SCALARS: Record<ScalarType, GraphQLScalarType> = {
  STRING: GraphQLString,
  BOOL: GraphQLBoolean,
  INT32: GraphQLInt,
  INT64: BigIntScalar,
  FLOAT64: GraphQLFloat,
  TIMESTAMP: DateTime,
};

/** Returns the nullable GraphQL type of a value type: `FLOAT64` → Float, `STRING[]` → [String!]. */
export function graphqlTypeOf(type: ValueType): GraphQLOutputType {
  const element = elementType(type);
  return element ? new GraphQLList(new GraphQLNonNull(SCALARS[element])) : SCALARS[type as ScalarType];
}
