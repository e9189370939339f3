/** What a login of PostgreSQL may do that FStore does not need. */
import pg from 'pg';

const CONNECT_TIMEOUT = 3_000;

const RIGHTS = `
  SELECT current_user AS role,
    rolsuper AS "isSuperuser",
    NOT rolsuper AND (pg_has_role(current_user, 'pg_read_server_files', 'USAGE')
      OR pg_has_role(current_user, 'pg_write_server_files', 'USAGE')
      OR pg_has_role(current_user, 'pg_execute_server_program', 'USAGE')) AS "reachesFiles",
    EXISTS (SELECT FROM pg_namespace WHERE nspname LIKE 'fstore\\_%' AND has_schema_privilege(oid, 'USAGE')) AS "seesStore",
    has_database_privilege(current_database(), 'CREATE') OR has_schema_privilege('public', 'CREATE') AS "creates"
  FROM pg_roles WHERE rolname = current_user`;

interface Rights {
  readonly role: string;
  readonly isSuperuser: boolean;
  readonly reachesFiles: boolean;
  readonly seesStore: boolean;
  readonly creates: boolean;
}

/** Sentences about what is unsafe about a login; `isForQueries`: SQL that users write runs under it. Never throws. */
export async function describeLogin(url: string, isForQueries: boolean): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<Rights>(RIGHTS);
    return rows[0] ? warningsOf(rows[0], isForQueries) : [];
  } catch (error) {
    const { code = 'no code' } = error as { code?: string };
    return isForQueries ? [`PostgreSQL cannot be reached with the read login (${code})`] : [];
  } finally {
    await client.end().catch(() => {});
  }
}

function warningsOf({ role, isSuperuser, reachesFiles, seesStore, creates }: Rights, isForQueries: boolean): string[] {
  const what = `role ${role} of ${isForQueries ? 'FSTORE_POSTGRES_READ_URL' : 'FSTORE_POSTGRES_URL'}`;
  const reach = isForQueries ? 'SQL that users write' : 'FStore';
  if (isSuperuser) return [`${what} is a superuser, so ${reach} could read files and run programs on the server`];
  return [
    ...(reachesFiles ? [`${what} may read files, write files or run programs on the server`] : []),
    ...(isForQueries && seesStore
      ? [`${what} may use schemas of FStore: grant it the tables that users may read, only`]
      : []),
    ...(isForQueries && creates ? [`${what} may create objects: it needs to read only`] : []),
  ];
}
