/**
 * The roles of the embedded PostgreSQL. Its superuser creates them and is not used after that.
 *
 * Invariants
 * 1. FStore itself works as `fstore_ingest`, which owns FStore's schemas and can reach neither files nor programs of the machine.
 * 2. SQL that users write runs as `fstore_read`, which reads tables of the schema `public` and creates nothing.
 * 3. Both passwords are new at each start and are kept in memory only.
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';

/** Functions by which a query could hold up or end what others do. */
const DISTURBING = "'^pg_(?:try_)?advisory_|^pg_notify$|^pg_(?:cancel|terminate)_backend$|^lo_'";
const READ_LIMITS = ['temp_file_limit = 1000000', 'default_transaction_read_only = on'];

const roles = (ingest: string, read: string): string => `
  DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'fstore_ingest') THEN CREATE ROLE fstore_ingest; END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'fstore_read') THEN CREATE ROLE fstore_read; END IF;
  END $$;
  ALTER ROLE fstore_ingest LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD '${ingest}';
  ALTER ROLE fstore_read LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 20 PASSWORD '${read}';
  ${READ_LIMITS.map((limit) => `ALTER ROLE fstore_read SET ${limit};`).join('\n  ')}
  REVOKE CREATE, TEMPORARY ON DATABASE postgres FROM PUBLIC;
  GRANT CREATE, TEMPORARY ON DATABASE postgres TO fstore_ingest;
  GRANT USAGE, CREATE ON SCHEMA public TO fstore_ingest;
  GRANT USAGE ON SCHEMA public TO fstore_read;
  GRANT SELECT ON ALL TABLES IN SCHEMA public TO fstore_read;
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO fstore_read;
  ALTER DEFAULT PRIVILEGES FOR ROLE fstore_ingest IN SCHEMA public GRANT SELECT ON TABLES TO fstore_read;
  DO $$ DECLARE one text; BEGIN
    FOR one IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
      AND proname ~ ${DISTURBING} AND has_function_privilege('fstore_read', oid, 'EXECUTE')
    LOOP
      EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', one);
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO fstore_ingest', one);
    END LOOP;
  END $$;`;

/** Schemas of data folders that were made when FStore worked as the superuser. */
const TAKE_OVER = `
  DO $$ DECLARE one text; BEGIN
    FOR one IN
      WITH spaces AS (SELECT oid, nspname, nspowner FROM pg_namespace WHERE nspname LIKE 'fstore\\_%'),
      owner AS (SELECT oid FROM pg_roles WHERE rolname = 'fstore_ingest')
      SELECT format('SCHEMA %I', nspname) FROM spaces, owner WHERE nspowner <> owner.oid
      UNION ALL
      SELECT format('%s %s', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
        WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, pg_class.oid::regclass)
      FROM pg_class JOIN spaces ON spaces.oid = relnamespace, owner
      WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'c') AND relowner <> owner.oid
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
          AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i'))
      UNION ALL
      SELECT format('ROUTINE %s', pg_proc.oid::regprocedure) FROM pg_proc JOIN spaces ON spaces.oid = pronamespace, owner
      WHERE proowner <> owner.oid
      UNION ALL
      SELECT format('TYPE %s', pg_type.oid::regtype) FROM pg_type JOIN spaces ON spaces.oid = typnamespace, owner
      WHERE typtype IN ('e', 'd') AND typowner <> owner.oid
    LOOP
      EXECUTE format('ALTER %s OWNER TO fstore_ingest', one);
    END LOOP;
  END $$;`;

/** Creates the roles, or gives them new passwords; `url` is that of the superuser. Returns the addresses with both logins. */
export async function prepareRoles(url: string): Promise<{ readonly url: string; readonly readUrl: string }> {
  const [ingest, read] = [randomBytes(18).toString('hex'), randomBytes(18).toString('hex')];
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    // A statement that fails would be in the log of the server, with its passwords.
    await client.query("SET log_min_error_statement = 'panic'");
    await client.query(`BEGIN; ${roles(ingest, read)} ${TAKE_OVER} COMMIT;`);
  } finally {
    await client.end();
  }
  const withLogin = (user: string, password: string): string => {
    const one = new URL(url);
    one.username = user;
    one.password = password;
    return one.href;
  };
  return { url: withLogin('fstore_ingest', ingest), readUrl: withLogin('fstore_read', read) };
}
