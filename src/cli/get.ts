import type { Command } from 'commander';
import {
  auditTable,
  consumerTable,
  deadLetterTable,
  entityTable,
  serviceTable,
  sourceTable,
  viewTable,
} from './catalog-table.js';
import { addConnectionOptions, type ConnectionOptions, connect } from './connection.js';
import { UsageError } from './failure.js';
import { readServiceOperation, readViewOperation } from './feature-operation.js';
import { describeRow, describeVector } from './feature-table.js';
import { findTarget, keyArgument, type ServiceTarget, type ViewTarget, vectorKeys } from './feature-target.js';
import {
  AuditDocument,
  CatalogDocument,
  type CatalogQuery,
  ConsumersDocument,
  DeadLettersDocument,
} from './generated/operations.js';
import type { GraphqlClient } from './graphql-client.js';
import { collect, readCount } from './option-value.js';
import { printJson, printLines } from './output.js';
import { colorsFor } from './terminal-color.js';

interface GetOptions extends ConnectionOptions {
  readonly key: readonly string[];
  readonly asOf?: string;
  readonly first: number;
  readonly source?: string;
}

const HELP = `
What:
  entities, sources, views, services   the catalog
  consumers                            registered operations, with their ids
  dead-letters, audit                  events that could not be used; changes of the registry
  <view> <key…>                        the values of a view (name or name@version) for entities;
                                       a composite key is written 'a|b' or a,b, in the order of the join keys
  <service> --key <name=value>…        the vector of a service, with the status of each feature

Examples:
  fstore get views
  fstore get dead-letters --source transactions
  fstore get user_last_transaction user_00001 user_00002
  fstore get user_last_transaction user_00001 --as-of 2026-01-31T12:00:00Z
  fstore get fraud_detection --key user_id=user_00001 --key merchant_id=merchant_0001 --key card_id=card_00001_0
`;

const LISTS: Readonly<
  Record<string, { list(catalog: CatalogQuery): unknown; table(catalog: CatalogQuery): string[] }>
> = {
  entities: { list: (catalog) => catalog.entities, table: entityTable },
  sources: { list: (catalog) => catalog.sources, table: sourceTable },
  views: { list: (catalog) => catalog.featureViews, table: viewTable },
  services: { list: (catalog) => catalog.featureServices, table: serviceTable },
};

async function getList(what: string, client: GraphqlClient, options: GetOptions): Promise<boolean> {
  const { first, source = null, json } = options;
  const list = LISTS[what];
  if (list) {
    const catalog = await client.request(CatalogDocument, {});
    if (json) printJson(list.list(catalog));
    else printLines(list.table(catalog));
    return true;
  }
  if (what === 'consumers') {
    const answer = await client.request(ConsumersDocument, {});
    if (json) printJson(answer.featureConsumers);
    else printLines(consumerTable(answer));
    return true;
  }
  if (what === 'dead-letters') {
    const answer = await client.request(DeadLettersDocument, { source, first });
    if (json) printJson(answer.deadLetters);
    else printLines(deadLetterTable(answer));
    return true;
  }
  if (what === 'audit') {
    const answer = await client.request(AuditDocument, { first });
    if (json) printJson(answer.audit);
    else printLines(auditTable(answer));
    return true;
  }
  return false;
}

async function getRows(target: ViewTarget, keys: readonly string[], client: GraphqlClient, options: GetOptions) {
  if (keys.length === 0) {
    throw new UsageError(`${target.view.name} is read for keys`, `Name one or more: fstore get ${target.view.name} …`);
  }
  const variables = { keys: keys.map((key) => keyArgument(target, key)), asOf: options.asOf ?? null };
  const { entities } = await client.request(readViewOperation(target), variables);
  if (options.json) {
    printJson(entities.map(({ row }, index) => ({ key: keys[index], ...row })));
    return;
  }
  const colors = colorsFor(process.stdout);
  printLines(entities.flatMap(({ row }, index) => describeRow(target, keys[index] ?? '', row, colors)));
}

async function getVector(target: ServiceTarget, keys: readonly string[], client: GraphqlClient, options: GetOptions) {
  if (options.asOf !== undefined) {
    throw new UsageError('a service is read as of now', 'Read its views with --as-of instead.');
  }
  const variables = vectorKeys(target, [...options.key, ...keys.flatMap((key) => key.split(','))]);
  const { vector } = await client.request(readServiceOperation(target), variables);
  if (options.json) printJson(vector);
  else printLines(describeVector(target, vector, colorsFor(process.stdout)));
}

/** Adds `fstore get`. */
export function registerGet(program: Command): void {
  addConnectionOptions(
    program
      .command('get')
      .argument('<what>', 'a list, a view or a service; see below')
      .argument('[keys...]', 'keys of entities')
      .option('--key <name=value>', 'a join key of a service (repeatable)', collect, [])
      .option('--as-of <time>', 'values as they were at this instant (ISO 8601)')
      .option('--first <n>', 'at most so many dead letters or changes', readCount, 100)
      .option('--source <name>', 'dead letters of this source only'),
  )
    .description('show the catalog, or the values of features')
    .addHelpText('after', HELP)
    .action(async (what: string, keys: string[], options: GetOptions) => {
      const client = connect(options);
      if (await getList(what, client, options)) return;
      const target = await findTarget(client, what, options.key.length > 0 ? 'service' : 'view');
      if (target.kind === 'view') await getRows(target, keys, client, options);
      else await getVector(target, keys, client, options);
    });
}
