import type { Command } from 'commander';
import type { WrittenDefinition } from '../definition/definition-file.js';
import { addConnectionOptions, type ConnectionOptions, connect } from './connection.js';
import { loadDefinitions, placeError } from './definition-files.js';
import { PlanDefinitionsDocument, type PlanReportFragment } from './generated/operations.js';
import type { GraphqlClient } from './graphql-client.js';
import { collect } from './option-value.js';
import { printJson, printLines } from './output.js';
import { describePlan } from './plan-report.js';
import { colorsFor } from './terminal-color.js';

/** The options of `fstore plan` and `fstore apply`. */
export interface PlanOptions extends ConnectionOptions {
  readonly prune?: boolean;
  readonly retire: readonly string[];
}

/** Adds the options that determine a plan. */
export function addPlanOptions(command: Command): Command {
  return addConnectionOptions(
    command
      .argument('<paths...>', 'files or folders of .yaml, .yml or .ts')
      .option('--prune', 'retire everything that is not among the definitions')
      .option('--retire <view@version>', 'retire an older version of a view (repeatable)', collect, []),
  );
}

/** Returns the GraphQL input of a plan or an apply. */
export function inputOf(written: readonly WrittenDefinition[], { prune = false, retire }: PlanOptions) {
  return { definitions: written.map(({ definition }) => definition), prune, retire: [...retire] };
}

/** Requests a plan from the server. Issues in errors have file and line. */
export async function requestPlan(
  client: GraphqlClient,
  written: readonly WrittenDefinition[],
  options: PlanOptions,
): Promise<PlanReportFragment> {
  try {
    return (await client.request(PlanDefinitionsDocument, { input: inputOf(written, options) })).planDefinitions;
  } catch (error) {
    throw placeError(error, written);
  }
}

/** Adds `fstore plan`. */
export function registerPlan(program: Command): void {
  addPlanOptions(program.command('plan'))
    .description('show what applying definitions would change, and change nothing')
    .addHelpText('after', '\nExample:\n  fstore plan definitions/\n')
    .action(async (paths: string[], options: PlanOptions) => {
      const written = await loadDefinitions(paths);
      const report = await requestPlan(connect(options), written, options);
      if (options.json) printJson(report);
      else printLines(describePlan(report, colorsFor(process.stdout)));
    });
}
