/** A progress bar on stderr, which keeps stdout clean. Without a terminal it prints nothing. */

const WIDTH = 28;
const REDRAW_INTERVAL = 80;

/** A progress bar with a label. */
export class ProgressBar {
  readonly #label: string;
  readonly #total: number | null;
  readonly #visible: boolean;
  readonly #startedAt = Date.now();
  #drawnAt = 0;

  /** `total` is the amount of work in any unit; null if it is unknown. */
  constructor(label: string, total: number | null, stream: { readonly isTTY?: boolean } = process.stderr) {
    this.#label = label;
    this.#total = total;
    this.#visible = Boolean(stream.isTTY);
  }

  /** Shows that `done` of the total is done, followed by `note`. Redraws at most every 80 ms. */
  show(done: number, note = ''): void {
    const now = Date.now();
    if (!this.#visible || now - this.#drawnAt < REDRAW_INTERVAL) return;
    this.#drawnAt = now;
    process.stderr.write(`\r\u001b[2K${this.#line(done, note)}`);
  }

  /** Removes the bar from the terminal. */
  clear(): void {
    if (this.#visible && this.#drawnAt > 0) process.stderr.write('\r\u001b[2K');
  }

  #line(done: number, note: string): string {
    if (this.#total === null || this.#total === 0) {
      const seconds = Math.round((Date.now() - this.#startedAt) / 1000);
      return `${this.#label} ${seconds} s ${note}`;
    }
    const share = Math.min(1, done / this.#total);
    const full = Math.round(share * WIDTH);
    const bar = '█'.repeat(full) + '░'.repeat(WIDTH - full);
    return `${this.#label} ${bar} ${Math.floor(share * 100)} % ${note}`;
  }
}
