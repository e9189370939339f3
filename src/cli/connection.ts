/** The options that all commands with a server share. */
import { type Command, Option } from 'commander';
import { UsageError } from './failure.js';
import { GraphqlClient } from './graphql-client.js';

/** How to reach the server, and whether to print JSON. */
export interface ConnectionOptions {
  readonly url: string;
  readonly apiKey?: string;
  readonly json?: boolean;
}

/** Adds --url, --api-key and --json. */
export function addConnectionOptions(command: Command): Command {
  return command
    .addOption(new Option('--url <url>', 'address of the server').env('FSTORE_URL').default('http://127.0.0.1:4000'))
    .addOption(new Option('--api-key <key>', 'API key of the server').env('FSTORE_API_KEY'))
    .option('--json', 'print JSON, for programs');
}

/** Returns a client for the server in the options. Throws UsageError for an invalid address. */
export function connect({ url, apiKey }: ConnectionOptions): GraphqlClient {
  if (!/^https?:\/\/[^/\s]+/.test(url)) {
    throw new UsageError(`--url is ${url}`, 'Give an address such as http://127.0.0.1:4000.');
  }
  return new GraphqlClient({ url, apiKey });
}
