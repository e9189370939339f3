import type { Command } from 'commander';
import { deadLetterTable } from './catalog-table.js';
import { addConnectionOptions, type ConnectionOptions, connect } from './connection.js';
import { DeadLettersDocument, ReplayDeadLettersDocument } from './generated/operations.js';
import { readCount } from './option-value.js';
import { printJson, printLines } from './output.js';

interface ListOptions extends ConnectionOptions {
  readonly first: number;
  readonly source?: string;
}

/** Adds `fstore dead-letters`, which lists them, and `fstore dead-letters replay`. */
export function registerDeadLetters(program: Command): void {
  const deadLetters = addConnectionOptions(
    program
      .command('dead-letters')
      .option('--first <n>', 'at most so many', readCount, 100)
      .option('--source <name>', 'those of this source only'),
  )
    .description('list events that could not be used, newest first')
    .action(async ({ first, source, ...options }: ListOptions) => {
      const answer = await connect(options).request(DeadLettersDocument, { source: source ?? null, first });
      if (options.json) printJson(answer.deadLetters);
      else printLines(deadLetterTable(answer));
    });
  addConnectionOptions(deadLetters.command('replay').argument('<ids...>', 'ids as `fstore dead-letters` shows them'))
    .description('send dead letters to their source once more, after what they failed on was corrected')
    .addHelpText('after', '\nExample:\n  fstore dead-letters\n  fstore dead-letters replay 17 18\n')
    .action(async (ids: string[], _: unknown, command: Command) => {
      const options = command.optsWithGlobals<ConnectionOptions>();
      const { replayDeadLetters } = await connect(options).request(ReplayDeadLettersDocument, { ids });
      if (options.json) printJson(replayDeadLetters);
      else printLines([`Replayed ${replayDeadLetters.replayed} of ${ids.length}.`]);
    });
}
