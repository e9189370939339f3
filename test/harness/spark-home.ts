/**
 * Provides a Spark for tests: PySpark and the jars of its Kafka connector and JDBC driver, downloaded once with pip and
 * Maven (0.6 GB).
 *
 * FSTORE_TEST_SPARK_HOME (a folder with bin/spark-submit) and FSTORE_TEST_SPARK_JARS (a folder of jars) select another
 * one.
 */
import { copyFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess } from './child-process.js';
import { cachedFolder, programOnPath, repositoryRoot } from './server-cache.js';

/**
 * The version of Spark here, in `docker/spark-jars.xml` and in the image's target `spark`; all three change together.
 */
export const SPARK_VERSION = '4.2.0';

/** Environment variables that give a process `engine: spark`. */
export type SparkEnvironment = Readonly<Record<string, string>>;

async function program(name: string): Promise<string> {
  const path = await programOnPath(name);
  if (!path) throw new Error(`${name} is not on PATH; install it`);
  return path;
}

/** Returns the variables that give FStore a Spark on this machine. Throws if it cannot be downloaded. */
export async function sparkEnvironment(): Promise<SparkEnvironment> {
  const python = await program('python3');
  const { FSTORE_TEST_SPARK_HOME: home, FSTORE_TEST_SPARK_JARS: jars } = process.env;
  if (home && jars) return environment(python, home, jars);
  const folder = await cachedFolder(`spark-${SPARK_VERSION}`, async (draft) => {
    await copyFile(join(repositoryRoot, 'docker', 'spark-jars.xml'), join(draft, 'pom.xml'));
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--target', join(draft, 'packages')];
    const maven = ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=jars'];
    await Promise.all([
      runProcess(python, [...pip, `pyspark==${SPARK_VERSION}`], { logFile: join(draft, 'pip.log') }),
      runProcess(await program('mvn'), maven, { cwd: draft, logFile: join(draft, 'maven.log') }),
    ]);
  });
  return environment(python, join(folder, 'packages', 'pyspark'), join(folder, 'jars'));
}

async function environment(python: string, home: string, jars: string): Promise<SparkEnvironment> {
  return {
    FSTORE_SPARK_HOME: home,
    FSTORE_SPARK_PYTHON: python,
    FSTORE_SPARK_MASTER: 'local[2]',
    FSTORE_SPARK_JARS: (await readdir(jars)).map((file) => join(jars, file)).join(','),
    PYTHONPATH: join(home, '..'),
  };
}

/** Returns the processes of Spark drivers whose plan is in a folder. */
export async function sparkDriversOf(folder: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(folder) && command.includes('fstore_job.py')) found.push(Number(name));
  }
  return found;
}
