/**
 * Many commands on a Redis Cluster at once, each for one slot: those of one node travel as one pipeline.
 *
 * A slot that moved, or is moving, is followed: after such an answer its keys are asked for one by one, and the client
 * goes where the answer points. One by one, because while a slot moves its keys are on both nodes, and a command for
 * several of them is answered by neither.
 */
import type { Cluster } from 'ioredis';

export interface SlotCommand {
  readonly slot: number;
  readonly name: 'mgetBuffer' | 'fstoreWriteNewest';
  readonly args: (string | Buffer | number)[];
}

type Sender = Record<SlotCommand['name'], (...args: SlotCommand['args']) => Promise<unknown>>;

const REDIRECTION = /^(?:MOVED|ASK|TRYAGAIN|CLUSTERDOWN) /;

/** Runs the commands and returns their answers in order. Rejects when one cannot be answered, or not in `timeout` ms. */
export async function runOnCluster(
  cluster: Cluster,
  commands: readonly SlotCommand[],
  timeout: number,
): Promise<unknown[]> {
  let timer: NodeJS.Timeout | undefined;
  // The client's own timeout is that of one attempt; it makes several, and waits in between.
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeout} ms`)), timeout);
  });
  return Promise.race([run(cluster, commands), late]).finally(() => clearTimeout(timer));
}

async function run(cluster: Cluster, commands: readonly SlotCommand[]): Promise<unknown[]> {
  // Without this a pipeline waits for a cluster that has never been seen.
  if (cluster.status !== 'ready') throw new Error(`the cluster is not ready (${cluster.status})`);
  const answers: unknown[] = new Array(commands.length);
  const keyByKey = async (index: number): Promise<void> => {
    const parts = onePerKey(commands[index]!);
    const found = await Promise.all(parts.map(({ name, args }) => (cluster as unknown as Sender)[name](...args)));
    answers[index] = found.flat();
  };
  const owners = new Map<string, number[]>();
  for (const [index, { slot }] of commands.entries()) {
    const owner = cluster.slots[slot]?.join() ?? '';
    const indexes = owners.get(owner);
    if (indexes) indexes.push(index);
    else owners.set(owner, [index]);
  }
  await Promise.all(
    [...owners].map(async ([owner, indexes]) => {
      const results = owner === '' ? null : await pipelined(cluster, commands, indexes);
      // While the client learns a new layout, it may refuse a pipeline as a whole.
      if (!results) return Promise.all(indexes.map(keyByKey));
      return Promise.all(
        results.map(async ([error, answer], position) => {
          const index = indexes[position]!;
          if (!error) answers[index] = answer;
          else if (REDIRECTION.test(error.message)) await keyByKey(index);
          else throw error;
        }),
      );
    }),
  );
  return answers;
}

async function pipelined(
  cluster: Cluster,
  commands: readonly SlotCommand[],
  indexes: readonly number[],
): Promise<[error: Error | null, answer: unknown][] | null> {
  const pipeline = cluster.pipeline();
  for (const index of indexes) {
    const { name, args } = commands[index]!;
    (pipeline as unknown as Sender)[name](...args);
  }
  return pipeline.exec().catch(() => null);
}

/** The same as commands of one key each; the answers of MGET, put together, are the answer of the whole. */
function onePerKey({ slot, name, args }: SlotCommand): SlotCommand[] {
  if (name === 'mgetBuffer') return args.map((key) => ({ slot, name, args: [key] }));
  const count = args[0] as number;
  return args.slice(1, 1 + count).map((key, index) => {
    const rest = 1 + count + 2 * index;
    return { slot, name, args: [1, key, ...args.slice(rest, rest + 2)] };
  });
}
