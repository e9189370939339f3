/** Reads fields of the served schema, from which commands compose GraphQL documents at run time. */
import { ServedFieldsDocument, type TypeReferenceFragment } from './generated/operations.js';
import type { GraphqlClient } from './graphql-client.js';

/** A field of an object type. Types are in SDL notation, such as `[ID!]!`. */
export interface ServedField {
  readonly name: string;
  readonly type: string;
  readonly args: readonly { readonly name: string; readonly type: string }[];
}

interface Reference {
  readonly kind: TypeReferenceFragment['kind'];
  readonly name: string | null;
  readonly ofType?: Reference | null;
}

function written({ kind, name, ofType }: Reference): string {
  if (!ofType) return name ?? '';
  return kind === 'LIST' ? `[${written(ofType)}]` : `${written(ofType)}!`;
}

/** Returns the fields of a type by name; empty if the schema has no such type. */
export async function loadServedFields(client: GraphqlClient, type: string): Promise<ReadonlyMap<string, ServedField>> {
  const { __type } = await client.request(ServedFieldsDocument, { type });
  const fields = (__type?.fields ?? []).map((field): ServedField => {
    const args = field.args.map((argument) => ({ name: argument.name, type: written(argument.type) }));
    return { name: field.name, type: written(field.type), args };
  });
  return new Map(fields.map((field) => [field.name, field]));
}

/** Returns the name in a type: `[User!]!` → `User`. */
export function namedType(type: string): string {
  return type.replace(/[[\]!]/g, '');
}
