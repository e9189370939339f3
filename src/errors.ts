/**
 * The table of error codes that GraphQL, REST, the command line and the logs share.
 *
 * Job: one place that says, for every way FStore can refuse or fail, what happened and what to do about it.
 * Boundary: knows nothing about transports; `status` is the HTTP class that REST uses and GraphQL clients may read.
 */

/** What one error code means: `status` is an HTTP status, `cause` why it happens, `cure` what the reader should do. */
export interface ErrorEntry {
  readonly status: number;
  readonly cause: string;
  readonly cure: string;
}

export const ERRORS = {
  BAD_REQUEST: {
    status: 400,
    cause: 'The request is not in the form that this door takes.',
    cure: 'Correct the named field and send it again.',
  },
  DEFINITION_INVALID: {
    status: 400,
    cause: 'A definition does not have the form that its kind asks for.',
    cure: 'Correct the named field; the JSON Schema in schema/definition.schema.json describes every kind.',
  },
  DEFINITION_SYNTAX: {
    status: 400,
    cause: 'A definition file is not valid YAML.',
    cure: 'Correct the syntax at the named line.',
  },
  REFERENCE_UNKNOWN: {
    status: 400,
    cause: 'A definition names an entity, source, column, view or feature that does not exist.',
    cure: 'Declare what is named, in the same apply or before it, or correct the spelling.',
  },
  NAME_COLLISION: {
    status: 409,
    cause: 'Two definitions would produce the same name in the GraphQL schema, or a name that FStore uses itself.',
    cure: 'Rename one of them, or give it another name under `graphql:`.',
  },
  BREAKING_CHANGE: {
    status: 409,
    cause: 'The change would remove or alter something in the GraphQL schema that clients may use.',
    cure: 'Keep the old definition beside the new one, or apply with --allow-breaking.',
  },
  REVISION_CONFLICT: {
    status: 409,
    cause: 'Somebody else changed the registry after this plan was made.',
    cure: 'Plan again, look at the difference, and apply.',
  },
  SCHEMA_INVALID: {
    status: 400,
    cause: 'The GraphQL schema generated from these definitions would not be valid.',
    cure: 'Correct the named definition; nothing was applied.',
  },
  SOURCE_UNKNOWN: {
    status: 404,
    cause: 'No source of this name is declared in the project.',
    cure: 'List the sources with `fstore get sources`, or declare it with `fstore apply`.',
  },
  VIEW_UNKNOWN: {
    status: 404,
    cause: 'No feature view of this name is declared in the project.',
    cure: 'List the views with `fstore get views`, or declare it with `fstore apply`.',
  },
  SERVICE_UNKNOWN: {
    status: 404,
    cause: 'No feature service of this name is declared in the project.',
    cure: 'List the services with `fstore get services`, or declare it with `fstore apply`.',
  },
  SOURCE_NOT_PUSHABLE: {
    status: 400,
    cause: 'The source has no stream, so it takes no events.',
    cure: 'Add `stream: {}` to the source, or materialize it from its batch input.',
  },
  EVENT_MALFORMED: {
    status: 400,
    cause: 'The event is not a JSON object.',
    cure: 'Send one JSON object for an event, with the columns of the source as its fields.',
  },
  EVENT_SCHEMA_UNKNOWN: {
    status: 400,
    cause: 'The event names an Avro schema that the schema registry does not have, or that FStore cannot read.',
    cure: 'Register the schema that the message names, then replay the dead letters.',
  },
  EVENT_FIELD_UNKNOWN: {
    status: 400,
    cause: 'The event has a field that the schema of its source does not declare.',
    cure: 'Remove the field, or add the column to the source and apply it.',
  },
  EVENT_FIELD_TYPE: {
    status: 400,
    cause: 'A field of the event does not fit the type that its source declares.',
    cure: 'Send a value of the declared type; INT64 beyond 2^53 as a decimal string, TIMESTAMP as ISO 8601 with a zone.',
  },
  EVENT_TIME_MISSING: {
    status: 400,
    cause: 'The event has no value in the timestamp column of its source.',
    cure: 'Send the event time with every event.',
  },
  EVENT_FROM_THE_FUTURE: {
    status: 400,
    cause: 'The event time lies further ahead than the allowed clock skew.',
    cure: "Correct the producer's clock or time zone; FSTORE_CLOCK_SKEW sets what is allowed.",
  },
  EVENT_KEY_MISSING: {
    status: 400,
    cause: 'A join key that a feature view needs is null or missing in the event.',
    cure: 'Send every join key column with every event.',
  },
  EVENT_TOO_LARGE: {
    status: 413,
    cause: 'The event is larger than the allowed size.',
    cure: 'Send smaller events; FSTORE_MAX_EVENT_BYTES sets the limit.',
  },
  KEY_INVALID: {
    status: 400,
    cause: 'An entity key does not fit the type of its join key, is empty, or is too long.',
    cure: 'Send the key in the declared type, at most 512 bytes.',
  },
  LIST_TOO_LONG: {
    status: 400,
    cause: 'The operation asks for more entities than one operation may, counted over all of its fields.',
    cure: 'Split the request; FSTORE_MAX_KEYS sets the limit.',
  },
  OPERATION_TOO_COMPLEX: {
    status: 400,
    cause: 'The GraphQL operation is deeper, longer or more repetitive than the limits allow.',
    cure: 'Ask for less in one operation.',
  },
  RESPONSE_TOO_LARGE: {
    status: 413,
    cause: 'The answer is larger than one answer may be.',
    cure: 'Ask for fewer entities or features in one request; FSTORE_MAX_RESPONSE_BYTES sets the limit.',
  },
  PERSISTED_QUERY_NOT_FOUND: {
    status: 404,
    cause: 'No consumer has registered an operation with this id.',
    cure: 'Register the operation with a `consumer` definition; `fstore get consumers` lists ids.',
  },
  OPERATION_NOT_REGISTERED: {
    status: 403,
    cause: 'This server runs registered operations only, and this document is none (FSTORE_OPERATIONS).',
    cure: 'Register the document, exactly as it is sent, with a `consumer` definition.',
  },
  OPERATION_INVALID: {
    status: 410,
    cause: 'The schema was changed so that a registered operation does not fit it any more.',
    cure: 'Put back what is missing, or correct the operation in its `consumer` definition and send that.',
  },
  UNAUTHENTICATED: {
    status: 401,
    cause: 'The request carries no API key, or one that is not known.',
    cure: 'Send `Authorization: Bearer <key>`.',
  },
  NOT_FOUND: {
    status: 404,
    cause: 'There is nothing at this address.',
    cure: 'Look at the addresses that `fstore serve` prints when it starts.',
  },
  DEAD_LETTER_UNKNOWN: {
    status: 404,
    cause: 'No dead letter has this id, or it was replayed already.',
    cure: 'List the dead letters with the query `deadLetters`.',
  },
  JOB_UNKNOWN: {
    status: 404,
    cause: 'No job has this id.',
    cure: 'List the jobs, or submit the work again.',
  },
  JOB_LEASE_LOST: {
    status: 409,
    cause: 'The job has ended, or its lease ran out and another process has taken it over.',
    cure: 'Nothing to do: the process that holds the job now continues from its last checkpoint.',
  },
  JOB_LOST: {
    status: 500,
    cause: 'Every process that ran the job died or stopped answering before it ended.',
    cure: 'Look in the logs for why (often: not enough memory), ask for less at once, and submit the job again.',
  },
  SUBSCRIPTION_SCHEMA_RELOAD: {
    status: 410,
    cause: 'A field that this subscription selects was removed or changed.',
    cure: 'Read the schema again and subscribe with an operation that fits it.',
  },
  SUBSCRIPTION_OVERFLOW: {
    status: 429,
    cause: 'The subscriber reads more slowly than more entities change than one queue may hold.',
    cure: 'Subscribe to fewer ids, or read faster.',
  },
  SOURCE_NOT_BATCH: {
    status: 400,
    cause: 'The source has no `batch:`, so there is nothing to read it from.',
    cure: 'Declare `batch:` with a file, table or query, or push its events.',
  },
  BATCH_CHANGED: {
    status: 409,
    cause:
      'A run of this source wrote some of its rows and did not end; now other rows are at their places, or Spark is to go on.',
    cure: 'Put back what it had read and run again with the built-in engine, then the new rows; where that is gone, give them a source of another name.',
  },
  SOURCE_UNREADABLE: {
    status: 400,
    cause: 'What a source points at is not there, or cannot be read.',
    cure: 'Correct the topic, path, table or query that the message names.',
  },
  TABLE_TOO_LARGE: {
    status: 413,
    cause: 'A file of rows is over a limit: of columns, of the size of a value, a record or a page, or of memory.',
    cure: 'Write the file with fewer columns, shorter values, or smaller row groups and pages; docs/files.md lists them.',
  },
  SAMPLE_EMPTY: {
    status: 400,
    cause: 'There is no record to look at.',
    cure: 'Have something written there first, then check again.',
  },
  TOPIC_UNKNOWN: {
    status: 404,
    cause: 'The event bus has no such topic.',
    cure: 'Have producers write to the topic that the message names; applying the source creates it.',
  },
  COLUMN_MISSING: {
    status: 400,
    cause: 'A declared column does not occur in the data.',
    cure: 'Correct its name in the definition, or take it out of the schema.',
  },
  COLUMN_NAME_INVALID: {
    status: 400,
    cause: 'Names of columns are lower case with single underscores.',
    cure: 'Rename it where the data is made; of a table, read it by `query:` with AS.',
  },
  COLUMN_TYPE_UNKNOWN: {
    status: 400,
    cause: 'The values of a column are not all of one type that FStore has.',
    cure: 'Write scalars or lists of one type; take objects apart into columns of their own.',
  },
  TIME_FORMAT_UNKNOWN: {
    status: 400,
    cause: 'A time is ISO 8601 with a zone, or milliseconds since 1970.',
    cure: 'Write it with a zone, or as milliseconds; of a table, read it by `query:` with to_timestamp() or AT TIME ZONE.',
  },
  TIME_COLUMN_UNKNOWN: {
    status: 400,
    cause: 'No column could be recognized as the time of the event.',
    cure: 'Add a TIMESTAMP column to the data, or name the one that it is as `timestamp:` of the source.',
  },
  KEY_COLUMN_UNKNOWN: {
    status: 400,
    cause: 'No column, or more than one, could be recognized as a join key.',
    cure: 'Declare the entity by hand, with the column that identifies it as its join key.',
  },
  TRANSFORMER_UNFITTED: {
    status: 409,
    cause: 'A transformer of the service has no parameters yet: it was never fitted on a training set.',
    cure: 'Ask for the training set with fit, and publish what it finds.',
  },
  TRAINING_SET_UNFINISHED: {
    status: 409,
    cause: 'The training set is still being built, has failed, or was cancelled.',
    cure: 'Look at its job with `fstore jobs show`, and ask again when it has succeeded.',
  },
  TRAINING_SET_GONE: {
    status: 404,
    cause: 'The file of the training set is not in the folder of training sets that this server sees.',
    cure: 'Build it again, or let all processes share FSTORE_TRAINING_FOLDER.',
  },
  STORE_UNAVAILABLE: {
    status: 503,
    cause: 'A store that is needed for this answer cannot be reached.',
    cure: 'Try again; look at /ready for the store that is down.',
  },
  ORIGIN_FORBIDDEN: {
    status: 403,
    cause: 'A page of another site sent the request.',
    cure: 'To let the pages of an origin in, name it in FSTORE_CORS_ORIGINS, as scheme://host:port.',
  },
  HOST_FORBIDDEN: {
    status: 403,
    cause: 'The Host header does not name this machine, and no API key is set.',
    cure: 'Use localhost or 127.0.0.1, or set FSTORE_API_KEY_SHA256: with API keys every Host is answered.',
  },
  STORE_TIMEOUT: {
    status: 503,
    cause: 'A store did not finish a statement of FStore within its time limit, and cancelled it.',
    cure: 'Try again; if it happens again, look at what else the server of the store is doing.',
  },
  QUERY_TIMEOUT: {
    status: 400,
    cause: 'The SQL of a definition, a check or a spine ran longer than a query may.',
    cure: 'Write a query that reads less, or raise FSTORE_SQL_TIMEOUT.',
  },
  SQL_QUERIES_OFF: {
    status: 403,
    cause: 'This process runs no SQL that users write: it is switched off, or has no login of its own to run under.',
    cure: 'Set FSTORE_SQL_QUERIES=true and, beside FSTORE_POSTGRES_URL, FSTORE_POSTGRES_READ_URL; or read a file or topic.',
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    cause: 'The address does not take this HTTP method, or a GET asks for a mutation.',
    cure: 'Use a method that the Allow header names; send mutations with POST.',
  },
  NOT_ACCEPTABLE: {
    status: 406,
    cause: 'The request does not accept the only type that the address answers with.',
    cure: 'Send `Accept: text/event-stream`, or use /graphql for answers in JSON.',
  },
  TOO_MANY_SUBSCRIPTIONS: {
    status: 429,
    cause: 'The connection or the process has as many subscriptions as it may have.',
    cure: 'End subscriptions, or subscribe to a list of ids; FSTORE_MAX_SUBSCRIPTIONS_PER_CONNECTION and FSTORE_MAX_SUBSCRIPTIONS set the limits.',
  },
  REQUEST_TIMEOUT: {
    status: 408,
    cause:
      'The request was not complete within FSTORE_REQUEST_TIMEOUT, or an upload came more slowly than the server allows.',
    cure: 'Send the request again over a faster connection, or in smaller parts; FSTORE_REQUEST_TIMEOUT sets the limit.',
  },
  OVERLOADED: {
    status: 503,
    cause:
      'This process has more requests under way than it may have, or, without a pause between, than it answers in 25 ms.',
    cure: 'Send the request again after the time that Retry-After says; run more processes, or raise FSTORE_MAX_IN_FLIGHT.',
  },
  BUS_UNAVAILABLE: {
    status: 503,
    cause: 'The event bus did not confirm the write.',
    cure: 'Send the same events again: an event that was stored twice is not the same as one that is lost.',
  },
  TOPIC_RECREATED: {
    status: 500,
    cause: 'A topic was deleted and created again: its offsets begin anew, at places where history has other events.',
    cure: 'Give the source another topic (`stream.topic`) and send the events there; nothing of the old topic is lost.',
  },
  DEFINITIONS_STALE: {
    status: 503,
    cause: 'A batch was processed with definitions that are older than a view which takes its events.',
    cure: 'Nothing to do: the worker reads the definitions again and repeats the batch.',
  },
  ENGINE_BUSY: {
    status: 503,
    cause:
      'A view comes back from another engine, or begins to read a source, and what that engine has computed is not merged yet.',
    cure: 'Nothing to do: the worker merges it and tries again.',
  },
  ENGINE_UNAVAILABLE: {
    status: 400,
    cause: 'A definition or a training set asks for an engine that this installation has not been given.',
    cure: 'Set FSTORE_SPARK_HOME, for streams of views also FSTORE_KAFKA_BROKERS, on servers and workers; or leave `engine` out.',
  },
  SCHEMA_REGISTRY_MISSING: {
    status: 400,
    cause: 'A source has Avro messages that name their schema, and this FStore knows no schema registry.',
    cure: 'Set FSTORE_SCHEMA_REGISTRY_URL on servers and workers, or give the source its `avroSchema`.',
  },
  SCHEMA_REGISTRY_UNAVAILABLE: {
    status: 503,
    cause: 'The schema registry does not answer, so Avro messages cannot be read.',
    cure: 'Nothing to do for events, which wait until it answers; look at FSTORE_SCHEMA_REGISTRY_URL.',
  },
  SQL_INVALID: {
    status: 400,
    cause: 'Spark refuses the query of a feature view, or its result is not what the view declares.',
    cure: 'Correct the query or `features` and apply the view again; then retire the version that was refused, such as view@1.',
  },
  ENGINE_FAILED: {
    status: 502,
    cause: 'The engine ended without a result.',
    cure: 'Read the message, then the log of the run, whose path the job names; correct the source or the settings of Spark and run again.',
  },
  REGISTRY_UNAVAILABLE: {
    status: 503,
    cause: 'The registry cannot be reached.',
    cure: 'Try again; reads go on with the last known definitions meanwhile.',
  },
  CONFIG_INVALID: {
    status: 500,
    cause: 'An environment variable has a value that FStore cannot use.',
    cure: 'Correct the named variable; docs/configuration.md lists them all.',
  },
  INSECURE_BIND: {
    status: 500,
    cause: 'FStore was asked to listen beyond this machine without authentication.',
    cure: 'Set FSTORE_API_KEY_SHA256, or listen on 127.0.0.1.',
  },
  PORT_IN_USE: {
    status: 500,
    cause: 'Another process listens on the port that FStore was given.',
    cure: 'End the other process, or set FSTORE_PORT to a free port (0: any free one).',
  },
  PATH_UNUSABLE: {
    status: 500,
    cause: 'A file or folder is missing, has the wrong kind, or may not be read or written.',
    cure: 'Correct the path, or give the user that FStore runs as the right to use it.',
  },
  DISK_FULL: {
    status: 507,
    cause: 'A disk that FStore writes to is full, or a quota is used up.',
    cure: 'Free space on the disk or choose a folder on another one, then try again.',
  },
  TOO_MANY_OPEN_FILES: {
    status: 503,
    cause: 'The process has as many files and connections open as the operating system allows.',
    cure: 'Raise the limit of open files (`ulimit -n`) and start FStore again.',
  },
  DATA_TOO_NEW: {
    status: 503,
    cause: 'A newer version of FStore has written to these stores, and this version cannot read what it wrote.',
    cure: 'Upgrade this FStore to the newer version, or restore the backup from before the upgrade.',
  },
  EMBEDDED_PASSWORD_INVALID: {
    status: 500,
    cause: 'The file `password` in the data folder is missing, empty, or not the password of the embedded PostgreSQL.',
    cure: 'Put back the file `password` from a backup of the data folder; a new data folder gets a new password.',
  },
  EMBEDDED_POSTGRES_FAILED: {
    status: 500,
    cause: 'The embedded PostgreSQL did not start, or ended.',
    cure: 'Read the named log file, or set FSTORE_POSTGRES_URL to a server of your own.',
  },
  SERVER_UNREACHABLE: {
    status: 503,
    cause: 'The command line cannot reach the FStore server.',
    cure: 'Start it with `fstore serve`, or give its address with --url.',
  },
  INTERNAL: {
    status: 500,
    cause: 'A defect in FStore.',
    cure: 'Report it with the request id; the log of the server has the details.',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** Where in the input an error lies. `path` is a list of field names and indexes; `file` and `line` for definition files. */
export interface ErrorLocation {
  readonly field?: string;
  readonly path?: readonly (string | number)[];
  readonly file?: string;
  readonly line?: number;
}

/** One finding of a check that reports all of its findings together. */
export interface Issue extends ErrorLocation {
  readonly code: ErrorCode;
  readonly message: string;
  readonly definition?: number;
}

/** An error with a code of the table. `message` says what is wrong in this case; cause and cure come from the table. */
export class FStoreError extends Error {
  override readonly name = 'FStoreError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly location: ErrorLocation = {},
    readonly issues: readonly Issue[] = [],
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  get entry(): ErrorEntry {
    return ERRORS[this.code];
  }

  /** What every door shows of this error: code, cure, place and findings; never a stack. graphql-js takes it from here. */
  get extensions(): Record<string, unknown> {
    const { cause, cure, status } = this.entry;
    return {
      code: this.code,
      status,
      cause,
      cure,
      ...this.location,
      ...(this.issues.length > 0 ? { issues: this.issues } : {}),
    };
  }
}

/** An FStoreError for a list of findings (at least one); its code and place are those of the first. */
export function errorOfIssues(issues: readonly Issue[]): FStoreError {
  const first = issues[0];
  if (!first) throw new RangeError('errorOfIssues needs at least one issue');
  const { code, message, definition: _, ...location } = first;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  return new FStoreError(code, `${message}${more}`, location, issues);
}

/** Runs `work`; whatever it fails with becomes an error of `code` that says `what` failed, but for errors of the table. */
export async function withCode<T>(code: ErrorCode, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FStoreError) throw error;
    // A refused connection of several addresses has a code and no message.
    const { message, code: reason } = error as Error & { code?: string };
    throw new FStoreError(code, `${what}: ${message || reason || 'no reason given'}`, {}, [], { cause: error });
  }
}
