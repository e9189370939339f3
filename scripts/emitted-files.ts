/** What is derived from the code and kept in the repository, so that a change of it shows in review. */
import { readFile } from 'node:fs/promises';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { describeEnvironment } from '../src/config.js';
import { definitionJsonSchema } from '../src/definition/definition.js';
import { parseDefinitionFile } from '../src/definition/definition-file.js';
import { parseDefinitions, planDefinitions } from '../src/definition/plan.js';
import { ERRORS } from '../src/errors.js';
import { enginePlanJsonSchema } from '../src/materialization/engine-plan.js';
import { createSnapshot } from '../src/registry/snapshot.js';
import { buildControlSchema, reservedNames } from '../src/schema/control/control-schema.js';
import { buildFeatureSchema } from '../src/schema/feature/feature-schema.js';
import { computation } from '../src/transformation/computation.js';

const root = new URL('../', import.meta.url);
const EXAMPLES = ['fraud-detection'];

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

function errorTable(): string {
  const rows = Object.entries(ERRORS).map(([code, { status, cause, cure }]) => [
    `\`${code}\``,
    `${status}`,
    cause,
    cure,
  ]);
  return `# Errors

GraphQL (\`errors[].extensions\`), REST (\`error\`), the command line and the logs share this table. Beside code, cause and cure, an
error names the \`field\` at fault, and \`issues\` where several things were found at once.

${table(['code', 'HTTP', 'cause', 'cure'], rows)}
`;
}

function configurationTable(): string {
  const rows = describeEnvironment().map(({ name, description, fallback }) => [
    `\`${name}\``,
    description,
    fallback ?? '–',
  ]);
  return `# Configuration

FStore reads environment variables, once, when a process starts; \`fstore serve --help\` prints the same list. A variable that begins
with \`FSTORE_\` and is not in it is refused.

${table(['variable', 'meaning', 'default'], rows)}

A connection of \`batch: { jdbc: … }\` is three variables more, named after it: of \`warehouse\` they are \`FSTORE_JDBC_WAREHOUSE_URL\` (an
address that begins with \`jdbc:\`), \`FSTORE_JDBC_WAREHOUSE_USER\` and \`FSTORE_JDBC_WAREHOUSE_PASSWORD\`. Set them on servers and workers.

The command line reads two more: \`FSTORE_URL\` (address of the server) and \`FSTORE_API_KEY\`.
`;
}

/** Path from the root of the repository → text of every emitted file. */
export async function emittedFiles(): Promise<Map<string, string>> {
  const control = buildControlSchema();
  const files = new Map([
    ['schema/control.graphql', `${printSchema(lexicographicSortSchema(control))}\n`],
    ['docs/errors.md', errorTable()],
    ['docs/configuration.md', configurationTable()],
    ['schema/definition.schema.json', `${JSON.stringify(definitionJsonSchema(), null, 2)}\n`],
    ['spark/fstore_spark/plan.schema.json', `${JSON.stringify(enginePlanJsonSchema(), null, 2)}\n`],
  ]);
  for (const name of EXAMPLES) {
    const text = await readFile(new URL(`examples/${name}/definitions.yaml`, root), 'utf8');
    const inputs = parseDefinitionFile(text, 'definitions.yaml').map((one) => one.definition);
    const { records } = planDefinitions([], parseDefinitions(inputs), {
      prune: false,
      retire: [],
      reserved: reservedNames(control),
      computation,
    });
    const snapshot = createSnapshot({ project: 'example', revision: 1, records });
    // Side by side: what was declared, and what is served for it.
    files.set(`schema/examples/${name}/definition.yaml`, text);
    files.set(`schema/examples/${name}/subgraph.graphql`, buildFeatureSchema(snapshot, control).sdl());
  }
  return files;
}
