/**
 * Sends many commands to a Redis Cluster at once. Each command is for one slot; those for one node are sent as one
 * pipeline.
 *
 * Slots that have moved or are moving are followed. After such an answer the keys of the command are requested one by
 * one, and the client goes where the answer points. One by one, because the keys of a moving slot are divided between
 * two nodes, and neither answers a command for several of them.
 */
import type { Cluster } from 'ioredis';

/** A command for keys of one slot. */
export interface SlotCommand {
  readonly slot: number;
  readonly name: 'mgetBuffer' | 'fstoreWriteNewest';
  readonly args: (string | Buffer | number)[];
}

type Sender = Record<SlotCommand['name'], (...args: SlotCommand['args']) => Promise<unknown>>;

const REDIRECTION = /^(?:MOVED|ASK|TRYAGAIN|CLUSTERDOWN) /;

/**
 * Runs the commands and returns their answers in order. Rejects if one fails, or if the answers take longer than
 * `timeout` milliseconds.
 */
export async function runOnCluster(
  cluster: Cluster,
  commands: readonly SlotCommand[],
  timeout: number,
): Promise<unknown[]> {
  let timer: NodeJS.Timeout | undefined;
  // The client's own timeout covers one attempt, but it makes several attempts and waits in between.
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeout} ms`)), timeout);
  });
  return Promise.race([run(cluster, commands), late]).finally(() => clearTimeout(timer));
}

async function run(cluster: Cluster, commands: readonly SlotCommand[]): Promise<unknown[]> {
  // Otherwise a pipeline would wait for a cluster that has never been reached.
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
      // The client may refuse a whole pipeline while it learns a new layout of the cluster.
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

/**
 * Splits a command into commands of one key each. Concatenated, their MGET answers are the answer of the original
 * command.
 */
function onePerKey({ slot, name, args }: SlotCommand): SlotCommand[] {
  if (name === 'mgetBuffer') return args.map((key) => ({ slot, name, args: [key] }));
  const count = args[0] as number;
  return args.slice(1, 1 + count).map((key, index) => {
    const rest = 1 + count + 2 * index;
    return { slot, name, args: [1, key, ...args.slice(rest, rest + 2)] };
  });
}
