import type { ExecutionArgs, ExecutionResult } from 'graphql';
import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { FreshnessReader } from '../materialization/freshness.js';
import type { Ingestion } from '../materialization/ingestion.js';
import type { SourceChecker } from '../materialization/source-check.js';
import type { Registry } from '../registry/registry.js';
import type { Snapshot } from '../registry/snapshot.js';
import { FeatureLoader } from '../retrieval/feature-loader.js';
import { type FeatureRow, holdsAt, rowAt } from '../retrieval/feature-row.js';
import type { OnlineQuery } from '../retrieval/online-query.js';
import type { UpdateFeed } from '../retrieval/update-feed.js';
import type { JobStore } from '../store/job-store.js';
import type { OfflineStore } from '../store/offline-store.js';
import type { QueryReader } from '../store/query-reader.js';
import type { ExpressionWork } from '../transformation/expression-budget.js';
import { KeyAllowance } from './key-allowance.js';
import type { ApplyDefinitions } from './plan-report.js';
import type { RegisteredOperations } from './registered-operations.js';
import { type AnswerMemory, ResponseBudget } from './response-budget.js';
import { Turns } from './turns.js';

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
  /** How many entities one operation may ask for. */
  readonly maxKeys: number;
  readonly answers: AnswerMemory;
}

/** State that the resolvers of one request share. A subscription calls `startEvent` for each of its events. */
export class RequestContext {
  loader: FeatureLoader;
  response: ResponseBudget;
  allowance: KeyAllowance;
  // Not a private field: Apollo copies the context, which leaves private fields out.
  private readonly turns = new Turns();

  constructor(
    readonly services: RequestServices,
    /** The authenticated client, for the audit record. */
    readonly actor: string,
  ) {
    this.loader = new FeatureLoader(services.query, services.now());
    this.response = new ResponseBudget(services.answers);
    this.allowance = new KeyAllowance(services.maxKeys);
  }

  /** The row that holds now. Rows come in stretches, so that other requests are served between those of a long list. */
  load(view: ViewVersion, key: EntityKey): Promise<FeatureRow> {
    const { response } = this;
    return this.loader.load(view, key).then(
      (row) => this.turns.pass(row),
      (error: unknown) => response.refuse(error),
    );
  }

  /** Computes a value that reads expressions, now or in a later turn of the event loop. */
  compute<T>(work: ExpressionWork, compute: () => T): T | Promise<T> {
    return this.turns.compute(work, compute);
  }

  /** Runs the operation of a subscription for one event. */
  answerEvent(args: ExecutionArgs): ExecutionResult | Promise<ExecutionResult> {
    this.response = new ResponseBudget(this.services.answers);
    this.allowance = new KeyAllowance(this.services.maxKeys);
    return this.response.run(args);
  }

  /** Starts an event of a subscription: values are read anew, except the value that the event carries. */
  startEvent(view: ViewVersion, key: EntityKey, packed: Buffer): void {
    const now = this.services.now();
    this.loader = new FeatureLoader(this.services.query, now);
    const unpacked = this.services.query.codecOf(view).decode(packed);
    if (unpacked?.row && holdsAt(unpacked.row, now)) this.loader.prime(view, key, rowAt(view, unpacked.row, now));
  }
}
