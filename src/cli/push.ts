import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { FStoreError } from '../errors.js';
import { addConnectionOptions, type ConnectionOptions, connect } from './connection.js';
import { openInput, placeOfEvent, type ReadEvent, readEvents } from './event-input.js';
import { eventToWire } from './event-wire.js';
import { type RemoteIssue, ServerError, UsageError } from './failure.js';
import { CatalogDocument, IngestDocument } from './generated/operations.js';
import type { GraphqlClient } from './graphql-client.js';
import { printJson, printLines } from './output.js';
import { ProgressBar } from './progress-bar.js';

const BATCH = 500;
const BATCH_BYTES = 4_000_000;

const HELP = `
The input has one JSON object a line (NDJSON), or is one JSON array. Events go in batches of ${BATCH}: a batch is accepted
whole or refused whole, and the first refused batch ends the push. Integers beyond 2^53 arrive exactly.

Examples:
  fstore push transactions events.ndjson
  cat events.ndjson | fstore push transactions
`;

/** Adds to an error which lines of the input it is about, and how many events were accepted before. */
function placeRefusal(error: unknown, name: string, batch: readonly ReadEvent[], accepted: number): unknown {
  const first = batch[0];
  if (!(error instanceof ServerError) || !first) return error;
  // An unknown source is an error about no particular line.
  if (accepted === 0 && !error.details.issues) return error;
  const issues = error.details.issues?.map((issue): RemoteIssue => {
    const index = issue.path?.[1];
    const event = typeof index === 'number' ? batch[index] : undefined;
    if (!event) return issue;
    const { path = [], definition: _, ...rest } = issue;
    const place = event.index === null ? { file: name, line: event.line } : { file: placeOfEvent(name, event) };
    return { ...rest, ...place, field: path.slice(2).join('.') };
  });
  const start = placeOfEvent(name, first);
  const before = ` — ${accepted} events before were accepted; the refused batch begins at ${start}`;
  const message = accepted > 0 ? error.message + before : error.message;
  return new ServerError(error.code, error.status, message, { ...error.details, ...(issues ? { issues } : {}) });
}

function placeMalformed(error: FStoreError, accepted: number): FStoreError {
  if (error.code !== 'EVENT_MALFORMED') return error;
  const message = accepted > 0 ? `${error.message} — ${accepted} events before were accepted` : error.message;
  return new FStoreError(error.code, message, error.location, [], { cause: error });
}

async function columnTypes(client: GraphqlClient, source: string): Promise<ReadonlyMap<string, string>> {
  const { sources } = await client.request(CatalogDocument, {});
  const columns = sources.find(({ name }) => name === source)?.columns ?? [];
  return new Map(columns.map(({ name, type }) => [name, type]));
}

async function sizeOf(path: string): Promise<number | null> {
  if (path === '-') return null;
  try {
    const { size } = await stat(path);
    return size;
  } catch {
    throw new UsageError(`there is no file ${path}`, 'Name a file of events, or - for stdin.');
  }
}

async function push(source: string, path: string, options: ConnectionOptions): Promise<number> {
  const client = connect(options);
  const name = path === '-' ? 'stdin' : path;
  const bar = new ProgressBar(`Pushing to ${source}`, await sizeOf(path));
  const types = await columnTypes(client, source);
  let accepted = 0;
  let batch: ReadEvent[] = [];
  let sentBytes = 0;
  const send = async (): Promise<void> => {
    const last = batch.at(-1);
    const events = batch.map(({ event }) => eventToWire(event, types));
    try {
      accepted += (await client.request(IngestDocument, { source, events })).ingest.accepted;
    } catch (error) {
      throw placeRefusal(error, name, batch, accepted);
    }
    sentBytes = last?.bytes ?? sentBytes;
    bar.show(sentBytes, `${accepted} events`);
    batch = [];
  };
  try {
    for await (const event of readEvents(openInput(path), name)) {
      batch.push(event);
      if (batch.length >= BATCH || event.bytes - sentBytes >= BATCH_BYTES) await send();
    }
    // An empty input is sent too, so that an unknown source is always an error.
    if (batch.length > 0 || accepted === 0) await send();
  } catch (error) {
    throw error instanceof FStoreError ? placeMalformed(error, accepted) : error;
  } finally {
    bar.clear();
  }
  return accepted;
}

/** Adds `fstore push`. */
export function registerPush(program: Command): void {
  addConnectionOptions(
    program
      .command('push')
      .argument('<source>', 'source that the events belong to')
      .argument('[file]', 'file of events; - or nothing: stdin', '-'),
  )
    .description('push events of a source')
    .addHelpText('after', HELP)
    .action(async (source: string, file: string, options: ConnectionOptions) => {
      const accepted = await push(source, file, options);
      if (options.json) printJson({ accepted });
      else printLines([`Accepted ${accepted} events of ${source}.`]);
    });
}
