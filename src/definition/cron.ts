/** Checks cron schedules, which are in UTC: minute, hour, day of month, month, day of week. */

const RANGES: readonly (readonly [number, number])[] = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
];

/** Returns true for five fields of numbers, ranges, steps and lists, with each number within its range. */
export function isCron(text: string): boolean {
  const fields = text.trim().split(/\s+/);
  return fields.length === RANGES.length && fields.every((field, index) => isField(field, RANGES[index]!));
}

function isField(field: string, [low, high]: readonly [number, number]): boolean {
  return field.split(',').every((item) => {
    const match = /^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:\/(\d{1,2}))?$/.exec(item);
    if (!match) return false;
    const [, first, last, step] = match.map((part) => (part === undefined ? undefined : Number(part)));
    if (step !== undefined && step === 0) return false;
    const numbers = [first, last].filter((number) => number !== undefined);
    return numbers.every((number) => number >= low && number <= high) && (last === undefined || (first ?? 0) <= last);
  });
}
