/** Runs the contenders of the point-in-time benchmark in rotating order, and prints medians and ratios. */
import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';

const run = promisify(execFile);
const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    postgres: { type: 'string' },
    folder: { type: 'string', default: mkdtempSync(join(tmpdir(), 'fstore-pit-')) },
    facts: { type: 'string', default: '1000000' },
    events: { type: 'string', default: '10000000' },
    labels: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    'skip-load': { type: 'boolean', default: false },
  },
});
const { postgres, folder, python } = values;
if (!postgres) throw new Error('--postgres needs the address of an empty database');

interface Measured {
  readonly rows: number;
  readonly nulls: number;
  readonly checksum: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakRssMb: number;
}

const peer = (verb: string, ...rest: string[]): [string, string[]] => [
  python,
  ['bench/point-in-time/peers.py', verb, folder, postgres, ...rest],
];
const fstore = (verb: string): [string, string[]] => [
  process.execPath,
  ['--import', 'tsx', 'bench/point-in-time/fstore.ts', verb, folder, postgres],
];
const WORKLOADS: Record<string, Record<string, [string, string[]]>> = {
  rows: {
    'fstore join': fstore('join'),
    'fstore job': fstore('job'),
    'feast-postgres': peer('feast-postgres'),
    'feast-duckdb': peer('feast-duckdb'),
    'duckdb-asof': peer('duckdb-asof'),
    'duckdb-asof-memory': peer('duckdb-asof-memory'),
  },
  windows: {
    'fstore join': fstore('windows'),
    'fstore job': fstore('windows-job'),
    'postgres-range-join': peer('postgres-range-join'),
  },
};

async function measure([command, args]: [string, string[]]): Promise<Measured> {
  const { stdout } = await run(command, args, { maxBuffer: 1 << 26 });
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Measured;
}

const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

if (!values['skip-load']) {
  const { facts, events, labels } = values;
  console.error('preparing the data');
  await run(...peer('prepare', facts, events, labels), { maxBuffer: 1 << 26 });
  await run(...fstore('load'), { maxBuffer: 1 << 26 });
}
console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`);
for (const [workload, contenders] of Object.entries(WORKLOADS)) {
  const names = Object.keys(contenders).filter((name) => !values.only || name.includes(values.only));
  const measured = new Map<string, Measured[]>(names.map((name) => [name, []]));
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(turn + round) % names.length]!;
      measured.get(name)!.push(await measure(contenders[name]!));
    }
  }
  const base = median((measured.get('fstore join') ?? []).map(({ seconds }) => seconds));
  console.log(
    `\n| ${workload} | seconds (median) | × fstore join | client CPU s | peak RSS MB | rows | nulls | checksum |`,
  );
  console.log('|---|---|---|---|---|---|---|---|');
  for (const [name, runs] of measured) {
    const [first] = runs;
    const seconds = median(runs.map((one) => one.seconds));
    const cells = [
      name,
      seconds.toFixed(2),
      (seconds / base).toFixed(1),
      median(runs.map((one) => one.cpuSeconds)).toFixed(2),
      median(runs.map((one) => one.peakRssMb)),
      first?.rows,
      first?.nulls,
      first?.checksum,
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
