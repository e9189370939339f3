import type { Command } from 'commander';
import { definitionJsonSchema } from '../definition/definition.js';
import { printLines } from './output.js';

const EXAMPLE = `
Example (editors with a YAML language server then check while you type):
  fstore definition-schema > definition.schema.json
  # first line of a definition file:
  # yaml-language-server: $schema=./definition.schema.json
`;

/** Adds `fstore definition-schema`. */
export function registerDefinitionSchema(program: Command): void {
  program
    .command('definition-schema')
    .description('print the JSON Schema of definition files')
    .addHelpText('after', EXAMPLE)
    .action(() => printLines([JSON.stringify(definitionJsonSchema(), null, 2)]));
}
