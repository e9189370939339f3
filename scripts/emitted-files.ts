/** What is derived from the code and kept in the repository, so that a change of it shows in review. */
import { readFile } from 'node:fs/promises';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { definitionJsonSchema } from '../src/definition/definition.js';
import { parseDefinitionFile } from '../src/definition/definition-file.js';
import { parseDefinitions, planDefinitions } from '../src/definition/plan.js';
import { createSnapshot } from '../src/registry/snapshot.js';
import { buildControlSchema, reservedNames } from '../src/schema/control/control-schema.js';
import { buildFeatureSchema } from '../src/schema/feature/feature-schema.js';

const root = new URL('../', import.meta.url);
const EXAMPLES = ['fraud-detection'];

/** Path from the root of the repository → text of every emitted file. */
export async function emittedFiles(): Promise<Map<string, string>> {
  const control = buildControlSchema();
  const files = new Map([
    ['schema/control.graphql', `${printSchema(lexicographicSortSchema(control))}\n`],
    ['schema/definition.schema.json', `${JSON.stringify(definitionJsonSchema(), null, 2)}\n`],
  ]);
  for (const name of EXAMPLES) {
    const text = await readFile(new URL(`examples/${name}/definitions.yaml`, root), 'utf8');
    const inputs = parseDefinitionFile(text, 'definitions.yaml').map((one) => one.definition);
    const { records } = planDefinitions([], parseDefinitions(inputs), {
      prune: false,
      retire: [],
      reserved: reservedNames(control),
    });
    const snapshot = createSnapshot({ project: 'example', revision: 1, records });
    // Side by side: what was declared, and what is served for it.
    files.set(`schema/examples/${name}/definition.yaml`, text);
    files.set(`schema/examples/${name}/subgraph.graphql`, buildFeatureSchema(snapshot, control).sdl());
  }
  return files;
}
