/** Starts H2 as an example of a database that is not PostgreSQL. Maven downloads its jar once (3 MB). */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProcess, startProcess, whenReady } from './child-process.js';
import { freePort } from './free-port.js';
import { cachedFolder, programOnPath } from './server-cache.js';

const VERSION = '2.3.232';

/** A running H2 server. */
export interface H2Server {
  /** Path of the JDBC driver. */
  readonly jar: string;
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** Runs SQL statements, separated by semicolons. */
  run(script: string): Promise<void>;
  stop(): Promise<void>;
}

async function fetchJar(): Promise<string> {
  const folder = await cachedFolder(`h2-${VERSION}`, async (draft) => {
    const maven = await programOnPath('mvn');
    if (!maven) throw new Error('mvn is not on PATH; install Maven');
    const artifact = `-Dartifact=com.h2database:h2:${VERSION}`;
    const copy = ['-q', '-B', 'dependency:copy', artifact, '-DoutputDirectory=.'];
    await runProcess(maven, copy, { cwd: draft, logFile: join(draft, 'maven.log') });
  });
  return join(folder, `h2-${VERSION}.jar`);
}

/** Starts H2 on 127.0.0.1 with an empty database. */
export async function startH2Server(): Promise<H2Server> {
  const jar = await fetchJar();
  const folder = await mkdtemp(join(tmpdir(), 'fstore-h2-'));
  const port = await freePort();
  const tool = (name: string, ...options: string[]) => [
    ...['-Xmx128m', '-XX:TieredStopAtLevel=1', '-Dh2.bindAddress=127.0.0.1', '-cp', jar, `org.h2.tools.${name}`],
    ...options,
  ];
  const listen = tool('Server', '-tcp', '-tcpPort', `${port}`, '-ifNotExists', '-baseDir', folder);
  const server = startProcess('java', listen, { logFile: join(folder, 'h2.log') });
  await whenReady(server, async () => {
    if (!server.logTail().includes('TCP server running')) throw new Error('it has not announced itself yet');
  });
  const [url, user, password] = [`jdbc:h2:tcp://127.0.0.1:${port}/./warehouse`, 'fstore', 'unspoken'];
  let scripts = 0;
  return {
    jar,
    url,
    user,
    password,
    run: async (script) => {
      scripts += 1;
      const file = join(folder, `${scripts}.sql`);
      await writeFile(file, script);
      const given = ['-url', url, '-user', user, '-password', password, '-script', file];
      await runProcess('java', tool('RunScript', ...given), { logFile: join(folder, 'script.log') });
    },
    stop: async () => {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
