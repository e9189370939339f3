/**
 * The freshness of sources and views: how many events wait in the event bus, and up to which event time the stores are
 * current.
 *
 * Boundary: computed on request from positions and counters. It reads no history and delays neither reads nor writes.
 */
import type { EventBus, GroupPosition } from '../bus/event-bus.js';
import type { Engine } from '../definition/definition.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { EngineIntake, Intake, IntakeLedger } from '../store/intake.js';
import { batchConsumer, batchTopic, busTopic, streamName } from './source-contract.js';

/** The freshness of one source or view. */
export interface Freshness {
  /** Events in the bus that are not written yet; null if the source has no stream. */
  readonly lag: number | null;
  /** Greatest event time that was written, in milliseconds since 1970; null if there is none. */
  readonly newest: number | null;
  /** When events were last written, in milliseconds since 1970; null if they never were. */
  readonly movedAt: number | null;
  /** Rows written in about the last minute. */
  readonly perMinute: number;
  readonly events: number;
  /** Events that became dead letters. */
  readonly unusable: number;
}

/** The freshness of a view, and the engine that computes it. */
export interface ViewFreshness extends Freshness {
  readonly engine: Engine;
}

/** The freshness of a source and of its views. */
export interface SourceReport {
  readonly source: Freshness;
  /** By the id of each active version of each view of the source. */
  readonly views: ReadonlyMap<string, ViewFreshness>;
}

/**
 * Counts the messages of a topic's partitions from the given offsets on; without an offset, all messages of a
 * partition.
 */
function waiting(partitions: readonly GroupPosition[], nextOf: (one: GroupPosition) => bigint | null): number | null {
  if (partitions.length === 0) return null;
  let sum = 0n;
  for (const one of partitions) {
    const held = one.end - one.first;
    const ahead = one.end - (nextOf(one) ?? one.first);
    // Messages that retention has deleted do not wait any more.
    // biome-ignore lint/complexity/useMathMinMax: Math.min does not take a bigint.
    if (ahead > 0n) sum += ahead < held ? ahead : held;
  }
  return Number(sum);
}

function total(intakes: readonly (Intake | undefined)[], lag: number | null): Freshness {
  const sum = { lag, newest: null as number | null, movedAt: null as number | null };
  const counts = { perMinute: 0, events: 0, unusable: 0 };
  const later = (a: number | null, b: number | null): number | null =>
    a === null || b === null ? (a ?? b) : Math.max(a, b);
  for (const one of intakes) {
    if (!one) continue;
    sum.newest = later(sum.newest, one.newest);
    sum.movedAt = later(sum.movedAt, one.movedAt);
    counts.perMinute += one.perMinute;
    counts.events += one.events;
    counts.unusable += one.unusable;
  }
  return { ...sum, ...counts };
}

/** Reads the freshness of sources and views. */
export class FreshnessReader {
  readonly #bus: EventBus;
  readonly #ledger: IntakeLedger;

  constructor({ bus, ledger }: { readonly bus: EventBus; readonly ledger: IntakeLedger }) {
    this.#bus = bus;
    this.#ledger = ledger;
  }

  /**
   * Returns the freshness of these sources and their views, by source name. Undeclared names are left out. The number
   * of statements does not depend on the number of sources. Throws BUS_UNAVAILABLE or STORE_UNAVAILABLE.
   */
  async of(snapshot: Snapshot, names: readonly string[]): Promise<ReadonlyMap<string, SourceReport>> {
    const { project } = snapshot;
    const sources = names.flatMap((name) => snapshot.sources.get(name) ?? []);
    const streams = sources.flatMap(({ name, meaning: { topic } }) => {
      return topic === null ? [] : [{ name, group: streamName(project, name), topic: busTopic(project, topic) }];
    });
    const topics = new Map(streams.map(({ name, topic }) => [name, topic]));
    const elsewhere = sources
      .flatMap(({ name }) => snapshot.viewsOfSource.get(name) ?? [])
      .filter((view) => view.engine !== 'builtin');
    // Events of a stream or batch that another engine computed are counted under these names when they are merged.
    const engineStreams = sources.flatMap(({ name }) => [streamName(project, name), batchTopic(project, name)]);
    const consumers = sources.flatMap(({ name }) => [streamName(project, name), batchConsumer(name)]);
    const [positions, taken, engines, places] = await Promise.all([
      this.#bus.positions(streams),
      this.#ledger.ofConsumers(consumers),
      this.#ledger.ofEngines(engineStreams),
      this.#ledger.viewPositions(
        elsewhere.flatMap(({ table, source }) => {
          const topic = topics.get(source);
          return topic === undefined ? [] : [{ table, topic }];
        }),
      ),
    ]);
    const partitions = new Map(streams.map(({ name }, index) => [name, positions[index] ?? []]));
    return new Map(
      sources.map(({ name }): [string, SourceReport] => {
        const stream = streamName(project, name);
        const held = partitions.get(name) ?? [];
        const batch = [taken.get(batchConsumer(name)), engines.get(batchTopic(project, name))];
        const source = total(
          [taken.get(stream), ...batch],
          waiting(held, ({ next }) => next),
        );
        const ofView = (view: ViewVersion): ViewFreshness => {
          if (view.engine === 'builtin') return { engine: view.engine, ...source };
          return { engine: view.engine, ...onEngine(held, places.get(view.table), engines.get(stream), batch) };
        };
        const views = snapshot.viewsOfSource.get(name) ?? [];
        return [name, { source, views: new Map(views.map((view) => [view.id, ofView(view)])) }];
      }),
    );
  }
}

/**
 * Returns the freshness of a view on another engine. Such a view has its own positions, and its events count once they
 * are merged.
 */
function onEngine(
  held: readonly GroupPosition[],
  places: ReadonlyMap<number, bigint> | undefined,
  engine: EngineIntake | undefined,
  batch: readonly (Intake | undefined)[],
): Freshness {
  const behind = waiting(held, ({ partition }) => places?.get(partition) ?? null);
  return total([engine, ...batch], behind === null ? null : behind + (engine?.unmerged ?? 0));
}
