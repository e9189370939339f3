/** The last lines of what a run said, as a job shows them. */

const LINES = 20;
const LENGTH = 300;
/** Frames of a stack in Java and Python: they are in the log of the run. */
const FRAME = /^\s*(?:at \S|\.\.\. \d+ more|File "|\^+$|Traceback )|^\s{4,}\S/;

/** True for a line that tells nothing to whoever does not read the log itself. */
export function isFrame(line: string): boolean {
  return line.trim() === '' || FRAME.test(line);
}

export class LogTail {
  #lines: string[] = [];

  /** Adds a line, unless it is a frame. */
  add(line: string): void {
    if (isFrame(line)) return;
    this.#lines.push(line.length > LENGTH ? `${line.slice(0, LENGTH - 1)}…` : line);
    if (this.#lines.length > LINES) this.#lines.shift();
  }

  get lines(): readonly string[] {
    return [...this.#lines];
  }
}
