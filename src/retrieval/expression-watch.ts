/** Counts and logs the evaluations that exceeded their budget. One watch serves all plans of a process. */

/** How often the log says that evaluations exceeded their budget, in milliseconds. */
const LOG_EVERY = 10_000;

class ExpressionWatch {
  /** Evaluations of this process that exceeded their budget. */
  exceeded = 0;
  /** Where the warning goes; nowhere until the process has a log. */
  log: (message: string, fields: Readonly<Record<string, unknown>>) => void = () => {};
  #loggedAt = Number.NEGATIVE_INFINITY;

  /** Counts an evaluation of `feature` of `view`. Logs at most one line in LOG_EVERY. */
  note(view: string, feature: string): void {
    this.exceeded += 1;
    const now = performance.now();
    if (now - this.#loggedAt < LOG_EVERY) return;
    this.#loggedAt = now;
    const message = 'an expression exceeded its budget; its feature is null';
    this.log(message, { view, feature, exceeded: this.exceeded });
  }
}

/** The watch of this process. */
export const expressionWatch = new ExpressionWatch();
