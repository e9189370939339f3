/** Writes what is derived from the code and kept in the repository: the control schema and the definitions' JSON Schema. */
import { mkdir, writeFile } from 'node:fs/promises';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { definitionJsonSchema } from '../src/definition/definition.js';
import { buildControlSchema } from '../src/schema/control/control-schema.js';

const folder = new URL('../schema/', import.meta.url);
await mkdir(folder, { recursive: true });
const control = `${printSchema(lexicographicSortSchema(buildControlSchema()))}\n`;
await writeFile(new URL('control.graphql', folder), control);
const schema = `${JSON.stringify(definitionJsonSchema(), null, 2)}\n`;
await writeFile(new URL('definition.schema.json', folder), schema);
