import { z } from 'zod';

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const PATTERN = /^(\d{1,9})(ms|s|m|h|d|w)$/;

/** Parses a duration (`30d`, `12h`, `5m`, `90s`, `250ms`) into milliseconds, or returns null. Days have 24 hours. */
export function parseDuration(text: string): number | null {
  const match = PATTERN.exec(text);
  const unit = match?.[2] ? UNITS[match[2]] : undefined;
  return match && unit ? Number(match[1]) * unit : null;
}

/** The schema of a duration, which must be positive. */
export const durationSchema = z
  .string()
  .regex(PATTERN, 'expected a duration such as 30d, 12h, 5m, 90s or 250ms')
  .refine((text) => (parseDuration(text) ?? 0) > 0, 'a duration must be longer than zero');
