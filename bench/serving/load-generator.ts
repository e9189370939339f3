/**
 * The load generator's process. It takes one order after the other from its parent and answers each with a report. It
 * is a separate process so that its work does not add to the latency of others. Its CPU time is reported as
 * `generator`.
 */
import { CpuClock } from '../measure/cpu-clock.js';
import { LatencyHistogram } from '../measure/latency-histogram.js';
import { type Answer, HttpConnection } from './http-connection.js';
import type { ClosedLoad, Load, LoadReport, LoadTarget, PhaseReport } from './load.js';
import { OpenLoop } from './open-loop.js';
import { RequestList } from './request-list.js';
import { PREFIXES, workloadNamed } from './workload.js';

function requestsOf({ workload, door, port, entities, seed }: LoadTarget): RequestList {
  return new RequestList(workloadNamed(workload), door, port, entities, seed);
}

async function runClosed(load: ClosedLoad): Promise<LoadReport> {
  const requests = requestsOf(load);
  const none = new LatencyHistogram();
  let histogram = none;
  let [refused, failed, running] = [0, 0, true];
  const onAnswer = (connection: HttpConnection, { status, good }: Answer): void => {
    const now = performance.now();
    if (status === 200 && good) histogram.record(now - connection.sent);
    else if (status === 503) refused += 1;
    else failed += 1;
    if (!running) return;
    connection.sent = now;
    connection.send(requests.next());
  };
  const connections = Array.from(
    { length: load.connections },
    () => new HttpConnection(load.port, PREFIXES[load.door], onAnswer),
  );
  await Promise.all(connections.map((connection) => connection.open()));
  for (const connection of connections) {
    connection.sent = performance.now();
    connection.send(requests.next());
  }
  await wait(load.warmupMs / 2);
  // Half-way through the warm-up, so that the processes that a server starts at its first request exist already.
  const clock = new CpuClock({ ...load.processes, generator: process.pid });
  await wait(load.warmupMs / 2);
  const before = clock.read();
  const measured = new LatencyHistogram();
  [histogram, refused, failed] = [measured, 0, 0];
  const started = performance.now();
  await wait(load.measuredMs);
  const ms = performance.now() - started;
  const [counted, good] = [{ refused, failed }, measured.total];
  const latency = measured.percentiles();
  const cpu = CpuClock.between(before, clock.read());
  running = false;
  for (const connection of connections) connection.close();
  const phase: PhaseReport = {
    ...{ name: 'measured', ms, offered: good + refused + failed, good, ...counted, timedOut: 0 },
    ...{ latency, lateness: none.percentiles(), cpu },
  };
  return { phases: [phase], windows: [] };
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function run(load: Load): Promise<LoadReport> {
  if (load.kind === 'closed') return runClosed(load);
  const clock = new CpuClock({ ...load.processes, generator: process.pid });
  return new OpenLoop(load, requestsOf(load), clock).run();
}

process.on('disconnect', () => process.exit(0));
process.on('message', (load: Load) => {
  run(load).then(
    (report) => process.send?.({ report }),
    (failure) => process.send?.({ error: failure instanceof Error ? failure.stack : String(failure) }),
  );
});
