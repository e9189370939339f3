/** Parsers of option values, for commander. */
import { InvalidArgumentError } from 'commander';

/** Parses a whole number from 1 on. Throws InvalidArgumentError. */
export function readCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('It is a whole number from 1.');
  return count;
}

/** Appends a value to the earlier ones, for repeatable options. */
export function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}
