/**
 * Jest's environment for Node, in which every time limit of a test or hook, declared or not, is multiplied by FSTORE_TEST_TIME_FACTOR. Such a
 * limit guards against hanging only, so no test has to scale it.
 */
import { TestEnvironment } from 'jest-environment-node';

const factor = Math.max(Number(process.env.FSTORE_TEST_TIME_FACTOR ?? 1), 1);

export default class ScaledEnvironment extends TestEnvironment {
  /** A hook starts once for each test: its limit is scaled the first time only. */
  #scaled = new WeakSet();

  handleTestEvent(event, state) {
    const limited = event.name === 'test_fn_start' ? event.test : event.name === 'hook_start' ? event.hook : null;
    if (limited === null || this.#scaled.has(limited)) return;
    this.#scaled.add(limited);
    limited.timeout = Math.ceil((limited.timeout ?? state.testTimeout) * factor);
  }
}
