import type { Command } from 'commander';
import { connect } from './connection.js';
import { loadDefinitions, placeError } from './definition-files.js';
import { ApplyDefinitionsDocument } from './generated/operations.js';
import { printJson, printLines } from './output.js';
import { addPlanOptions, inputOf, type PlanOptions, requestPlan } from './plan.js';
import { describePlan } from './plan-report.js';
import { colorsFor } from './terminal-color.js';

interface ApplyOptions extends PlanOptions {
  readonly allowBreaking?: boolean;
  readonly dryRun?: boolean;
}

const EXAMPLES = `
Examples:
  fstore apply definitions/
  fstore apply definitions/ --prune --allow-breaking
  fstore apply definitions/ --retire user_stats@1
`;

/** Adds `fstore apply`. */
export function registerApply(program: Command): void {
  addPlanOptions(program.command('apply'))
    .description('make the project what the definitions say: all of it, or nothing')
    .option('--allow-breaking', 'apply even what may break clients of the GraphQL schema')
    .option('--dry-run', 'show the plan only')
    .addHelpText('after', EXAMPLES)
    .action(async (paths: string[], options: ApplyOptions) => {
      const written = await loadDefinitions(paths);
      const client = connect(options);
      const colors = colorsFor(process.stdout);
      if (options.dryRun) {
        const report = await requestPlan(client, written, options);
        if (options.json) printJson(report);
        else printLines([...describePlan(report, colors), '', 'Nothing was applied (--dry-run).']);
        return;
      }
      const variables = { input: inputOf(written, options), allowBreaking: options.allowBreaking ?? false };
      try {
        const { applyDefinitions: report } = await client.request(ApplyDefinitionsDocument, variables);
        if (options.json) printJson(report);
        else if (report.changes.length === 0) printLines(describePlan(report, colors));
        else printLines([...describePlan(report, colors), '', colors.bold(`Applied as revision ${report.revision}.`)]);
      } catch (error) {
        throw placeError(error, written);
      }
    });
}
