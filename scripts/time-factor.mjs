/**
 * Prints FSTORE_TEST_TIME_FACTOR: how many times as long a fixed piece of work takes now, on each core at once, as on a quiet machine. It is
 * at least 1 and at most 6, with one digit behind the point. It takes about a second on a quiet machine.
 */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

/** Milliseconds of one round on a quiet machine: measured on two cores of a cloud server, Node 20. */
const QUIET_MS = 300;
const ROUNDS = 3;
const MAX_FACTOR = 6;

/** JavaScript and native code in equal parts, as tests have them. */
function work() {
  let text = 'fstore';
  let sum = 0;
  for (let round = 0; round < 110_000; round += 1) {
    text = createHash('sha256').update(text).digest('hex');
    for (let at = 0; at < text.length; at += 1) sum = (sum * 31 + text.charCodeAt(at)) % 1_000_003;
  }
  return sum;
}

if (isMainThread) {
  const workers = Array.from({ length: availableParallelism() }, () => new Worker(new URL(import.meta.url)));
  const answer = (worker) => new Promise((resolve) => worker.once('message', resolve));
  await Promise.all(workers.map(answer));
  const rounds = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    const begun = performance.now();
    const answers = workers.map(answer);
    for (const worker of workers) worker.postMessage('go');
    await Promise.all(answers);
    // The first round compiles the code.
    if (round > 0) rounds.push(performance.now() - begun);
  }
  if (process.argv.includes('--measure')) console.error(rounds);
  const median = rounds.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)];
  console.log(Math.min(Math.max(median / QUIET_MS, 1), MAX_FACTOR).toFixed(1));
  await Promise.all(workers.map((worker) => worker.terminate()));
} else {
  parentPort.on('message', () => parentPort.postMessage(work()));
  parentPort.postMessage('ready');
}
