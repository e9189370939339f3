/** Keeps the last log lines of a run for its job. */

const LINES = 20;
const LENGTH = 300;
/** Stack frames of Java and Python. They stay in the run's log file. */
const FRAME = /^\s*(?:at \S|\.\.\. \d+ more|File "|\^+$|Traceback )|^\s{4,}\S/;

/** Returns whether a line is blank or part of a stack trace, and so says nothing outside of the full log. */
export function isFrame(line: string): boolean {
  return line.trim() === '' || FRAME.test(line);
}

/** The last 20 lines of a run's log. */
export class LogTail {
  #lines: string[] = [];

  /** Adds a line unless it is part of a stack trace. Long lines are cut. */
  add(line: string): void {
    if (isFrame(line)) return;
    this.#lines.push(line.length > LENGTH ? `${line.slice(0, LENGTH - 1)}…` : line);
    if (this.#lines.length > LINES) this.#lines.shift();
  }

  /** The last lines, oldest first. */
  get lines(): readonly string[] {
    return [...this.#lines];
  }
}
