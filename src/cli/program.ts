/** The `fstore` command: its subcommands, and how their errors end it. */
import { Command, CommanderError } from 'commander';
import { registerApply } from './apply.js';
import { registerDeadLetters } from './dead-letters.js';
import { registerDefinitionSchema } from './definition-schema.js';
import { registerDemo } from './demo.js';
import { EXIT, printFailure } from './failure.js';
import { registerGet } from './get.js';
import { registerJobs, registerMaterialize } from './jobs.js';
import { registerPlan } from './plan.js';
import { registerPush } from './push.js';
import { registerSources } from './sources.js';
import { registerTrainingSet } from './training-set.js';
import { readVersion, registerVersion } from './version.js';
import { registerWatch } from './watch.js';

const FOOTER = `
Exit codes: 0 done, 1 refused, 2 wrong use of the command, 3 server unreachable or failing.
FSTORE_URL and FSTORE_API_KEY stand in for --url and --api-key; NO_COLOR turns colours off.
`;

/** A command that always ends with an exit code and never with a stack trace, even if stdout closes early. */
class Program extends Command {
  override async parseAsync(...given: Parameters<Command['parseAsync']>): Promise<this> {
    const [argv = process.argv] = given;
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      // In `fstore get views | head -1`, the reader has closed the pipe because it needs no more.
      if (error.code === 'EPIPE') process.exit(EXIT.ok);
      throw error;
    });
    try {
      await super.parseAsync(...given);
    } catch (error) {
      // Commander has already printed its own errors and help texts.
      if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
      else process.exitCode = printFailure(error, argv.includes('--json'));
    }
    return this;
  }
}

/** Creates the command with all subcommands except those that run a server. */
export function createProgram(): Command {
  const program = new Program('fstore')
    .description('A feature store whose API is a typed, federated GraphQL schema generated from metadata.')
    .version(readVersion(), '-V, --version', 'print the version')
    .showHelpAfterError('(--help shows how)')
    .addHelpText('after', FOOTER)
    .exitOverride();
  for (const register of [
    registerApply,
    registerPlan,
    registerPush,
    registerGet,
    registerSources,
    registerWatch,
    registerTrainingSet,
    registerMaterialize,
    registerJobs,
    registerDeadLetters,
  ]) {
    register(program);
  }
  for (const register of [registerDefinitionSchema, registerDemo, registerVersion]) register(program);
  return program;
}
