/** CPU time and memory of processes and their descendants, from /proc. Linux only. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

interface ProcessTimes {
  readonly parent: number;
  /** CPU seconds of the process, including those of its ended children. */
  readonly seconds: number;
}

function processTimes(): Map<number, ProcessTimes> {
  const times = new Map<number, ProcessTimes>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = text
        .slice(text.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number);
      const ticks = fields.slice(11, 15).reduce((sum, one) => sum + one, 0);
      times.set(Number(name), { parent: fields[1]!, seconds: ticks / TICKS_PER_SECOND });
    } catch {
      // It has ended meanwhile; its time counts for its parent.
    }
  }
  return times;
}

/** Returns the seconds for which all CPUs were busy since the machine started, for any process. */
function machineBusy(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = /^cpu +(.*)$/m
    .exec(readFileSync('/proc/stat', 'utf8'))![1]!
    .split(' ')
    .map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/** CPU seconds by name. */
export type CpuSeconds = Readonly<Record<string, number>>;

/**
 * Returns the CPU seconds so far of each named process and its descendants that have no name here, and of the
 * `machine`.
 */
export function cpuSeconds(roots: Readonly<Record<string, number | null>>): CpuSeconds {
  const times = processTimes();
  const named = new Set(Object.values(roots));
  const children = new Map<number, number[]>();
  for (const [pid, { parent }] of times) {
    if (!named.has(pid)) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const sumOf = (pid: number): number =>
    (children.get(pid) ?? []).reduce((sum, child) => sum + sumOf(child), times.get(pid)?.seconds ?? 0);
  const seconds = Object.entries(roots).flatMap(([name, pid]) => (pid === null ? [] : [[name, sumOf(pid)] as const]));
  return { ...Object.fromEntries(seconds), machine: machineBusy() };
}

/** Returns the process that listens on a port of this machine, or null if it cannot be found. */
export function listenerOf(port: number): number | null {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes = new Set(
    ['tcp', 'tcp6'].flatMap((table) =>
      readFileSync(`/proc/net/${table}`, 'utf8')
        .split('\n')
        .map((line) => line.trim().split(/\s+/))
        .filter((fields) => fields[1]?.endsWith(`:${wanted}`) && fields[3] === '0A')
        .map((fields) => `socket:[${fields[9]}]`),
    ),
  );
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = pids.filter((pid) => {
    try {
      return readdirSync(`/proc/${pid}/fd`).some((fd) => {
        try {
          return inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`));
        } catch {
          return false;
        }
      });
    } catch {
      return false;
    }
  });
  // Children of a server share its socket; the oldest process is the server.
  return found.length > 0 ? Math.min(...found.map(Number)) : null;
}

/** Returns the megabytes of a process in memory: now, and at most so far. */
export function memoryMb(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (name: string): number =>
    Math.round(Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) / 1024);
  return { now: megabytes('VmRSS'), peak: megabytes('VmHWM') };
}
