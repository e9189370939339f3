/**
 * Summarizes where a process spent its time, from a profile of `node --cpu-prof`.
 *
 *   tsx bench/ingest/profile.ts <file.cpuprofile> [how many]
 */
import { readFileSync } from 'node:fs';

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** The self time of a function or a file. */
export interface FunctionTime {
  readonly where: string;
  readonly selfMs: number;
  /** Share of the time in which the process was not idle. */
  readonly share: number;
}

/** A summary of one profile. */
export interface ProfileSummary {
  readonly busyMs: number;
  readonly idleMs: number;
  readonly functions: readonly FunctionTime[];
  /** Self time by package, or by file of FStore. */
  readonly places: readonly FunctionTime[];
}

function placeOf(url: string): string {
  const library = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  if (library) return library;
  return /\/dist\/(.+)$/.exec(url)?.[1] ?? (url === '' ? '(native)' : url);
}

/** Returns the functions and files with the most self time in a profile. */
export function summarizeProfile(file: string, limit: number): ProfileSummary {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
  const frames = new Map(nodes.map((node) => [node.id, node.callFrame]));
  const functions = new Map<string, number>();
  const places = new Map<string, number>();
  let [busyMs, idleMs] = [0, 0];
  for (const [index, sample] of samples.entries()) {
    const time = (timeDeltas[index] ?? 0) / 1000;
    const { functionName, url, lineNumber } = frames.get(sample)!;
    if (functionName === '(idle)') {
      idleMs += time;
      continue;
    }
    busyMs += time;
    const place = placeOf(url);
    const file =
      url === '' ? '' : ` ${place}${url.includes('node_modules') ? `/${url.split('/').at(-1)}` : ''}:${lineNumber + 1}`;
    const where = `${functionName || '(anonymous)'}${file}`;
    functions.set(where, (functions.get(where) ?? 0) + time);
    const group = url === '' ? functionName || '(native)' : place;
    places.set(group, (places.get(group) ?? 0) + time);
  }
  const ranked = (times: Map<string, number>): FunctionTime[] =>
    [...times]
      .map(([where, selfMs]) => ({ where, selfMs, share: selfMs / busyMs }))
      .sort((a, b) => b.selfMs - a.selfMs)
      .slice(0, limit);
  return { busyMs, idleMs, functions: ranked(functions), places: ranked(places) };
}

/** Returns a summary as lines of text. */
export function describeProfile({ busyMs, idleMs, functions, places }: ProfileSummary): string {
  const line = ({ where, selfMs, share }: FunctionTime): string =>
    `  ${(share * 100).toFixed(1).padStart(5)} %  ${selfMs.toFixed(0).padStart(6)} ms  ${where}`;
  return [
    `busy ${busyMs.toFixed(0)} ms, idle ${idleMs.toFixed(0)} ms`,
    'by place',
    ...places.map(line),
    'by function',
    ...functions.map(line),
  ].join('\n');
}

if (process.argv[1]?.endsWith('profile.ts')) {
  const [file, limit = '30'] = process.argv.slice(2);
  if (!file) throw new Error('usage: profile.ts <file.cpuprofile> [how many]');
  process.stdout.write(`${describeProfile(summarizeProfile(file, Number(limit)))}\n`);
}
