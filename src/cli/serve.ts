import type { Command } from 'commander';
import type { RunningFStore } from '../compose.js';
import { describeEnvironment, readConfig } from '../config.js';

const ROLES = { serve: ['serve'], worker: ['worker'] } as const;

/** Resolves when the process is asked to stop (Ctrl-C or SIGTERM). A second signal ends it at once. */
function stopRequested(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (): void => {
      if (asked) process.exit(1);
      asked = true;
      resolve();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

function announce({ url, stores }: RunningFStore): void {
  const lines = url
    ? [
        `GraphQL    ${url}/graphql`,
        `WebSocket  ${url.replace(/^http/, 'ws')}/graphql`,
        `SSE        ${url}/graphql/stream`,
        `REST       ${url}/api/v1`,
        `Health     ${url}/health and ${url}/ready`,
      ]
    : ['Worker running'];
  const on = Object.entries(stores).map(([role, name]) => `${role}: ${name}`);
  process.stdout.write(`${[...lines, `Stores     ${on.join(', ')}`].join('\n')}\n`);
}

async function run(roles: readonly ('serve' | 'worker')[]): Promise<void> {
  const config = readConfig(process.env);
  // Loaded here, because every other verb would wait for all drivers too.
  const { startFStore } = await import('../compose.js');
  const running = await startFStore(config, roles);
  announce(running);
  await stopRequested();
  await running.close();
}

function environmentHelp(): string {
  const rows = describeEnvironment().map(({ name, description, fallback }) => {
    return `  ${name.padEnd(24)} ${description}${fallback === null ? '' : ` (default ${fallback})`}`;
  });
  return `\nEnvironment:\n${rows.join('\n')}\n`;
}

/** Adds `fstore serve` and `fstore worker`. */
export function registerServe(program: Command): void {
  program
    .command('serve')
    .description('answer requests and, unless told otherwise, process events')
    .option('--without-worker', 'leave events to `fstore worker`')
    .addHelpText('after', environmentHelp())
    .action(async (options: { withoutWorker?: boolean }) => {
      await run(options.withoutWorker ? ROLES.serve : [...ROLES.serve, ...ROLES.worker]);
    });
  program
    .command('worker')
    .description('process events: from the bus into the stores')
    .addHelpText('after', environmentHelp())
    .action(() => run(ROLES.worker));
}
