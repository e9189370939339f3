/**
 * The budget of one evaluation of an expression: steps for time, bytes for memory.
 *
 * Invariants
 * 1. An evaluation takes at most BASE_STEPS + STEPS_PER_INPUT × the size of its inputs, and never more than MAX_STEPS.
 * 2. An operation is charged before it scans or builds anything. So no text or list beyond the budget is ever built.
 * 3. Steps are counted, never measured: equal inputs exceed the budget on every machine, or on none.
 *
 * A step stands for about 10 ns. Operators outside of list macros are free, because an expression has at most
 * 1000 nodes. The state is one for the process: evaluation is synchronous, and one evaluation never starts another.
 */
import type { FeatureValue } from '../definition/value-type.js';

/** Steps of an evaluation with small inputs, about 10 ms. */
export const BASE_STEPS = 1_000_000;
/** Further steps for each character of the texts among the inputs. An item of a list counts as ITEM_SIZE characters. */
export const STEPS_PER_INPUT = 4;
export const ITEM_SIZE = 8;
/** The most steps of one evaluation, about 50 ms. */
export const MAX_STEPS = 5_000_000;
/** Bytes of all texts (2 for each UTF-16 code unit) and lists (8 for each item) that one evaluation makes. */
export const MAX_BYTES = 16_000_000;
/** Steps of all evaluations of one request, about 200 ms. */
export const REQUEST_STEPS = 20_000_000;
/** Steps that an evaluation may take although its request has spent its steps, about 0.1 ms. */
export const CHEAP_STEPS = 10_000;
/** Characters that an operation scans in one step. */
const SCANNED = 8;

/** The steps that the evaluations of one request have taken. */
export class ExpressionWork {
  spent = 0;
}

class BudgetExceeded {}
/** Thrown to leave an evaluation. One object, because an error would record a stack. */
const EXCEEDED = new BudgetExceeded();

const NO_INPUTS: readonly FeatureValue[] = [];
/** Steps and bytes that are left. Between evaluations they have the values of a new one. */
let steps = BASE_STEPS;
let bytes = MAX_BYTES;
/** Steps that the evaluation has been given so far. */
let given = BASE_STEPS;
let inputs = NO_INPUTS;
let request: ExpressionWork | undefined;

/** Begins an evaluation. `work` is that of the request; without it, only the evaluation itself is limited. */
export function beginEvaluation(values: readonly FeatureValue[], work: ExpressionWork | undefined): void {
  inputs = values;
  request = work;
  if (work !== undefined && work.spent > REQUEST_STEPS - BASE_STEPS) {
    steps = allowedBy(work);
    given = steps;
  }
}

/** Ends an evaluation and adds its steps to the work of the request. */
export function endEvaluation(): void {
  if (steps === BASE_STEPS && bytes === MAX_BYTES) return;
  if (request !== undefined) request.spent += given - Math.max(steps, 0);
  steps = BASE_STEPS;
  given = BASE_STEPS;
  bytes = MAX_BYTES;
  inputs = NO_INPUTS;
}

/** Returns the most steps that an evaluation may take in its request. */
function allowedBy({ spent }: ExpressionWork): number {
  return Math.min(BASE_STEPS, Math.max(REQUEST_STEPS - spent, CHEAP_STEPS));
}

function sizeOf(values: readonly FeatureValue[]): number {
  let size = 0;
  for (const value of values) {
    if (typeof value === 'string') size += value.length;
    else if (Array.isArray(value)) size += ITEM_SIZE * value.length + sizeOf(value as readonly FeatureValue[]);
  }
  return size;
}

/** Charges `count` steps. Leaves the evaluation, which is then null, if the budget does not have them. */
export function charge(count: number): void {
  steps -= count;
  if (steps < 0) extend();
}

/** Adds the steps for the size of the inputs, which only an expensive evaluation asks for, and only once. */
function extend(): void {
  if (given === BASE_STEPS) {
    const allowed = request === undefined ? MAX_STEPS : Math.min(MAX_STEPS, REQUEST_STEPS - request.spent);
    const more = Math.min(Math.max(0, allowed - BASE_STEPS), STEPS_PER_INPUT * sizeOf(inputs));
    steps += more;
    given += more;
  }
  if (steps < 0) throw EXCEEDED;
}

/** Charges for scanning or copying `length` characters. */
export function chargeText(length: number): void {
  if (length >= SCANNED) charge(Math.ceil(length / SCANNED));
}

/** Charges for a text of `length` UTF-16 code units that an operation is about to make. */
export function growText(length: number): void {
  chargeText(length);
  growBytes(2 * length);
}

/** Charges for a list of `length` items that an operation is about to make. */
export function growList(length: number): void {
  charge(length);
  growBytes(8 * length);
}

function growBytes(count: number): void {
  bytes -= count;
  if (bytes < 0) throw EXCEEDED;
}

/** How often the text of a result is scanned. */
const RESULT_SCANS = 4;
/** Steps for checking an item of a result. */
const RESULT_STEPS = 4;

/**
 * Charges for checking a result against its type. In a list each text counts, although the list may hold the same one
 * many times.
 */
export function chargeResult(value: FeatureValue): void {
  if (typeof value === 'string') chargeText(RESULT_SCANS * value.length);
  if (!Array.isArray(value)) return;
  charge(RESULT_STEPS * value.length);
  let length = 0;
  for (const item of value) if (typeof item === 'string') length += item.length;
  chargeText(RESULT_SCANS * length);
  if (2 * length + 8 * value.length > MAX_BYTES) throw EXCEEDED;
}
