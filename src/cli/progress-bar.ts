/** A progress bar on stderr, so that stdout stays clean; nothing at all where nobody is watching. */

const WIDTH = 28;
const REDRAW_INTERVAL = 80;

export class ProgressBar {
  readonly #label: string;
  readonly #total: number | null;
  readonly #visible: boolean;
  readonly #startedAt = Date.now();
  #drawnAt = 0;

  /** `total`: how much there is to do; null if nobody knows. */
  constructor(label: string, total: number | null, stream: { readonly isTTY?: boolean } = process.stderr) {
    this.#label = label;
    this.#total = total;
    this.#visible = Boolean(stream.isTTY);
  }

  /** Shows that `done` of the total is done; `note` is added as it is. */
  show(done: number, note = ''): void {
    const now = Date.now();
    if (!this.#visible || now - this.#drawnAt < REDRAW_INTERVAL) return;
    this.#drawnAt = now;
    process.stderr.write(`\r\u001b[2K${this.#line(done, note)}`);
  }

  /** Takes the bar away; what it counted is printed by whoever asked for it. */
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
