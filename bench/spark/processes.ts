/** Who spends CPU: FStore, the Spark that it has started, and the servers. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Platform } from '../../test/system/platform.js';
import { type CpuSeconds, cpuSeconds, listenerOf } from '../ingest/meter.js';

export type Engine = 'builtin' | 'spark';
export const ENGINES: readonly Engine[] = ['builtin', 'spark'];

/** The first process of the run of Spark whose plan lies in this folder: spark-submit, which has become Java. */
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

/** CPU seconds so far, by process; `others` are processes that have a name of their own here. */
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

/** What was spent between two looks; a process that was not there at the first began at nothing. */
export function spentBetween(
  first: { readonly at: number; readonly cpu: CpuSeconds },
  last: { readonly at: number; readonly cpu: CpuSeconds },
): { readonly seconds: number; readonly cpu: CpuSeconds } {
  const spent = Object.entries(last.cpu).map(([name, value]) => [name, value - (first.cpu[name] ?? 0)] as const);
  return { seconds: (last.at - first.at) / 1000, cpu: Object.fromEntries(spent) };
}
