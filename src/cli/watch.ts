import type { Command } from 'commander';
import { addConnectionOptions, type ConnectionOptions, connect } from './connection.js';
import { ServerError, UsageError } from './failure.js';
import { watchServiceOperation, watchViewOperation } from './feature-operation.js';
import { describeOnOneLine } from './feature-table.js';
import { findTarget, keyArgument, type ServiceTarget, type ViewTarget, vectorKeys } from './feature-target.js';
import type { GraphqlClient, SubscribeOptions } from './graphql-client.js';
import { collect, readCount } from './option-value.js';
import { printJson, printLines } from './output.js';
import { colorsFor } from './terminal-color.js';

interface WatchOptions extends ConnectionOptions {
  readonly key: readonly string[];
  readonly count?: number;
}

/** One update: the key of the entity or vector, and the values by field. */
interface Update {
  readonly key: string;
  readonly features: readonly string[];
  readonly values: Readonly<Record<string, unknown>>;
}

const HELP = `
Each new value is one line, with the time of its arrival here; of changes that come faster than they can be read, the
latest of each entity. A lost connection is made again; what changed meanwhile is not shown. Ctrl-C ends it.

Examples:
  fstore watch user_last_transaction                     every user
  fstore watch user_last_transaction user_00001          one of them
  fstore watch fraud_detection user_id=user_00001,merchant_id=merchant_0001,card_id=card_00001_0
  fstore watch user_last_transaction --count 10 --json
`;

async function* rowUpdates(
  client: GraphqlClient,
  target: ViewTarget,
  keys: readonly string[],
  listeners: SubscribeOptions,
): AsyncGenerator<Update> {
  const variables = { keys: keys.length > 0 ? keys.map((key) => keyArgument(target, key)) : null };
  const features = target.view.features.map(({ graphqlField }) => graphqlField);
  for await (const { entity } of client.subscribe(watchViewOperation(target), variables, listeners)) {
    const key = target.keyFields.map((field) => String(entity[field])).join('|');
    yield { key, features, values: entity.row };
  }
}

async function* vectorUpdates(
  client: GraphqlClient,
  target: ServiceTarget,
  vectors: readonly Record<string, string>[],
  listeners: SubscribeOptions,
): AsyncGenerator<Update> {
  for await (const { vector } of client.subscribe(watchServiceOperation(target), { keys: [...vectors] }, listeners)) {
    yield { key: target.keys.map((key) => String(vector[key])).join('|'), features: target.features, values: vector };
  }
}

/** A schema reload is expected after an apply, so its error explains what happened. */
function explainReload(error: unknown): unknown {
  if (!(error instanceof ServerError) || error.code !== 'SUBSCRIPTION_SCHEMA_RELOAD') return error;
  return new ServerError(error.code, error.status, error.message, {
    ...error.details,
    cause: 'A definition behind this watch was changed or retired, so its values no longer mean what they meant.',
    cure: 'Run the same command again to watch the values as they are now.',
  });
}

async function watch(name: string, keys: readonly string[], options: WatchOptions): Promise<void> {
  const client = connect(options);
  const colors = colorsFor(process.stdout);
  const note = (text: string): void => void process.stderr.write(`${colorsFor(process.stderr).dim(text)}\n`);
  const target = await findTarget(client, name, options.key.length > 0 ? 'service' : 'view');
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  const listeners: SubscribeOptions = {
    signal: stop.signal,
    onConnected: (again) => note(again ? 'Connected again.' : `Watching ${name}; Ctrl-C ends it.`),
    onLost: (reason) => note(`Connection lost (${reason}); connecting again…`),
  };
  let updates: AsyncGenerator<Update>;
  if (target.kind === 'view') updates = rowUpdates(client, target, keys, listeners);
  else {
    const vectors = keys.map((key) => vectorKeys(target, key.split(',')));
    if (options.key.length > 0) vectors.push(vectorKeys(target, options.key));
    if (vectors.length === 0) {
      const form = target.keys.map((key) => `${key}=…`).join(',');
      throw new UsageError(`${name} is watched for keys`, `Name one or more: fstore watch ${name} ${form}`);
    }
    updates = vectorUpdates(client, target, vectors, listeners);
  }
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    let count = 0;
    for await (const { key, features, values } of updates) {
      const receivedAt = new Date().toISOString();
      if (options.json) printJson({ receivedAt, key, ...values });
      else
        printLines([
          `${colors.dim(receivedAt.slice(11, 23))}  ${colors.bold(key)}  ${describeOnOneLine(features, values)}`,
        ]);
      count += 1;
      if (count === options.count) break;
    }
  } catch (error) {
    throw explainReload(error);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

/** Adds `fstore watch`. */
export function registerWatch(program: Command): void {
  addConnectionOptions(
    program
      .command('watch')
      .argument('<name>', 'a view or a service')
      .argument('[keys...]', 'keys of entities; of a service: user_id=u1,merchant_id=m1')
      .option('--key <name=value>', 'a join key of a service (repeatable)', collect, [])
      .option('--count <n>', 'end after so many updates', readCount),
  )
    .description('print the values of a view or service as they change')
    .addHelpText('after', HELP)
    .action(watch);
}
