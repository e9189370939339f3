/**
 * How fresh each source is, and each of its views: what waits for it in the event bus, and how far it has been taken in.
 *
 * Boundary: computed when somebody asks, from positions and counters; it reads no history, and nothing that serves or writes waits for it.
 */
import type { EventBus, GroupPosition } from '../bus/event-bus.js';
import type { Engine } from '../definition/definition.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { EngineIntake, Intake, IntakeLedger } from '../store/intake.js';
import { batchConsumer, batchTopic, busTopic, streamName } from './source-contract.js';

export interface Freshness {
  /** Events that the bus holds and that are not taken in; null: there is no stream. */
  readonly lag: number | null;
  /** Greatest event time that was taken in, milliseconds since 1970; null: none. */
  readonly newest: number | null;
  /** When something was last taken in, milliseconds since 1970; null: never. */
  readonly movedAt: number | null;
  readonly perMinute: number;
  readonly events: number;
  /** Events that became dead letters. */
  readonly unusable: number;
}

export interface ViewFreshness extends Freshness {
  readonly engine: Engine;
}

export interface SourceReport {
  readonly source: Freshness;
  /** By the id of each active version of each view on the source. */
  readonly views: ReadonlyMap<string, ViewFreshness>;
}

/** What lies in the partitions of a topic from the given offsets on; without one, all that a partition holds. */
function waiting(partitions: readonly GroupPosition[], nextOf: (one: GroupPosition) => bigint | null): number | null {
  if (partitions.length === 0) return null;
  let sum = 0n;
  for (const one of partitions) {
    const held = one.end - one.first;
    const ahead = one.end - (nextOf(one) ?? one.first);
    // What retention has taken waits no more.
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

export class FreshnessReader {
  readonly #bus: EventBus;
  readonly #ledger: IntakeLedger;

  constructor({ bus, ledger }: { readonly bus: EventBus; readonly ledger: IntakeLedger }) {
    this.#bus = bus;
    this.#ledger = ledger;
  }

  /**
   * The freshness of these sources and of the views on them, by source; names that are not declared are left out. The number of
   * statements does not depend on how many are asked for. Throws BUS_UNAVAILABLE or STORE_UNAVAILABLE.
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
    // Whatever has merged what another engine has made of a stream or a batch has counted it under this name.
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

/** A view that another engine computes: it has positions of its own, and what is computed is there once it is merged. */
function onEngine(
  held: readonly GroupPosition[],
  places: ReadonlyMap<number, bigint> | undefined,
  engine: EngineIntake | undefined,
  batch: readonly (Intake | undefined)[],
): Freshness {
  const behind = waiting(held, ({ partition }) => places?.get(partition) ?? null);
  return total([engine, ...batch], behind === null ? null : behind + (engine?.unmerged ?? 0));
}
