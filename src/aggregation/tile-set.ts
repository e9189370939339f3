/**
 * Tiles: states of all aggregations over one stretch of time, and the values that windows over them have at an instant.
 *
 * Invariants
 * 1. A tile of width `hop` begins at a multiple of it; a view has a row of tiles for each hop of its windows.
 * 2. A tile holds every event of its stretch that is visible. So a window at an instant not before the newest event is the merge of the
 *    tiles of its hop that begin at or after its tail: no event is needed.
 * 3. Values finished at t hold, if no event comes, until `until`: the first instant at which a tile leaves a window.
 */
import type { AggregationMeaning } from '../definition/definition-record.js';
import type { FeatureValue } from '../definition/value-type.js';
import { leavesAt, tailStart, type Window } from '../definition/window.js';
import { type Aggregator, createAggregator, type State } from './aggregator.js';

export interface Tile {
  readonly hop: number;
  /** Milliseconds since 1970. */
  readonly start: number;
  /** One state for each aggregate. */
  readonly states: readonly State[];
}

/** All tiles of an entity that a window may cover, ordered by hop and start. */
export interface TileSet {
  /** Grows with every change of the entity's tiles. */
  readonly version: number;
  /** Event time of the newest visible event. */
  readonly eventTime: number;
  readonly tiles: readonly Tile[];
}

export interface HopRow {
  readonly hop: number;
  /** The longest window of this hop, milliseconds. */
  readonly longest: number;
}

export interface FinishedValues {
  /** One value for each feature. */
  readonly values: readonly FeatureValue[];
  /** Milliseconds since 1970, Infinity if nothing will ever leave. */
  readonly until: number;
}

/** What a view aggregates, ready to compute with. */
export interface AggregationPlan {
  readonly aggregators: readonly Aggregator[];
  readonly hops: readonly HopRow[];
  /** One entry for each feature. */
  readonly features: readonly { readonly aggregate: number; readonly window: Window }[];
}

const plans = new WeakMap<AggregationMeaning, AggregationPlan>();

/** The plan of a view's aggregations; worked out once. */
export function aggregationPlan(meaning: AggregationMeaning): AggregationPlan {
  let plan = plans.get(meaning);
  if (!plan) {
    const longest = new Map<number, number>();
    for (const { hop, length } of meaning.features) longest.set(hop, Math.max(longest.get(hop) ?? 0, length));
    plan = {
      aggregators: meaning.aggregates.map(createAggregator),
      hops: [...longest].map(([hop, length]) => ({ hop, longest: length })).sort((a, b) => a.hop - b.hop),
      features: meaning.features.map(({ aggregate, length, hop }) => ({ aggregate, window: { length, hop } })),
    };
    plans.set(meaning, plan);
  }
  return plan;
}

/** The values of all features at instant `at`, which is not before any event in the tiles. */
export function finishValues(plan: AggregationPlan, tiles: readonly Tile[], at: number): FinishedValues {
  let until = Number.POSITIVE_INFINITY;
  const values = plan.features.map(({ aggregate, window }) => {
    const { merge, finalize } = plan.aggregators[aggregate]!;
    const tail = tailStart(at, window);
    let state: State = EMPTY;
    for (const tile of tiles) {
      if (tile.hop !== window.hop || tile.start < tail) continue;
      if (state === EMPTY) until = Math.min(until, leavesAt(tile.start, window));
      state = merge(state, tile.states[aggregate]!);
    }
    return finalize(state);
  });
  return { values, until };
}

const EMPTY: State = [null];
