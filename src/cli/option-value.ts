/** Readers of option values for commander. */
import { InvalidArgumentError } from 'commander';

/** A whole number from 1. */
export function readCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('It is a whole number from 1.');
  return count;
}

/** Adds a value to those given before: for options that may be repeated. */
export function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}
