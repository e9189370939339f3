/**
 * The steps of the demo. They use only the public API, so the server may run in any process.
 *
 * Boundary: performs and measures the steps. `check.ts` judges the results.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { loadDefinitions } from '../definition-files.js';
import { readServiceOperation, readViewOperation, type Vector, watchServiceOperation } from '../feature-operation.js';
import { describeOnOneLine, describeVector } from '../feature-table.js';
import { findTarget, type ServiceTarget, vectorKeys } from '../feature-target.js';
import { ApplyDefinitionsDocument, IngestDocument } from '../generated/operations.js';
import type { GraphqlClient } from '../graphql-client.js';
import { printLines } from '../output.js';
import { describePlan } from '../plan-report.js';
import { ProgressBar } from '../progress-bar.js';
import { colorsFor } from '../terminal-color.js';
import { DEFINITIONS_FILE, newestByKey, SERVICE, SOURCE, VIEWS, vectorPairs } from './example.js';
import type { Transaction } from './transactions.js';

const BATCH = 500;
const POLL = 25;
const DEADLINE = 30_000;

/** The results of the walkthrough. */
export interface Walkthrough {
  readonly changes: number;
  readonly before: Vector;
  readonly after: Vector;
  readonly update: Vector | null;
  readonly accepted: number;
  /** Seconds from the first push until the last event was visible. */
  readonly seconds: number;
}

/** Prints the heading of a step. */
export function printStep(title: string): void {
  const { bold, cyan } = colorsFor(process.stdout);
  printLines(['', cyan(bold(`▸ ${title}`))]);
}

/** Repeats `read` until its result is not null. Returns null after `deadline` milliseconds. */
export async function poll<T>(read: () => Promise<T | null>, deadline = DEADLINE): Promise<T | null> {
  const end = Date.now() + deadline;
  while (Date.now() < end) {
    const result = await read();
    if (result !== null) return result;
    await delay(POLL);
  }
  return null;
}

/** Pushes events in batches through GraphQL. Returns how many were accepted. */
export async function pushEvents(client: GraphqlClient, events: readonly Transaction[]): Promise<number> {
  const bar = new ProgressBar('  Pushing', events.length);
  let accepted = 0;
  for (let start = 0; start < events.length; start += BATCH) {
    const batch = events.slice(start, start + BATCH);
    accepted += (await client.request(IngestDocument, { source: SOURCE, events: batch })).ingest.accepted;
    bar.show(accepted, `${accepted} events`);
  }
  bar.clear();
  return accepted;
}

function openUpdates(client: GraphqlClient, target: ServiceTarget, keys: Record<string, string>) {
  const stop = new AbortController();
  let connected: () => void = () => {};
  const ready = new Promise<void>((resolve) => {
    connected = resolve;
  });
  const received: Vector[] = [];
  const done = (async () => {
    const listeners = { signal: stop.signal, onConnected: () => connected() };
    const updates = client.subscribe(watchServiceOperation(target), { keys: [keys] }, listeners);
    for await (const { vector } of updates) received.push(vector);
  })();
  return {
    // Also settles with an error of the subscription, which would otherwise leave the demo waiting forever.
    ready: Promise.race([ready, done]),
    received,
    close: async (): Promise<void> => {
      stop.abort();
      await done;
    },
  };
}

/** Applies the example, reads a vector before and after pushing `events`, and receives an update of it. */
export async function walkThrough(client: GraphqlClient, events: readonly Transaction[]): Promise<Walkthrough> {
  const colors = colorsFor(process.stdout);
  const last = events.at(-1);
  if (!last) throw new RangeError('a walkthrough needs events');

  printStep('Declare entities, a source, feature views and a feature service');
  const definitions = (await loadDefinitions([DEFINITIONS_FILE])).map(({ definition }) => definition);
  const input = { definitions, prune: false, retire: [] };
  const { applyDefinitions } = await client.request(ApplyDefinitionsDocument, { input, allowBreaking: false });
  const { schemaChanges } = applyDefinitions;
  printLines(describePlan({ ...applyDefinitions, schemaChanges: [] }, colors).map((line) => `  ${line}`));
  printLines([colors.dim(`  ${schemaChanges.length} additions to the GraphQL schema, served from now on`)]);

  const target = await findTarget(client, SERVICE, 'service');
  if (target.kind !== 'service') throw new TypeError(`${SERVICE} is no service`);
  const keys = vectorKeys(target, vectorPairs(last));
  const operation = readServiceOperation(target);
  const read = async (): Promise<Vector> => (await client.request(operation, keys)).vector;
  const printVector = (vector: Vector): void =>
    printLines(describeVector(target, vector, colors).map((line) => `  ${line}`));

  printStep(`Read the vector of ${Object.values(keys).join(', ')} before any event`);
  const before = await read();
  printVector(before);

  printStep(`Subscribe to that vector, then push ${events.length} transactions through GraphQL`);
  const updates = openUpdates(client, target, keys);
  await updates.ready;
  const startedAt = performance.now();
  const accepted = await pushEvents(client, events);
  const pushSeconds = (performance.now() - startedAt) / 1000;
  const isVisible = ({ statuses }: Vector): boolean => statuses.every(({ eventTime }) => eventTime === last.event_time);
  const visible = await poll(async () => {
    const vector = await read();
    return isVisible(vector) ? vector : null;
  });
  const seconds = (performance.now() - startedAt) / 1000;
  const rate = (length: number): string => Math.round(accepted / length).toLocaleString('en');
  printLines([
    `  ${accepted} accepted in ${pushSeconds.toFixed(1)} s (${rate(pushSeconds)} events/s),`,
    visible
      ? `  the last one visible online ${Math.max(0, Math.round((seconds - pushSeconds) * 1000))} ms later (${rate(seconds)} events/s end to end)`
      : `  but the last one was not visible within ${DEADLINE / 1000} s`,
  ]);

  printStep('Read the same vector again');
  const after = visible ?? (await read());
  printVector(after);

  printStep('The update that the subscription pushed for it');
  const { received } = updates;
  const update = (await poll(async () => received.find(isVisible) ?? null, 5_000)) ?? null;
  if (update) {
    printLines([
      `  ${describeOnOneLine(target.features, update)}`,
      colors.dim(`  (one of ${received.length}: of changes that come at once, the latest of each view)`),
    ]);
  } else printLines(['  none came']);
  await updates.close();
  return { changes: applyDefinitions.changes.length, before, after, update, accepted, seconds };
}

/** Compares the rows of all entities of all views with `events`. Returns the differences; empty if there are none. */
export async function findDifferences(client: GraphqlClient, events: readonly Transaction[]): Promise<string[]> {
  const differences: string[] = [];
  for (const { view, key } of VIEWS) {
    const target = await findTarget(client, view, 'view');
    if (target.kind !== 'view') throw new TypeError(`${view} is no view`);
    const operation = readViewOperation(target);
    const expected = [...newestByKey(events, key)];
    for (let start = 0; start < expected.length; start += BATCH) {
      const part = expected.slice(start, start + BATCH);
      const { entities } = await client.request(operation, { keys: part.map(([id]) => id), asOf: null });
      for (const [index, [id, event]] of part.entries()) {
        const row = entities[index]?.row;
        const wrong = target.view.features.filter(({ name, type, graphqlField }) => {
          const value = event[name as keyof Transaction];
          const wanted = type === 'INT64' ? String(value) : value;
          return JSON.stringify(row?.[graphqlField]) !== JSON.stringify(wanted);
        });
        if (row?.eventTime === event.event_time && wrong.length === 0) continue;
        differences.push(`${view} ${id}: ${wrong.map(({ name }) => name).join(', ')} (${row?.status})`);
      }
    }
  }
  return differences;
}
