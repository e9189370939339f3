/** The demo as a test of a real server, which runs in its own process, is killed and restarts. */
import { join } from 'node:path';
import { GraphqlClient } from '../graphql-client.js';
import { printLines } from '../output.js';
import { colorsFor } from '../terminal-color.js';
import { createEvents } from './example.js';
import { createDataFolder, findFreePort, findPostgres, ServerProcess } from './server-process.js';
import { findDifferences, poll, printStep, pushEvents, walkThrough } from './walkthrough.js';

type Report = (passed: boolean, what: string, detail?: string) => void;

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

function describeDifferences(differences: readonly string[]): string {
  const shown = differences.slice(0, 3).join('; ');
  return `${differences.length} differ: ${shown}`;
}

async function runChecks(server: ServerProcess, folder: string, count: number, report: Report): Promise<void> {
  const client = new GraphqlClient({ url: server.url });
  const events = createEvents(count, Date.now() - 1_000);
  const cut = Math.floor(count * 0.8);
  const first = events.slice(0, cut);
  const rest = events.slice(cut);

  printStep('Start a server in a process of its own');
  let since = performance.now();
  await server.start();
  report(true, `server ready with embedded stores in ${seconds(since)}`);

  const seen = await walkThrough(client, first);
  printStep('Check what was seen');
  report(seen.changes > 0, `definitions applied: ${seen.changes} changes`);
  report(
    // The output of a transformer is UNAVAILABLE until the transformer is fitted.
    seen.before.statuses.every(({ status }) => status === 'NOT_FOUND' || status === 'UNAVAILABLE'),
    'before any event nothing is known',
  );
  report(seen.accepted === first.length, `${seen.accepted} events accepted`);
  report(
    // A window without events has no sum, so not every feature is PRESENT.
    seen.after.statuses.every(({ status }) => status !== 'NOT_FOUND' && status !== 'OUTSIDE_MAX_AGE') &&
      seen.after.statuses.some(({ status }) => status === 'PRESENT'),
    'after the events every feature is there',
  );
  report(seen.update !== null, 'the subscription received the update of the last event');
  const settle = (all: typeof events) =>
    poll(async () => ((await findDifferences(client, all)).length === 0 ? true : null), 20_000);
  const settled = await settle(first);
  report(
    settled === true,
    'values of all users, merchants and cards are those of their newest event',
    settled ? undefined : describeDifferences(await findDifferences(client, first)),
  );

  printStep(`Push ${rest.length} more, and kill -9 the server the moment they are acknowledged`);
  const acknowledged = await pushEvents(client, rest);
  await server.kill();
  report(acknowledged === rest.length, `${acknowledged} more accepted; server killed`);
  const gone = await fetch(`${server.url}/health`).then(
    () => false,
    () => true,
  );
  report(gone, 'the server no longer answers');

  printStep('Start it again on the same data folder');
  since = performance.now();
  await server.start();
  report(true, `ready again in ${seconds(since)}`);
  since = performance.now();
  const recovered = await settle(events);
  report(
    recovered === true,
    `no acknowledged event is lost: all values are right ${seconds(since)} later`,
    recovered ? undefined : describeDifferences(await findDifferences(client, events)),
  );

  printStep('Stop it');
  report((await server.stop()) === 0, 'the server stops with exit code 0 when asked to');
  const left = await findPostgres(join(folder, 'data'));
  report(
    left.length === 0,
    'no process is left behind',
    left.length === 0 ? undefined : `PostgreSQL ${left.join(', ')}`,
  );
}

/** Runs the demo with all checks. Resolves to true if all passed. It leaves no process and no file behind. */
export async function runCheck(count: number): Promise<boolean> {
  const { green, red, bold } = colorsFor(process.stdout);
  let passed = 0;
  let failed = 0;
  const report: Report = (ok, what, detail) => {
    if (ok) passed += 1;
    else failed += 1;
    printLines([`${ok ? green('ok    ') : red(bold('FAILED'))} ${what}${detail ? ` — ${detail}` : ''}`]);
  };
  const since = performance.now();
  const folder = await createDataFolder();
  const server = new ServerProcess(folder, await findFreePort());
  // Clean up after an interrupted check too.
  const interrupt = (): void => void server.cleanUp().then(() => process.exit(130));
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    await runChecks(server, folder, count, report);
  } catch (error) {
    report(false, 'the demo runs through', (error as Error).message);
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    await server.cleanUp();
  }
  printLines(['', `${passed} ok, ${failed} failed, in ${seconds(since)}`]);
  return failed === 0;
}
