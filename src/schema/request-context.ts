import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { FreshnessReader } from '../materialization/freshness.js';
import type { Ingestion } from '../materialization/ingestion.js';
import type { SourceChecker } from '../materialization/source-check.js';
import type { Registry } from '../registry/registry.js';
import type { Snapshot } from '../registry/snapshot.js';
import { FeatureLoader } from '../retrieval/feature-loader.js';
import { holdsAt, rowAt } from '../retrieval/feature-row.js';
import type { OnlineQuery } from '../retrieval/online-query.js';
import type { UpdateFeed } from '../retrieval/update-feed.js';
import type { JobStore } from '../store/job-store.js';
import type { OfflineStore } from '../store/offline-store.js';
import type { QueryReader } from '../store/query-reader.js';
import type { ApplyDefinitions } from './plan-report.js';
import type { RegisteredOperations } from './registered-operations.js';

/** Where training sets are stored, and what clients may request of them. */
export interface TrainingSetRules {
  readonly folder: string;
  readonly maxSpineBytes: number;
  /** True if Spark can join spines. */
  readonly hasSpark: boolean;
}

/** The services of one process that every request uses. */
export interface RequestServices {
  readonly query: OnlineQuery;
  readonly updates: UpdateFeed;
  readonly ingestion: Ingestion;
  readonly freshness: FreshnessReader;
  readonly sourceChecks: SourceChecker;
  readonly offline: OfflineStore;
  readonly registry: Registry;
  readonly jobs: JobStore;
  readonly queries: QueryReader;
  readonly apply: ApplyDefinitions;
  readonly trainingSets: TrainingSetRules;
  readonly snapshot: () => Snapshot;
  readonly operations: () => RegisteredOperations;
  readonly now: () => number;
  /** How many entities one field may request. */
  readonly maxKeys: number;
}

/** State that the resolvers of one request share. A subscription calls `startEvent` for each of its events. */
export class RequestContext {
  loader: FeatureLoader;

  constructor(
    readonly services: RequestServices,
    /** The authenticated client, for the audit record. */
    readonly actor: string,
  ) {
    this.loader = new FeatureLoader(services.query, services.now());
  }

  /** Starts an event of a subscription: values are read anew, except the value that the event carries. */
  startEvent(view: ViewVersion, key: EntityKey, packed: Buffer): void {
    const now = this.services.now();
    this.loader = new FeatureLoader(this.services.query, now);
    const unpacked = this.services.query.codecOf(view).decode(packed);
    if (unpacked?.row && holdsAt(unpacked.row, now)) this.loader.prime(view, key, rowAt(view, unpacked.row, now));
  }
}
