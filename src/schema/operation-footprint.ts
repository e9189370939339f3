import { type DocumentNode, type GraphQLSchema, isObjectType, TypeInfo, visit, visitWithTypeInfo } from 'graphql';

/** The fields that an operation selects, each with what it served when the operation began. */
export type OperationFootprint = ReadonlyMap<string, string>;

function serves(schema: GraphQLSchema, coordinate: string): string | null {
  const [typeName = '', fieldName = ''] = coordinate.split('.');
  const type = schema.getType(typeName);
  const field = isObjectType(type) ? type.getFields()[fieldName] : undefined;
  return field ? `${field.type} ${String(field.extensions.fstore ?? '')}` : null;
}

/** Returns the footprint of a document that is valid against `schema`. */
export function footprintOf(document: DocumentNode, schema: GraphQLSchema): OperationFootprint {
  const footprint = new Map<string, string>();
  const types = new TypeInfo(schema);
  visit(
    document,
    visitWithTypeInfo(types, {
      Field() {
        const coordinate = `${types.getParentType()?.name}.${types.getFieldDef()?.name}`;
        const served = serves(schema, coordinate);
        if (served !== null) footprint.set(coordinate, served);
      },
    }),
  );
  return footprint;
}

/** Returns the first field of the footprint that `schema` no longer serves unchanged, or null if there is none. */
export function findChangedField(footprint: OperationFootprint, schema: GraphQLSchema): string | null {
  for (const [coordinate, served] of footprint) {
    if (serves(schema, coordinate) !== served) return coordinate;
  }
  return null;
}
