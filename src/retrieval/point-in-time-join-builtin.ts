/** The point-in-time join by the offline store: one statement for each view and each chunk of rows. */
import type { FeatureValue } from '../definition/value-type.js';
import type { OfflineStore } from '../store/offline-store.js';
import type { JoinWork, PointInTimeJoin } from './point-in-time-join.js';
import { joinFeatures, type SpineRow } from './training-query.js';

/** Rows and values of one statement at most: a few milliseconds of work for this process, which also serves. */
const CHUNK_ROWS = 2_000;
const CHUNK_VALUES = 50_000;

/** Returns the join that the offline store executes. */
export function createBuiltinJoin(offline: OfflineStore): PointInTimeJoin {
  return {
    begin: async (work) => ({
      join: (part, rows) => joinPart(work, offline, rows, part * work.partRows),
    }),
  };
}

async function joinPart(
  { plan, before, known, signal }: JoinWork,
  offline: OfflineStore,
  rows: readonly SpineRow[],
  first: number,
): Promise<FeatureValue[][]> {
  const joined: FeatureValue[][] = [];
  const size = Math.max(1, Math.min(CHUNK_ROWS, Math.floor(CHUNK_VALUES / Math.max(1, plan.columns.length))));
  // Two chunks at a time: PostgreSQL works on one while this process reads the other.
  let ahead: Promise<FeatureValue[][]> | null = null;
  const ask = (at: number): Promise<FeatureValue[][]> => {
    const chunk = rows.slice(at, at + size);
    const answer = joinFeatures(plan, offline, chunk, first + at, { before, known, patient: true });
    // Prevents an unhandled rejection; the caller that awaits this chunk gets the error.
    answer.catch(() => {});
    return answer;
  };
  for (let at = 0; at < rows.length; at += size) {
    signal.throwIfAborted();
    const current: Promise<FeatureValue[][]> = ahead ?? ask(at);
    ahead = at + size < rows.length ? ask(at + size) : null;
    for (const row of await current) joined.push(row);
  }
  return joined;
}
