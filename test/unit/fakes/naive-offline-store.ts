/** The offline store as one reads its port: arrays and linear search. The oracle of tests, and a store for units. */
import type { EntityKey } from '../../../src/definition/entity-key.js';
import type { ViewVersion } from '../../../src/definition/view-version.js';
import type {
  CommitBatch,
  CommitResult,
  DeadLetter,
  OfflineStore,
  StoredRow,
  TouchedEntity,
} from '../../../src/store/offline-store.js';

interface KeptRow extends StoredRow {
  readonly view: string;
  readonly key: string;
}

export class NaiveOfflineStore implements OfflineStore {
  readonly rows: KeptRow[] = [];
  readonly letters: DeadLetter[] = [];
  readonly calls = { valuesAt: 0, commit: 0 };
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
      for (const { key } of rows)
        touched.set(`${view.id} ${key.text}`, { view, key, row: this.newest(view, key, batch.now) });
    }
    this.#offsets.set(place, batch.nextOffset > from ? batch.nextOffset : from);
    return { written: batch.events.filter((event) => event.offset >= from).length, touched: [...touched.values()] };
  }

  async fill(): Promise<number> {
    return 0;
  }

  newest(view: ViewVersion, key: EntityKey, asOf: number): StoredRow | null {
    let best: KeptRow | null = null;
    for (const row of this.rows) {
      if (row.view !== view.table || row.key !== key.text || row.eventTime > asOf) continue;
      if (!best || row.eventTime > best.eventTime || (row.eventTime === best.eventTime && row.sequence > best.sequence))
        best = row;
    }
    return best;
  }

  async valuesAt(view: ViewVersion, keys: readonly EntityKey[], asOf: number): Promise<(StoredRow | null)[]> {
    this.calls.valuesAt += 1;
    if (this.failing) throw new Error('the store is down');
    return keys.map((key) => this.newest(view, key, asOf));
  }

  async takeDue(): Promise<number> {
    return 0;
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
