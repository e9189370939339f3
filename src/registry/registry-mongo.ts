/**
 * The registry in MongoDB: collections `projects`, `definitions` and `audit`, for any number of projects.
 *
 * An apply is one transaction, and begins by incrementing the project's revision from the expected one. If two applies
 * race, the server aborts one of them. Its retry finds another revision. All reads and writes use the majority concern,
 * so a revision that was seen survives a change of the primary.
 */
import {
  type AnyBulkWriteOperation,
  type ClientSession,
  type Collection,
  type Db,
  MongoClient,
  MongoServerError,
} from 'mongodb';
import type { DefinitionRecord } from '../definition/definition-record.js';
import { FStoreError } from '../errors.js';
import type { AuditRecord, Registry, RegistryChange, RegistryState, VersionReference } from './registry.js';
import { MongoRegistryWatch, type ProjectDocument } from './registry-watch-mongo.js';

/** How to connect to MongoDB, and which project to read. */
export interface MongoRegistryOptions {
  readonly url: string;
  /** Default: the database in the URL, or `fstore`. */
  readonly database?: string;
  readonly project: string;
}

interface DefinitionDocument extends DefinitionRecord {
  readonly project: string;
}

interface AuditDocument extends AuditRecord {
  readonly project: string;
}

const SERVER_TIMEOUT = 3_000;
const SOCKET_TIMEOUT = 15_000;
const TRANSACTION_TIMEOUT = 5_000;
const DUPLICATE_KEY = 11_000;
/** Definitions in one batch of the cursor. */
const LOAD_BATCH = 500;
const DATABASE_IN_URL = /^mongodb(?:\+srv)?:\/\/[^/?]+\/([^?]+)/;

/** Connects and creates missing indexes. Throws REGISTRY_UNAVAILABLE, or CONFIG_INVALID without a replica set. */
export async function connectMongoRegistry(options: MongoRegistryOptions): Promise<Registry> {
  const database = options.database ?? decodeURIComponent(DATABASE_IN_URL.exec(options.url)?.[1] ?? 'fstore');
  const client = new MongoClient(options.url, {
    appName: 'fstore registry',
    serverSelectionTimeoutMS: SERVER_TIMEOUT,
    connectTimeoutMS: SERVER_TIMEOUT,
    socketTimeoutMS: SOCKET_TIMEOUT,
    readPreference: 'primary',
    readConcern: { level: 'majority' },
    writeConcern: { w: 'majority' },
    ignoreUndefined: true,
  });
  const registry = new MongoRegistry(client, database, options.project);
  try {
    await registry.prepare();
  } catch (error) {
    await registry.close();
    throw error;
  }
  return registry;
}

/** The change does not fit the stored records, so a retry would fail too: the caller made it from other records. */
function impossible(message: string, cause?: unknown): FStoreError {
  return new FStoreError('INTERNAL', message, {}, [], { cause });
}

function unavailable(cause: unknown): FStoreError {
  return new FStoreError('REGISTRY_UNAVAILABLE', 'MongoDB cannot be reached', {}, [], { cause });
}

async function reachable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof FStoreError ? error : unavailable(error);
  }
}

const isDuplicate = (error: unknown): boolean => error instanceof MongoServerError && error.code === DUPLICATE_KEY;

class MongoRegistry implements Registry {
  readonly #client: MongoClient;
  readonly #db: Db;
  readonly #project: string;
  readonly #projects: Collection<ProjectDocument>;
  readonly #definitions: Collection<DefinitionDocument>;
  readonly #audit: Collection<AuditDocument>;
  readonly #watches = new Set<MongoRegistryWatch>();

  constructor(client: MongoClient, database: string, project: string) {
    this.#client = client;
    this.#db = client.db(database);
    this.#project = project;
    this.#projects = this.#db.collection('projects');
    this.#definitions = this.#db.collection('definitions');
    this.#audit = this.#db.collection('audit');
  }

  prepare(): Promise<void> {
    return reachable(async () => {
      const hello = await this.#db.command({ hello: 1 });
      if (!hello.setName && hello.msg !== 'isdbgrid') {
        const message = 'MongoDB must run as a replica set: an apply is a transaction, and those need one';
        throw new FStoreError('CONFIG_INVALID', message, { field: 'FSTORE_MONGO_URL' });
      }
      await this.#definitions.createIndex({ project: 1, kind: 1, name: 1, version: 1 }, { unique: true });
      await this.#audit.createIndex({ project: 1, revision: -1 }, { unique: true });
    });
  }

  load(): Promise<RegistryState> {
    // A transaction and not a snapshot session, in which the client's read concern would win and reads differ in time.
    return this.#transact(async (session) => {
      const revision = await this.#revisionIn(session);
      const records = await this.#definitions
        .find({ project: this.#project }, { session, projection: { _id: 0, project: 0 } })
        .sort({ kind: 1, name: 1, version: 1 })
        // The driver decodes a batch without a pause. Small batches (and not 16 MB) let other requests run in between.
        .batchSize(LOAD_BATCH)
        .toArray();
      return { project: this.#project, revision, records: records as DefinitionRecord[] };
    });
  }

  revision(): Promise<number> {
    return reachable(() => this.#revisionIn(undefined));
  }

  apply(change: RegistryChange): Promise<number> {
    return this.#transact((session) => this.#applyIn(session, change));
  }

  audit(limit: number): Promise<readonly AuditRecord[]> {
    if (limit <= 0) return Promise.resolve([]);
    return reachable(() =>
      this.#audit
        .find({ project: this.#project })
        .sort({ revision: -1 })
        .limit(limit)
        .project<AuditRecord>({ _id: 0, project: 0 })
        .toArray(),
    );
  }

  async watch(listener: () => void): Promise<() => Promise<void>> {
    const watch = await reachable(() => MongoRegistryWatch.open(this.#client, this.#projects, this.#project, listener));
    this.#watches.add(watch);
    return async () => {
      this.#watches.delete(watch);
      await watch.close();
    };
  }

  ping(): Promise<void> {
    return reachable(async () => void (await this.#db.command({ ping: 1 })));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#watches].map((watch) => watch.close()));
    await this.#client.close();
  }

  /** Runs `work` in a transaction, and repeats it after a conflict with another one. */
  #transact<T>(work: (session: ClientSession) => Promise<T>): Promise<T> {
    const deadline = Date.now() + TRANSACTION_TIMEOUT;
    let failed: unknown;
    const attempt = async (session: ClientSession): Promise<T> => {
      // The driver would retry for two minutes. It rethrows errors that are not its own without a retry.
      if (failed && Date.now() > deadline) throw unavailable(failed);
      try {
        return await work(session);
      } catch (error) {
        failed = error;
        throw error;
      }
    };
    const options = { readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority' } } as const;
    return reachable(() => this.#client.withSession((session) => session.withTransaction(attempt, options)));
  }

  async #revisionIn(session: ClientSession | undefined): Promise<number> {
    const found = await this.#projects.findOne({ _id: this.#project }, session ? { session } : {});
    return found?.revision ?? 0;
  }

  async #applyIn(session: ClientSession, change: RegistryChange): Promise<number> {
    await this.#advance(session, change.expectedRevision);
    const revision = change.expectedRevision + 1;
    await this.#create(session, change.create);
    await this.#rewrite(session, change.update, 'updated', ({ definition }) => ({ definition }));
    await this.#rewrite(session, change.retire, 'retired', () => ({ active: false }));
    const { actor, summary } = change;
    const audit = { project: this.#project, revision, actor, summary, appliedAt: new Date() };
    await this.#audit.insertOne(audit, { session });
    return revision;
  }

  /** Increments the revision if it is the expected one. */
  async #advance(session: ClientSession, expected: number): Promise<void> {
    const filter = { _id: this.#project, revision: expected };
    const conflict = (): FStoreError =>
      new FStoreError('REVISION_CONFLICT', `the plan was made on revision ${expected}, and the registry is at another`);
    try {
      const options = { session, upsert: expected === 0 };
      const { matchedCount, upsertedCount } = await this.#projects.updateOne(
        filter,
        { $inc: { revision: 1 } },
        options,
      );
      if (matchedCount + upsertedCount !== 1) throw conflict();
    } catch (error) {
      // Another process inserted the project's document first.
      throw isDuplicate(error) ? conflict() : error;
    }
  }

  async #create(session: ClientSession, records: readonly DefinitionRecord[]): Promise<void> {
    if (records.length === 0) return;
    const documents = records.map(({ kind, name, version, fingerprint, definition, meaning, active }) => ({
      project: this.#project,
      ...{ kind, name, version, fingerprint, definition, meaning, active },
    }));
    try {
      await this.#definitions.insertMany(documents, { session });
    } catch (error) {
      throw isDuplicate(error) ? impossible('a version that is to be created is stored already', error) : error;
    }
  }

  async #rewrite<R extends VersionReference>(
    session: ClientSession,
    list: readonly R[],
    verb: string,
    fieldsOf: (one: R) => Partial<DefinitionDocument>,
  ): Promise<void> {
    if (list.length === 0) return;
    const operations = list.map((one): AnyBulkWriteOperation<DefinitionDocument> => {
      const { kind, name, version } = one;
      return {
        updateOne: { filter: { project: this.#project, kind, name, version }, update: { $set: fieldsOf(one) } },
      };
    });
    const { matchedCount } = await this.#definitions.bulkWrite(operations, { session });
    if (matchedCount !== list.length) throw impossible(`a version that is to be ${verb} is not stored`);
  }
}
