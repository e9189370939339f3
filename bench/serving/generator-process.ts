/** The load generator as its parent sees it. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Load, LoadReport } from './load.js';

/** Starts and controls the load generator's process. */
export class GeneratorProcess {
  readonly #child: ChildProcess;

  constructor() {
    const file = fileURLToPath(new URL('load-generator.ts', import.meta.url));
    // JSON would turn into null the NaN of a load without answers.
    this.#child = fork(file, { execArgv: ['--import', 'tsx'], serialization: 'advanced' });
  }

  run(load: Load): Promise<LoadReport> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error('the load generator has ended'));
      this.#child.once('exit', onExit);
      this.#child.once('message', ({ report, error }: { report?: LoadReport; error?: string }) => {
        this.#child.off('exit', onExit);
        if (report) resolve(report);
        else reject(new Error(`the load generator failed: ${error}`));
      });
      this.#child.send(load);
    });
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }
}
