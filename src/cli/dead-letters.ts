import type { Command } from 'commander';
import { addConnectionOptions, type ConnectionOptions, connect } from './connection.js';
import { ReplayDeadLettersDocument } from './generated/operations.js';
import { printJson, printLines } from './output.js';

/** Adds `fstore dead-letters replay`. */
export function registerDeadLetters(program: Command): void {
  const deadLetters = program.command('dead-letters').description('events that could not be used');
  addConnectionOptions(
    deadLetters.command('replay').argument('<ids...>', 'ids as `fstore get dead-letters` shows them'),
  )
    .description('send dead letters to their source once more, after what they failed on was corrected')
    .addHelpText('after', '\nExample:\n  fstore get dead-letters\n  fstore dead-letters replay 17 18\n')
    .action(async (ids: string[], options: ConnectionOptions) => {
      const { replayDeadLetters } = await connect(options).request(ReplayDeadLettersDocument, { ids });
      if (options.json) printJson(replayDeadLetters);
      else printLines([`Replayed ${replayDeadLetters.replayed} of ${ids.length}.`]);
    });
}
