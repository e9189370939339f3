import type { FastLane } from '../../../src/schema/lane/fast-lane.js';

/** Sends the body of a request to the fast lane. Resolves to null if the lane does not answer it. */
export function askLane(lane: FastLane, body: string): Promise<string | null> {
  return new Promise((resolve) => {
    lane.answer(Buffer.from(body), (bytes) => {
      resolve(bytes ? bytes.toString('utf8') : null);
      // Releases the memory for reuse, so that a later access to it would be noticed.
      return true;
    });
  });
}
