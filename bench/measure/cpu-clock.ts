/**
 * CPU time of processes and their descendants, read within microseconds. The load generator reads it between two
 * requests, and a scan of all of /proc would add to the latencies. So descendants are looked up once. Linux only.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { CpuSeconds } from '../ingest/meter.js';

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

interface ProcessStat {
  readonly parent: number;
  /** CPU seconds of the process, including those of its ended children. */
  readonly seconds: number;
}

function statOf(pid: number): ProcessStat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, one) => sum + Number(one), 0);
    return { parent: Number(fields[1]), seconds: ticks / TICKS_PER_SECOND };
  } catch {
    // It has ended meanwhile; its time counts for its parent.
    return null;
  }
}

function machineBusy(): number {
  const line = /^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'latin1'))![1]!;
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(' ').map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

function childrenByParent(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = statOf(Number(name))?.parent;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  return children;
}

/** Reads the CPU time of a fixed set of processes. */
export class CpuClock {
  readonly #processes: readonly (readonly [name: string, pids: readonly number[]])[];

  /** Looks up the current descendants of each root. Descendants that have a name of their own count under it. */
  constructor(roots: Readonly<Record<string, number | null>>) {
    const children = childrenByParent();
    const named = new Set(Object.values(roots));
    const below = (pid: number): number[] =>
      (children.get(pid) ?? []).filter((child) => !named.has(child)).flatMap((child) => [child, ...below(child)]);
    this.#processes = Object.entries(roots).flatMap(([name, pid]) =>
      pid === null ? [] : [[name, [pid, ...below(pid)]] as const],
    );
  }

  /** Returns the seconds so far of each named process, and of the `machine` for all processes. */
  read(): CpuSeconds {
    const seconds = this.#processes.map(([name, pids]) => {
      return [name, pids.reduce((sum, pid) => sum + (statOf(pid)?.seconds ?? 0), 0)] as const;
    });
    return { ...Object.fromEntries(seconds), machine: machineBusy() };
  }

  /** Returns the seconds between two readings. */
  static between(before: CpuSeconds, after: CpuSeconds): CpuSeconds {
    return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? value)]));
  }
}
