/** Checks cron schedules, which are in UTC: minute, hour, day of month, month, day of week. */
import { Cron } from 'croner';

/** Returns true for five fields that croner, which computes the due times, accepts and that are due at some time. */
export function isCron(text: string): boolean {
  if (text.trim().split(/\s+/).length !== 5) return false;
  try {
    return new Cron(text, { mode: '5-part', paused: true, timezone: 'UTC' }).nextRun() !== null;
  } catch {
    return false;
  }
}
