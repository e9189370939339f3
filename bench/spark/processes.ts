/** CPU time of FStore, of the Spark that it starts, and of the servers. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Platform } from '../../test/system/platform.js';
import { type CpuSeconds, cpuSeconds, listenerOf } from '../ingest/meter.js';

export type Engine = 'builtin' | 'spark';
export const ENGINES: readonly Engine[] = ['builtin', 'spark'];

/** Returns the first process of the Spark run whose plan is in this folder: spark-submit, which has become Java. */
function sparkOf(folder: string): number | null {
  const found = readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'latin1');
      return command.includes(folder) && command.includes('fstore_job.py');
    } catch {
      return false;
    }
  });
  return found.length > 0 ? Math.min(...found.map(Number)) : null;
}

/** Returns the CPU seconds so far, by process. `others` are further processes by name. */
export function processes(platform: Platform, fstore: number, others: Readonly<Record<string, number>>): CpuSeconds {
  const { environment, folder } = platform;
  const portOf = (address: string): number | null =>
    listenerOf(Number(/:(\d+)(?:\D|$)/.exec(address.replace(/^\w+:\/\/(?:[^@/]*@)?/, ''))?.[1]));
  return cpuSeconds({
    fstore,
    spark: sparkOf(folder),
    postgres: portOf(environment.FSTORE_POSTGRES_URL!),
    redis: portOf(environment.FSTORE_REDIS_URL!),
    kafka: portOf(environment.FSTORE_KAFKA_BROKERS!),
    ...others,
    bench: process.pid,
  });
}

/** Returns the CPU seconds between two samples. A process that was not in the first sample counts from zero. */
export function spentBetween(
  first: { readonly at: number; readonly cpu: CpuSeconds },
  last: { readonly at: number; readonly cpu: CpuSeconds },
): { readonly seconds: number; readonly cpu: CpuSeconds } {
  const spent = Object.entries(last.cpu).map(([name, value]) => [name, value - (first.cpu[name] ?? 0)] as const);
  return { seconds: (last.at - first.at) / 1000, cpu: Object.fromEntries(spent) };
}
