/**
 * Prints transactions as NDJSON, ready for `fstore push transactions`.
 *
 *   npx tsx examples/fraud-detection/transactions.ts --count 1000 --seed 7 > transactions.ndjson
 *   npx tsx examples/fraud-detection/transactions.ts --count 1000 --seed 7 --labels labels.ndjson > transactions.ndjson
 *   npx tsx examples/fraud-detection/transactions.ts --count 100000 --seed 7 --spine spine.csv > transactions.ndjson
 */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { generateTransactions, separateLabel } from '../../src/cli/demo/transactions.js';

const HELP = `Options:
  --count <n>      how many transactions (default 100000)
  --seed <n>       equal seeds give equal transactions (default 1)
  --users <n>      how many users (default 2000)
  --merchants <n>  how many merchants (default 300)
  --end <time>     instant of the last one, ISO 8601 (default: a minute ago)
  --days <n>       days from the first to the last (default 7)
  --fraud <share>  share that belongs to a fraud pattern (default 0.02)
  --late <share>   share that arrives late and out of order (default 0)
  --labels <file>  write {transaction_id, label, pattern} there, one a line
  --spine <file>   write the spine of a training set there, as CSV: keys, time, request data and label of each
`;

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    help: { type: 'boolean' },
    ...{ count: text, seed: text, users: text, merchants: text, end: text, days: text },
    ...{ fraud: text, late: text, labels: text, spine: text },
  },
});

function readNumber(name: 'count' | 'seed' | 'users' | 'merchants' | 'days' | 'fraud' | 'late', fallback: number) {
  const number = values[name] === undefined ? fallback : Number(values[name]);
  if (Number.isFinite(number) && number >= 0) return number;
  process.stderr.write(`--${name} is ${values[name]}; it is a number\n\n${HELP}`);
  process.exit(2);
}

if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const end = values.end === undefined ? Date.now() - 60_000 : Date.parse(values.end);
const labels = values.labels === undefined ? null : createWriteStream(values.labels);
const spine = values.spine === undefined ? null : createWriteStream(values.spine);
const SPINE = ['transaction_id', 'user_id', 'merchant_id', 'card_id', 'event_time', 'amount', 'country'] as const;
spine?.write(`${SPINE.join(',')},label\n`);
// `… | head`: the reader has what it wanted.
process.stdout.on('error', () => process.exit(0));

const transactions = generateTransactions({
  seed: readNumber('seed', 1),
  count: readNumber('count', 100_000),
  users: readNumber('users', 2_000),
  merchants: readNumber('merchants', 300),
  start: end - readNumber('days', 7) * 86_400_000,
  end,
  fraudShare: readNumber('fraud', 0.02),
  lateShare: readNumber('late', 0),
});
/** Writes a line, and waits where the reader is slower than we are. */
async function writeLine(stream: Writable, line: string): Promise<void> {
  if (!stream.write(`${line}\n`)) await once(stream, 'drain');
}

for (const transaction of transactions) {
  const { event, label } = separateLabel(transaction);
  if (labels) await writeLine(labels, JSON.stringify(label));
  // No field needs a quote: ids, a time, a number, two letters.
  if (spine) await writeLine(spine, `${SPINE.map((name) => event[name]).join(',')},${label.label}`);
  await writeLine(process.stdout, JSON.stringify(event));
}
labels?.end();
spine?.end();
