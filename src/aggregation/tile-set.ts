/**
 * Tiles hold the states of all aggregations over one interval of time. Windows get their values from them.
 *
 * Invariants
 * 1. A tile of width `hop` begins at a multiple of `hop`. A view has one series of tiles for each hop of its windows.
 * 2. A tile holds every visible event of its interval. So a window that ends at or after the newest event needs no
 *    events: its value is the merge of all tiles of its hop that begin at or after its tail.
 * 3. Without a new event, the values at `t` hold until `until`: the first instant at which a tile leaves a window.
 */
import type { AggregationMeaning } from '../definition/definition-record.js';
import type { FeatureValue } from '../definition/value-type.js';
import { leavesAt, tailStart, type Window } from '../definition/window.js';
import { type Aggregator, createAggregator, type State } from './aggregator.js';

/** The states of all aggregates of one entity over the events with `start ≤ event time < start + hop`. */
export interface Tile {
  /** Milliseconds. */
  readonly hop: number;
  /** Milliseconds since 1970. */
  readonly start: number;
  /** One state for each aggregate. */
  readonly states: readonly State[];
}

/** All tiles of an entity that any window may cover, ordered by hop and start. */
export interface TileSet {
  /** Grows with every change of the entity's tiles. */
  readonly version: number;
  /** Event time of the newest visible event, in milliseconds since 1970. */
  readonly eventTime: number;
  readonly tiles: readonly Tile[];
}

/** A hop of a view and the longest window that uses it. */
export interface HopRow {
  /** Milliseconds. */
  readonly hop: number;
  /** Milliseconds. */
  readonly longest: number;
}

/** The feature values of an entity at one instant. */
export interface FinishedValues {
  /** One value for each feature. */
  readonly values: readonly FeatureValue[];
  /** Milliseconds since 1970; Infinity if no tile will ever leave a window. */
  readonly until: number;
}

/** The aggregators, hops and windows of a view. */
export interface AggregationPlan {
  readonly aggregators: readonly Aggregator[];
  readonly hops: readonly HopRow[];
  /** One entry for each feature; `aggregate` is the index of its aggregator. */
  readonly features: readonly { readonly aggregate: number; readonly window: Window }[];
}

const plans = new WeakMap<AggregationMeaning, AggregationPlan>();

/** Returns the aggregation plan of a view. It is built once for each resolved definition. */
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

/** Returns the values of all features at instant `at`. No event in the tiles may be later than `at`. */
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
