/**
 * Starts programs that cannot outlive this process, even if it is killed with SIGKILL.
 *
 * `sh` forks a watcher and then becomes the program (`exec`). So the pid is the program's own, and its exit code is
 * unchanged. The watcher is detached from the program and reads a pipe whose other end only this process holds:
 *   a line       → this process has seen the program end. The watcher exits, as the pid may belong to another process.
 *   end of file  → this process is gone. The watcher sends the stop signal, and SIGKILL ten seconds later (scaled).
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { scaled } from './time-factor.js';

const graceSeconds = scaled(10_000) / 1_000;

const supervisor = `
( (
  if read -r line <&3; then exit 0; fi
  kill -s "$STOP_SIGNAL" $$ 2>/dev/null
  i=0
  while [ $i -lt ${Math.ceil(graceSeconds * 10)} ] && kill -0 $$ 2>/dev/null; do sleep 0.1; i=$((i+1)); done
  kill -s KILL $$ 2>/dev/null
) </dev/null >/dev/null 2>&1 & )
unset STOP_SIGNAL
exec "$@" 3<&-
`;

/** How a process ended; exactly one of the two is not null. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** How to run a program. */
export interface ProcessOptions {
  /** Variables added to this process's own environment; undefined removes a variable. */
  readonly env?: Record<string, string | undefined>;
  readonly cwd?: string;
  /** Run as this user; only root may set it. */
  readonly uid?: number;
  readonly gid?: number;
  /** File that standard output and standard error are appended to. Without it, they go to those of this process. */
  readonly logFile?: string;
  /** The signal that stops the program; SIGTERM by default. PostgreSQL needs SIGINT. */
  readonly stopSignal?: 'SIGTERM' | 'SIGINT';
  /** Keep the terminal, so that standard input and Ctrl-C reach the program. */
  readonly foreground?: boolean;
}

/** A started program. */
export interface RunningProcess {
  /** The program's own pid, not that of a shell. */
  readonly pid: number;
  /** Resolves when the program has ended; never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Sends a signal to the program itself. Returns false if it has already ended. */
  kill(signal: NodeJS.Signals): boolean;
  /** Stops the program, and kills it after ten seconds (scaled). Resolves when it has ended. */
  stop(): Promise<ProcessExit>;
  /** Returns the last lines of the log file for error messages; empty without a log file. */
  logTail(lines?: number): string;
}

/**
 * Starts a program under the supervisor above.
 *
 * @param command a program on PATH, or the path of one
 * @returns the running program; it may end at once, for instance with code 127 if `command` does not exist
 * @throws if no process can be started at all
 */
export function startProcess(command: string, args: readonly string[], options: ProcessOptions = {}): RunningProcess {
  const { logFile, stopSignal = 'SIGTERM', foreground = false } = options;
  const log = logFile === undefined ? undefined : openSync(logFile, 'a');
  const output = log ?? 'inherit';
  const child = spawn('sh', ['-c', supervisor, 'sh', command, ...args], {
    env: { ...process.env, ...options.env, STOP_SIGNAL: stopSignal.slice(3) },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
    // A session of its own, so that Ctrl-C reaches only this process, which stops servers after the tests that use
    // them.
    detached: !foreground,
    stdio: [foreground ? 'inherit' : 'ignore', output, output, 'pipe'],
  });
  if (log !== undefined) closeSync(log);
  const lifeline = child.stdio[3] as Writable;
  lifeline.on('error', () => {});
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once('exit', (code, signal) => {
      lifeline.end('gone\n', () => lifeline.destroy());
      resolve({ code, signal });
    });
    child.once('error', () => resolve({ code: 127, signal: null }));
  });
  if (child.pid === undefined) throw new Error(`can not start ${command}: is there an "sh" on PATH?`);
  return {
    pid: child.pid,
    exited,
    kill: (signal) => child.kill(signal),
    async stop() {
      child.kill(stopSignal);
      const timer = setTimeout(() => child.kill('SIGKILL'), graceSeconds * 1_000);
      const exit = await exited;
      clearTimeout(timer);
      return exit;
    },
    logTail(lines = 30) {
      if (logFile === undefined) return '';
      return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
    },
  };
}

/**
 * Runs a program to its end.
 *
 * @throws with the end of its log if its exit code is not 0
 */
export async function runProcess(command: string, args: readonly string[], options: ProcessOptions = {}) {
  const running = startProcess(command, args, options);
  const { code, signal } = await running.exited;
  if (code !== 0) throw new Error(`${command} ended with ${signal ?? `code ${code}`}\n${running.logTail()}`);
}

/**
 * Repeats a probe until it succeeds. `timeoutMs` is the limit on a quiet machine; it is scaled here.
 *
 * @param probe throws while the server is not ready
 * @returns the result of the probe
 * @throws with the end of the process's log if the process ends first, or with the last failure when the time is over
 */
export async function whenReady<T>(
  running: RunningProcess,
  probe: () => Promise<T>,
  { timeoutMs = 60_000, everyMs = 50 } = {},
): Promise<T> {
  let ended: ProcessExit | undefined;
  void running.exited.then((exit) => {
    ended = exit;
  });
  const limit = scaled(timeoutMs);
  const deadline = Date.now() + limit;
  for (;;) {
    try {
      return await probe();
    } catch (failure) {
      const state = ended as ProcessExit | undefined;
      if (state) throw new Error(`it ended with ${state.signal ?? `code ${state.code}`}\n${running.logTail()}`);
      if (Date.now() > deadline) {
        throw new Error(`not ready after ${limit} ms: ${String(failure)}\n${running.logTail()}`);
      }
      await sleep(everyMs);
    }
  }
}
