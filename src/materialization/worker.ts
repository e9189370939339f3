import { setTimeout as delay } from 'node:timers/promises';
import type { EventBus, ReceivedBatch, Subscription } from '../bus/event-bus.js';
import type { Engine } from '../definition/definition.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import type { RegistryFollower } from '../registry/registry-follower.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { CommitBatch, OfflineStore } from '../store/offline-store.js';
import type { EventLimits } from './event-decoder.js';
import { onlyJson, type PayloadFormats } from './payload-format.js';
import { prepareSnapshot } from './preparation.js';
import { processBatch } from './processor.js';
import { batchStream, REVISION_HEADER, type SourceContract, sourceContracts, streamName } from './source-contract.js';
import { queryFill, viewFill } from './view-fill.js';
import type { Writer } from './writer.js';

/** The dependencies of a Worker. */
export interface WorkerOptions {
  readonly follower: RegistryFollower;
  readonly bus: EventBus;
  readonly offline: OfflineStore;
  readonly writer: Writer;
  readonly limits: EventLimits;
  readonly now: () => number;
  /** How payloads of sources are decoded; as JSON by default. */
  readonly formats?: PayloadFormats;
  /** Milliseconds between two publications of rows whose event time has come; 250 by default. */
  readonly sweepInterval?: number;
  /** Merges everything that another engine has sealed of a stream, and stops that engine from sealing more. */
  readonly settle?: (stream: string, views: readonly ViewVersion[]) => Promise<void>;
  readonly log?: (message: string, fields: Record<string, unknown>) => void;
}

const RETRY_PAUSE = 1_000;

interface Consumption {
  readonly topic: string;
  /** Null while the group is being joined. */
  running: Subscription | null;
}

/** Consumes the events of all sources of a project and writes them to the stores. */
export class Worker {
  readonly #options: Required<WorkerOptions>;
  readonly #consumptions = new Map<string, Consumption>();
  #contracts = new Map<string, SourceContract>();
  /** The engine of each view that this process has filled, by the view's history table. */
  readonly #engines = new Map<string, Engine>();
  #revision = -1;
  #following: Promise<void> = Promise.resolve();
  #forget: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: WorkerOptions) {
    this.#options = {
      sweepInterval: 250,
      formats: onlyJson,
      settle: async () => {},
      log: () => {},
      ...options,
    };
  }

  /**
   * Starts to follow the registry and to consume events. Resolves when this process has joined the consumer groups of
   * all sources; failures are retried. A dead member of the same group can delay that for as long as the bus waits for
   * it.
   */
  start(): Promise<void> {
    this.#forget = this.#options.follower.onChange(() => this.#follow());
    this.#scheduleSweep();
    this.#follow();
    return this.#following;
  }

  /**
   * Resolves when this process writes with the definitions of `revision` or newer. Their tables exist then, and are
   * filled.
   */
  async adopted(revision: number): Promise<void> {
    while (this.#revision < revision && !this.#stopped) {
      this.#follow();
      await this.#following;
    }
  }

  /** Stops consuming, and resolves when the batches in flight are written. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#forget?.();
    if (this.#timer) clearTimeout(this.#timer);
    // A group that is still being joined is left when the bus closes, which happens after the worker has stopped.
    await Promise.all([...this.#consumptions.values()].map((one) => one.running?.stop()));
    await this.#sweeping;
  }

  #follow(): void {
    this.#following = this.#following.then(async () => {
      while (!this.#stopped) {
        try {
          await this.#adopt(this.#options.follower.current);
          return;
        } catch (error) {
          this.#failed('adopt', error);
          await delay(RETRY_PAUSE);
        }
      }
    });
  }

  async #adopt(snapshot: Snapshot): Promise<void> {
    if (this.#stopped || snapshot.revision <= this.#revision) return;
    const { bus, limits, formats, offline } = this.#options;
    const contracts = sourceContracts(snapshot, limits, formats);
    await prepareSnapshot(snapshot, { offline, bus });
    await this.#fill(contracts, snapshot);
    this.#contracts = contracts;
    for (const [source, { topic, running }] of this.#consumptions) {
      if (contracts.get(source)?.topic === topic) continue;
      this.#consumptions.delete(source);
      await running?.stop();
    }
    const fresh = [...contracts.values()].filter(({ source }) => !this.#consumptions.has(source));
    await Promise.all(
      fresh.map(({ source, topic }) => (topic === null ? null : this.#join(source, topic, snapshot.project))),
    );
    this.#revision = snapshot.revision;
  }

  async #join(source: string, topic: string, project: string): Promise<void> {
    const consumption: Consumption = { topic, running: null };
    this.#consumptions.set(source, consumption);
    const group = streamName(project, source);
    try {
      consumption.running = await this.#options.bus.consume(group, topic, (batch) => this.#take(source, group, batch));
    } catch (error) {
      this.#consumptions.delete(source);
      throw error;
    }
    if (this.#stopped) await consumption.running.stop();
  }

  async #take(source: string, group: string, batch: ReceivedBatch): Promise<void> {
    const { follower, log } = this.#options;
    const seen = batch.messages.reduce(
      (most, message) => Math.max(most, Number(message.headers[REVISION_HEADER] ?? 0)),
      0,
    );
    if (seen > follower.current.revision) await this.#catchUp();
    let commit = await this.#process(batch, source, group);
    if (commit.deadLetters.length > 0) {
      await this.#catchUp();
      commit = await this.#process(batch, source, group);
    }
    const written = await this.#write(commit, source, group, batch);
    log('batch written', {
      source,
      partition: batch.partition,
      messages: batch.messages.length,
      written,
      deadLetters: commit.deadLetters.length,
    });
  }

  /**
   * Writes a batch. If another process has written with newer definitions meanwhile, processes the batch again with
   * those.
   */
  async #write(commit: CommitBatch, source: string, group: string, batch: ReceivedBatch): Promise<number> {
    const { writer } = this.#options;
    try {
      return await writer.write(commit);
    } catch (error) {
      if (!(error instanceof FStoreError) || error.code !== 'DEFINITIONS_STALE') throw error;
      await this.#catchUp();
      return writer.write(await this.#process(batch, source, group));
    }
  }

  async #process(batch: ReceivedBatch, source: string, group: string): Promise<CommitBatch> {
    const contract = this.#contractOf(source);
    await contract.format?.prepare(batch.messages.map(({ value }) => value));
    const views = contract.views.filter((view) => view.engine === 'builtin');
    return processBatch(batch, contract, group, this.#options.now(), views);
  }

  /** Updates definitions and history tables to the registry's newest revision. Leaves consumer groups as they are. */
  async #catchUp(): Promise<void> {
    const { bus, follower, limits, formats, offline } = this.#options;
    const snapshot = await follower.refresh();
    if (snapshot.revision <= this.#revision) return;
    await prepareSnapshot(snapshot, { offline, bus });
    const contracts = sourceContracts(snapshot, limits, formats);
    await this.#fill(contracts, snapshot);
    this.#contracts = contracts;
  }

  /**
   * Prepares views before any batch is written to them. Views that are new to this process are filled with the earlier
   * events of their source. Views whose engine has changed are handed over.
   */
  async #fill(contracts: ReadonlyMap<string, SourceContract>, { project, views: active }: Snapshot): Promise<void> {
    const { offline, settle, now, log } = this.#options;
    for (const contract of contracts.values()) {
      const { source, topic, revision, views, queries } = contract;
      const isFresh = (view: ViewVersion): boolean => this.#engines.get(view.table) !== view.engine;
      const fresh = [...views, ...queries].filter(isFresh);
      if (fresh.length === 0) continue;
      const name = streamName(project, source);
      const stream = topic === null ? null : { name, topic, consumer: name };
      const fills = fresh.map((view) => (view.sql ? queryFill(view) : viewFill(contract, view)));
      const events = await offline.fill({ source, stream, revision }, fills, now()).catch(async (error: unknown) => {
        if (!(error instanceof FStoreError) || error.code !== 'ENGINE_BUSY') throw error;
        // Merge what other engines have computed so far, then try again.
        for (const one of [name, batchStream(project, source)]) await settle(one, [...active.values()]);
        return offline.fill({ source, stream, revision }, fills, now());
      });
      for (const view of fresh) this.#engines.set(view.table, view.engine);
      log('views filled from the event log', { source, views: fresh.map((view) => view.id), events });
    }
  }

  #contractOf(source: string): SourceContract {
    const contract = this.#contracts.get(source);
    if (!contract) throw new Error(`source ${source} has gone; its consumption is about to stop`);
    return contract;
  }

  #scheduleSweep(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#sweeping = this.#sweep();
      void this.#sweeping.finally(() => this.#scheduleSweep());
    }, this.#options.sweepInterval);
  }

  async #sweep(): Promise<void> {
    const { follower, offline, writer, now } = this.#options;
    try {
      await offline.takeDue([...follower.current.views.values()], now(), (touched) => writer.publish(touched));
    } catch (error) {
      this.#failed('sweep', error);
    }
  }

  #failed(step: string, error: unknown): void {
    this.#options.log('worker step failed; it is tried again', { step, error: (error as Error).message });
  }
}
