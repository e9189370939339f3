/**
 * How large an answer may become where graphql-js makes it: bytes are counted while resolvers produce values, so that an answer that is
 * far too large is refused early, and not once it has been built.
 *
 * Invariants
 * 1. What is counted is at most what JSON takes: names and values without escapes. So an answer within the limit is never refused here.
 *    Over HTTP the exact length is checked once more before an answer is sent.
 * 2. Once the limit is exceeded, no resolver does any more work: each gets a promise that stays open, and the operation is refused as a whole.
 */
import { type ExecutionArgs, type ExecutionResult, execute, GraphQLError } from 'graphql';
import { FStoreError } from '../errors.js';

/** The error for an answer of more than `limit` bytes; the same on every transport. */
export function responseTooLarge(limit: number): FStoreError {
  return new FStoreError('RESPONSE_TOO_LARGE', `the answer has more than ${limit} bytes`);
}

/** So many of the largest answers may be in memory at the same time: while they are made, and while they wait to be sent. */
const LARGEST_ANSWERS = 8;
/** Bytes up to which an answer is not counted: the limit of requests in flight bounds those. */
export const PORTION = 65_536;

/** Memory that large answers of all requests of a process take. While there is no room for another, small ones are answered as ever. */
export class AnswerMemory {
  #held = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #max: number;

  /** `limit`: the most bytes that one answer may have. */
  constructor(readonly limit: number) {
    this.#max = LARGEST_ANSWERS * limit;
  }

  /** Counts `bytes` of an answer until the function that is returned is called. Throws OVERLOADED if there is no room for them. */
  hold(bytes: number): () => void {
    this.take(bytes);
    return () => this.free(bytes);
  }

  /** Throws OVERLOADED. */
  take(bytes: number): void {
    if (this.#held + bytes > this.#max) {
      throw new FStoreError(
        'OVERLOADED',
        'large answers, which are made or wait to be sent, take all of the memory for them',
      );
    }
    this.#held += bytes;
  }

  free(bytes: number): void {
    this.#held -= bytes;
  }

  /** Calls `next` in a turn of the event loop of its own: turning a large answer into text takes some 10 ms for each megabyte. */
  pass(next: () => void): void {
    this.#waiting.push(next);
    if (this.#waiting.length === 1) setImmediate(() => this.#passNext());
  }

  #passNext(): void {
    this.#waiting[0]?.();
    this.#waiting.shift();
    if (this.#waiting.length > 0) setImmediate(() => this.#passNext());
  }
}

/** What JSON takes at least for a value. */
function leastBytes(value: unknown): number {
  if (typeof value === 'string') return value.length + 2;
  if (value === null || value === undefined) return 4;
  if (!Array.isArray(value)) return 1;
  let sum = 2;
  for (let index = 0; index < value.length; index += 1) sum += leastBytes(value[index]) + 1;
  return sum;
}

/** The bytes that the answer of one operation, or of one event of a subscription, may have. */
export class ResponseBudget {
  readonly #memory: AnswerMemory;
  #counted = 0;
  #held = 0;
  #error: FStoreError | null = null;
  #refuse: (error: FStoreError) => void = () => {};
  /** Never resolves. One for each budget: a promise keeps whatever waits for it. */
  readonly #open = new Promise<never>(() => {});

  constructor(memory: AnswerMemory) {
    this.#memory = memory;
  }

  /** Counts a field of the answer. Returns its value; once the limit is exceeded, a promise that stays open. */
  show<T>(name: string | number, value: T): T | Promise<never> {
    const length = typeof name === 'string' ? name.length : 1;
    return this.count(length + 4 + leastBytes(value)) ? value : this.#open;
  }

  /** Counts bytes; returns false once the limit is exceeded. */
  count(bytes: number): boolean {
    this.#counted += bytes;
    if (this.#counted - this.#held >= PORTION) this.#hold();
    return this.#error === null;
  }

  /** Refuses the operation as a whole with an error that says that it is too large; throws any other. */
  refuse(error: unknown): Promise<never> {
    const refusal = refusalOfAnswer(error);
    if (!refusal) throw error;
    this.#error ??= refusal;
    this.#refuse(this.#error);
    return this.#open;
  }

  /** Runs an operation, or refuses it as soon as its answer is too large. */
  run(args: ExecutionArgs): ExecutionResult | Promise<ExecutionResult> {
    const result = execute(args);
    if (this.#error) return this.#end(this.#error);
    if (!('then' in result)) return this.#release(result);
    return new Promise((resolve, reject) => {
      this.#refuse = (error) => resolve(this.#end(error));
      result.then((value) => {
        if (this.#held === 0) resolve(value);
        else this.#memory.pass(() => resolve(this.#release(value)));
      }, reject);
    });
  }

  #hold(): void {
    if (this.#error) return;
    const { limit } = this.#memory;
    try {
      if (this.#counted > limit) throw responseTooLarge(limit);
      this.#memory.take(this.#counted - this.#held);
      this.#held = this.#counted;
    } catch (error) {
      this.#error = error as FStoreError;
      this.#refuse(this.#error);
    }
  }

  #release<T>(result: T): T {
    this.#memory.free(this.#held);
    this.#held = 0;
    return result;
  }

  #end(error: FStoreError): ExecutionResult {
    const extensions = { http: { status: error.entry.status } };
    return this.#release({ errors: [new GraphQLError(error.message, { originalError: error, extensions })] });
  }
}

/** The error if `error` says that an answer is too large, or that there is no room for another large one; else null. */
export function refusalOfAnswer(error: unknown): FStoreError | null {
  return error instanceof FStoreError && (error.code === 'RESPONSE_TOO_LARGE' || error.code === 'OVERLOADED')
    ? error
    : null;
}
