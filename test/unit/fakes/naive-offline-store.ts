/**
 * A direct implementation of the offline store port with arrays and linear search. The oracle of tests, and a store for
 * unit tests.
 */
import { aggregationPlan, type Tile, type TileSet } from '../../../src/aggregation/tile-set.js';
import type { EntityKey } from '../../../src/definition/entity-key.js';
import type { ScalarValue } from '../../../src/definition/value-type.js';
import type { ViewVersion } from '../../../src/definition/view-version.js';
import { tileStart } from '../../../src/definition/window.js';
import type {
  CommitBatch,
  CommitResult,
  DeadLetter,
  OfflineStore,
  PointInTimeOptions,
  StoredRow,
  TouchedEntity,
} from '../../../src/store/offline-store.js';
import { naiveValues } from './naive-aggregation.js';

interface KeptRow extends StoredRow {
  readonly view: string;
  readonly key: string;
}

/** Keeps all rows in one array. */
export class NaiveOfflineStore implements OfflineStore {
  readonly rows: KeptRow[] = [];
  readonly letters: DeadLetter[] = [];
  readonly calls = { valuesAt: 0, tilesAt: 0, commit: 0 };
  readonly prepared = new Set<string>();
  failing = false;
  #sequence = 0;
  readonly #offsets = new Map<string, bigint>();

  async prepare(views: readonly ViewVersion[]): Promise<void> {
    for (const view of views) this.prepared.add(view.table);
  }

  async commit(batch: CommitBatch): Promise<CommitResult> {
    this.calls.commit += 1;
    if (this.failing) throw new Error('the store is down');
    const place = `${batch.consumer} ${batch.topic} ${batch.partition}`;
    const from = this.#offsets.get(place) ?? 0n;
    const touched = new Map<string, TouchedEntity>();
    for (const { view, rows } of batch.rows) {
      for (const row of rows) {
        if (row.offset >= from) {
          this.#sequence += 1;
          const { eventTime, values } = row;
          this.rows.push({ view: view.table, key: row.key.text, eventTime, values, sequence: this.#sequence });
        }
      }
      for (const { key } of rows) touched.set(`${view.id} ${key.text}`, { ...this.#touched(view, key, batch.now) });
    }
    this.#offsets.set(place, batch.nextOffset > from ? batch.nextOffset : from);
    return { written: batch.events.filter((event) => event.offset >= from).length, touched: [...touched.values()] };
  }

  async fill(): Promise<number> {
    return 0;
  }

  /** Returns the newest row of an entity at an instant; null if there is none. */
  newest(view: ViewVersion, key: EntityKey, asOf: number): StoredRow | null {
    let best: KeptRow | null = null;
    for (const row of this.rows) {
      if (row.view !== view.table || row.key !== key.text || row.eventTime > asOf) continue;
      if (!best || row.eventTime > best.eventTime || (row.eventTime === best.eventTime && row.sequence > best.sequence))
        best = row;
    }
    return best;
  }

  async valuesAt(
    view: ViewVersion,
    keys: readonly EntityKey[],
    asOf: number | readonly number[],
    { before = false }: PointInTimeOptions = {},
  ): Promise<(StoredRow | null)[]> {
    this.calls.valuesAt += 1;
    if (this.failing) throw new Error('the store is down');
    return keys.map((key, index) => {
      const at = typeof asOf === 'number' ? asOf : asOf[index]!;
      const newest = this.newest(view, key, before ? at - 1 : at);
      if (!newest || !view.aggregation) return newest;
      const events = this.#events(view, key).map(({ values, ...event }) => ({
        ...event,
        values: Object.fromEntries(
          view.columns.map(({ name }, column) => [name, values[column] as ScalarValue | null]),
        ),
      }));
      return { ...newest, sequence: 0, values: naiveValues(view.aggregation, events, at, before) };
    });
  }

  async tilesAt(view: ViewVersion, keys: readonly EntityKey[], now: number): Promise<(TileSet | null)[]> {
    this.calls.tilesAt += 1;
    if (this.failing) throw new Error('the store is down');
    return keys.map((key) => this.#tiles(view, key, now));
  }

  #events(view: ViewVersion, key: EntityKey): KeptRow[] {
    return this.rows.filter((row) => row.view === view.table && row.key === key.text);
  }

  #touched(view: ViewVersion, key: EntityKey, now: number): TouchedEntity {
    if (view.aggregation) return { view, key, row: null, tiles: this.#tiles(view, key, now) };
    return { view, key, row: this.newest(view, key, now), tiles: null };
  }

  #tiles(view: ViewVersion, key: EntityKey, now: number): TileSet | null {
    const events = this.#events(view, key).filter(({ eventTime }) => eventTime <= now);
    if (events.length === 0) return null;
    const { aggregators, hops } = aggregationPlan(view.aggregation!);
    const columns = view.aggregation!.aggregates.map(({ column }) =>
      view.columns.findIndex(({ name }) => name === column),
    );
    const tiles = new Map<string, Tile>();
    for (const event of events) {
      for (const { hop } of hops) {
        const start = tileStart(event.eventTime, hop);
        const known = tiles.get(`${hop} ${start}`);
        const states = aggregators.map((one, index) => {
          const state = one.prepare((event.values[columns[index]!] as ScalarValue) ?? null, event);
          return known ? one.merge(known.states[index]!, state) : state;
        });
        tiles.set(`${hop} ${start}`, { hop, start, states });
      }
    }
    return {
      version: events.length,
      eventTime: Math.max(...events.map(({ eventTime }) => eventTime)),
      tiles: [...tiles.values()].sort((a, b) => a.hop - b.hop || a.start - b.start),
    };
  }

  async takeDue(): Promise<number> {
    return 0;
  }

  async readEvents(): Promise<void> {
    throw new Error('the naive store reads no events');
  }

  async deadLetters(): Promise<readonly DeadLetter[]> {
    return this.letters;
  }

  async replayDeadLetters(): Promise<number> {
    return 0;
  }

  async ping(): Promise<void> {}
  async close(): Promise<void> {}
}
