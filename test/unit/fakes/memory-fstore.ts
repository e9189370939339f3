/**
 * A whole FStore on fakes, for unit tests of the schema: registry, stores and bus in memory, and a clock that the test
 * sets.
 */
import { type ExecutionResult, graphql } from 'graphql';
import { FreshnessReader } from '../../../src/materialization/freshness.js';
import { Ingestion } from '../../../src/materialization/ingestion.js';
import { onlyJson } from '../../../src/materialization/payload-format.js';
import { SourceChecker } from '../../../src/materialization/source-check.js';
import { Worker } from '../../../src/materialization/worker.js';
import { Writer } from '../../../src/materialization/writer.js';
import { RegistryFollower } from '../../../src/registry/registry-follower.js';
import { OnlineQuery } from '../../../src/retrieval/online-query.js';
import { UpdateFeed } from '../../../src/retrieval/update-feed.js';
import { buildControlSchema, reservedNames } from '../../../src/schema/control/control-schema.js';
import { DefinitionApply, type DefinitionApplyOptions } from '../../../src/schema/definition-apply.js';
import { LiveSchema } from '../../../src/schema/live-schema.js';
import { OperationCheck } from '../../../src/schema/operation-check.js';
import { RequestContext, type RequestServices } from '../../../src/schema/request-context.js';
import { AnswerMemory } from '../../../src/schema/response-budget.js';
import type { EngineIntake, Intake, IntakeLedger } from '../../../src/store/intake.js';
import type { OnlineEntry, OnlineStore } from '../../../src/store/online-store.js';
import { createClosedReader } from '../../../src/store/query-reader.js';
import { isNewer } from '../../../src/store/value-codec.js';
import { MemoryBus } from './memory-bus.js';
import { MemoryJobStore } from './memory-job-store.js';
import { MemoryRegistry } from './memory-registry.js';
import { NaiveOfflineStore } from './naive-offline-store.js';

/** An online store without expiry that counts its calls and fails on demand. */
export class CountingOnlineStore implements OnlineStore {
  readonly entries = new Map<string, Buffer>();
  readonly calls = { read: 0, write: 0 };
  failing = false;

  async read(keys: readonly string[]): Promise<(Buffer | null)[]> {
    this.calls.read += 1;
    if (this.failing) throw new Error('the store is down');
    return keys.map((key) => this.entries.get(key) ?? null);
  }

  async write(entries: readonly OnlineEntry[]): Promise<void> {
    this.calls.write += 1;
    if (this.failing) throw new Error('the store is down');
    for (const { key, value } of entries) {
      const stored = this.entries.get(key);
      if (!stored || isNewer(value, stored)) this.entries.set(key, value);
    }
  }

  async ping(): Promise<void> {}
  async close(): Promise<void> {}
}

/** A started FStore on fakes. */
export interface MemoryFStore {
  readonly online: CountingOnlineStore;
  readonly offline: NaiveOfflineStore;
  readonly bus: MemoryBus;
  readonly live: LiveSchema;
  readonly services: RequestServices;
  readonly clock: { now: number };
  run(source: string, variables?: Record<string, unknown>): Promise<ExecutionResult>;
  apply(definitions: readonly unknown[], options?: { prune?: boolean; allowBreaking?: boolean }): Promise<number>;
  push(events: readonly unknown[]): Promise<number>;
  context(): RequestContext;
  close(): Promise<void>;
}

/** A ledger of a store that has written nothing. */
class NoIntake implements IntakeLedger {
  async ofConsumers(): Promise<ReadonlyMap<string, Intake>> {
    return new Map();
  }
  async ofEngines(): Promise<ReadonlyMap<string, EngineIntake>> {
    return new Map();
  }
  async viewPositions(): Promise<ReadonlyMap<string, ReadonlyMap<number, bigint>>> {
    return new Map();
  }
  async close(): Promise<void> {}
}

/** The defaults of the configuration. */
export const LIMITS = { maxDepth: 12, maxAliases: 100, maxTokens: 10_000 };

/** Starts an FStore on fakes at the instant `now` (milliseconds since 1970). */
export async function startMemoryFStore(
  now = Date.UTC(2026, 0, 31, 12),
  batches?: DefinitionApplyOptions['batches'],
): Promise<MemoryFStore> {
  const clock = { now };
  const registry = new MemoryRegistry();
  const online = new CountingOnlineStore();
  const offline = new NaiveOfflineStore();
  const bus = new MemoryBus();
  const limits = { clockSkew: 60_000, maxBytes: 100_000 };
  const follower = await RegistryFollower.start({ registry, pollInterval: 60_000 });
  const control = buildControlSchema();
  const live = new LiveSchema(control, follower.current, new OperationCheck(LIMITS));
  follower.onChange(async (snapshot) => {
    await live.publish(snapshot);
  });
  const time = (): number => clock.now;
  const writer = new Writer({ project: 'test', online, offline, bus, now: time });
  const worker = new Worker({ follower, bus, offline, writer, limits, now: time });
  const updates = new UpdateFeed();
  await updates.start(bus, 'test');
  await worker.start();
  const query = new OnlineQuery({ project: 'test', online, offline, onlinePause: 0 });
  const queries = createClosedReader('there is no PostgreSQL');
  const services: RequestServices = {
    query,
    updates,
    freshness: new FreshnessReader({ bus, ledger: new NoIntake() }),
    ingestion: new Ingestion({ bus, offline, limits, now: time }),
    queries,
    sourceChecks: new SourceChecker({
      bus,
      queries,
      folder: '.',
      limits,
      reserved: reservedNames(control),
      formats: onlyJson,
      now: time,
    }),
    offline,
    registry,
    jobs: new MemoryJobStore(),
    trainingSets: { folder: '', maxSpineBytes: 1_000, hasSpark: false },
    apply: new DefinitionApply({
      ...{ registry, follower, offline, bus, live, reserved: reservedNames(control), hasSpark: true },
      ...(batches ? { batches } : {}),
    }),
    snapshot: () => live.current.snapshot,
    operations: () => live.current.operations,
    now: time,
    maxKeys: 1_000,
    answers: new AnswerMemory(20_000_000),
  };
  const context = (): RequestContext => new RequestContext(services, 'test');
  return {
    online,
    offline,
    bus,
    live,
    services,
    clock,
    context,
    run: (source, variableValues) =>
      graphql({ schema: live.current.schema, source, contextValue: context(), variableValues: variableValues ?? {} }),
    apply: async (definitions, { prune = false, allowBreaking = false } = {}) =>
      (await services.apply.apply({ definitions, prune, retire: [] }, allowBreaking, 'test')).revision,
    push: (events) => services.ingestion.ingest(live.current.snapshot, 'transactions', events),
    close: async () => {
      await worker.stop();
      await updates.stop();
      await follower.stop();
    },
  };
}
