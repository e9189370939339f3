/**
 * The online store on Redis, Valkey or a Redis Cluster.
 *
 * Invariants
 * 1. Redis itself decides which value is newer: a script reads and writes each key atomically.
 * 2. A server that does not answer delays a caller by at most the command timeout. On a cluster it is twice that,
 *    because the client may have to try another node. Later calls do not queue behind it.
 * 3. All reads of one turn of the event loop are one MGET on a single server, and one round trip to each node of a
 *    cluster.
 */
import calculateSlot from 'cluster-key-slot';
import { Cluster, Redis } from 'ioredis';
import { FStoreError } from '../errors.js';
import { runOnCluster, type SlotCommand } from './cluster-batch-redis.js';
import type { OnlineEntry, OnlineStore } from './online-store.js';

/** Connection settings: a single server, or nodes of a cluster as `host:port`. */
export type RedisOnlineStoreOptions = ({ readonly url: string } | { readonly clusterNodes: readonly string[] }) & {
  /** How long a command may take, in milliseconds; 500 by default. */
  readonly commandTimeout?: number;
  readonly log?: (level: 'warn' | 'info', message: string, fields?: Record<string, unknown>) => void;
};

/**
 * KEYS are the keys; ARGV holds a packed value and a time to live in milliseconds (empty for none) for each. The order
 * is that of `isNewer`. It is compared as numbers, because Lua compares strings by the server's locale.
 */
const WRITE_NEWEST = `
for i = 1, #KEYS do
  local new = ARGV[2 * i - 1]
  local old = redis.call('GETRANGE', KEYS[i], 0, 15)
  local newer = true
  if #old == 16 then
    local oldTime, oldSequence = struct.unpack('>dd', old)
    local newTime, newSequence = struct.unpack('>dd', new)
    newer = not (oldTime > newTime or (oldTime == newTime and oldSequence >= newSequence))
  end
  if newer then
    local ttl = ARGV[2 * i]
    if ttl == '' then redis.call('SET', KEYS[i], new) else redis.call('SET', KEYS[i], new, 'PX', ttl) end
  end
end`;
const KEYS_PER_SCRIPT = 256;
/** Small enough that the last command of a round does not time out while it waits for the first. */
const COMMANDS_PER_ROUND = 4_096;
const SCRIPTS_PER_ROUND = 128;
/** Maximum number of keys in one MGET of gathered reads; that many keep a server busy for about 2 ms. */
const KEYS_PER_READ = 10_000;
const PROBE = 'fs:{probe}';

type Client = (Redis | Cluster) & { fstoreWriteNewest(...args: SlotCommand['args']): Promise<null> };

/**
 * Connects to Redis. If the server cannot be reached, retries in the background; calls fail at once until it succeeds.
 */
export async function connectRedisOnlineStore(options: RedisOnlineStoreOptions): Promise<OnlineStore> {
  const { commandTimeout = 500, log = () => {} } = options;
  const retryStrategy = (attempt: number): number => Math.min(50 * 2 ** Math.min(attempt, 10), 2_000);
  const shared = {
    commandTimeout,
    // A connection on which no answer arrives is replaced, even if it was never closed.
    socketTimeout: Math.max(2_000, commandTimeout * 2),
    connectTimeout: 2_000,
    disconnectTimeout: 200,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    keepAlive: 10_000,
    // After a failover the address may lead to another server, while this connection still leads to a server that is a
    // replica by then.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  };
  const client =
    'url' in options
      ? new Redis(options.url, { ...shared, retryStrategy, lazyConnect: true })
      : new Cluster(options.clusterNodes.map(nodeAddress), {
          redisOptions: shared,
          clusterRetryStrategy: retryStrategy,
          enableOfflineQueue: false,
          lazyConnect: true,
          // Each redirection costs 100 ms. Waiting longer for a lost node is not worth a caller's time.
          maxRedirections: 5,
          // A short delay is enough: while a slot moves, its keys are requested one by one.
          retryDelayOnTryAgain: 5,
        });
  client.defineCommand('fstoreWriteNewest', { lua: WRITE_NEWEST });
  let down = false;
  client.on('error', (error: Error) => {
    if (!down) log('warn', 'Redis cannot be reached', { error: error.message });
    down = true;
  });
  client.on('ready', () => {
    if (down) log('info', 'Redis is back');
    down = false;
  });
  // The listener above reports a failure.
  await client.connect().catch(() => {});
  return new RedisOnlineStore(client as Client, 2 * commandTimeout);
}

function nodeAddress(node: string): { host: string; port: number } {
  const colon = node.lastIndexOf(':');
  return { host: node.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(node.slice(colon + 1)) };
}

/** A read that is sent with all others of this turn of the event loop. */
interface WaitingRead {
  readonly keys: readonly string[];
  readonly resolve: (found: (Buffer | null)[]) => void;
  readonly reject: (error: unknown) => void;
}

class RedisOnlineStore implements OnlineStore {
  readonly #client: Client;
  readonly #timeout: number;
  #waiting: WaitingRead[] = [];

  constructor(client: Client, timeout: number) {
    this.#client = client;
    this.#timeout = timeout;
  }

  read(keys: readonly string[]): Promise<(Buffer | null)[]> {
    if (keys.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ keys, resolve, reject });
      if (this.#waiting.length === 1) setImmediate(() => this.#readWaiting());
    });
  }

  /** Sends all waiting reads, in parts, so that no single command occupies a server for long. */
  #readWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let from = 0; from < waiting.length; ) {
      let [to, count] = [from, 0];
      while (to < waiting.length && (to === from || count + waiting[to]!.keys.length <= KEYS_PER_READ)) {
        count += waiting[to++]!.keys.length;
      }
      void this.#readTogether(waiting.slice(from, to), count);
      from = to;
    }
  }

  async #readTogether(waiting: readonly WaitingRead[], count: number): Promise<void> {
    try {
      const [only] = waiting;
      if (waiting.length === 1) return only!.resolve(await this.#readNow(only!.keys));
      const keys = new Array<string>(count);
      let at = 0;
      for (const one of waiting) for (const key of one.keys) keys[at++] = key;
      const found = await this.#readNow(keys);
      let from = 0;
      for (const { keys: own, resolve } of waiting) {
        resolve(found.slice(from, from + own.length));
        from += own.length;
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }

  async #readNow(keys: readonly string[]): Promise<(Buffer | null)[]> {
    const client = this.#client;
    return reachable(async () => {
      if (!(client instanceof Cluster)) return client.mgetBuffer(keys as string[]);
      const groups = bySlot(keys, (key) => key);
      const commands = groups.map(({ slot, indexes }): SlotCommand => {
        return { slot, name: 'mgetBuffer', args: indexes.map((index) => keys[index]!) };
      });
      const found = await inRounds(commands, COMMANDS_PER_ROUND, (round) => runOnCluster(client, round, this.#timeout));
      const values = new Array<Buffer | null>(keys.length).fill(null);
      for (const [group, { indexes }] of groups.entries()) {
        const answers = found[group] as (Buffer | null)[];
        for (const [position, index] of indexes.entries()) values[index] = answers[position] ?? null;
      }
      return values;
    });
  }

  async write(entries: readonly OnlineEntry[]): Promise<void> {
    if (entries.length === 0) return;
    const client = this.#client;
    await reachable(async () => {
      if (client instanceof Cluster) {
        const commands = bySlot(entries, (entry) => entry.key).flatMap(({ slot, indexes }) =>
          scriptArguments(indexes.map((index) => entries[index]!)).map((args): SlotCommand => {
            return { slot, name: 'fstoreWriteNewest', args };
          }),
        );
        await inRounds(commands, COMMANDS_PER_ROUND, (round) => runOnCluster(client, round, this.#timeout));
      } else {
        // Commands sent in one turn of the event loop leave in one packet.
        await inRounds(scriptArguments(entries), SCRIPTS_PER_ROUND, (round) =>
          Promise.all(round.map((args) => client.fstoreWriteNewest(...args))),
        );
      }
    });
  }

  async ping(): Promise<void> {
    await reachable(() => this.#client.get(PROBE));
  }

  async close(): Promise<void> {
    this.#client.disconnect();
  }
}

interface SlotGroup {
  readonly slot: number;
  readonly indexes: number[];
}

function bySlot<T>(items: readonly T[], keyOf: (item: T) => string): SlotGroup[] {
  const groups = new Map<number, SlotGroup>();
  for (const [index, item] of items.entries()) {
    const slot = calculateSlot(keyOf(item));
    const group = groups.get(slot);
    if (group) group.indexes.push(index);
    else groups.set(slot, { slot, indexes: [index] });
  }
  return [...groups.values()];
}

/** Returns the arguments of the script calls that write these entries. */
function scriptArguments(entries: readonly OnlineEntry[]): SlotCommand['args'][] {
  return chunksOf(entries, KEYS_PER_SCRIPT).map((chunk) => [
    chunk.length,
    ...chunk.map((entry) => entry.key),
    ...chunk.flatMap(({ value, expiresIn }) => [
      value,
      expiresIn === null ? '' : `${Math.max(1, Math.ceil(expiresIn))}`,
    ]),
  ]);
}

function chunksOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, chunk) =>
    items.slice(chunk * size, (chunk + 1) * size),
  );
}

async function inRounds<T, R>(
  items: readonly T[],
  size: number,
  run: (round: readonly T[]) => Promise<readonly R[]>,
): Promise<R[]> {
  const answers: R[] = [];
  for (const round of chunksOf(items, size)) answers.push(...(await run(round)));
  return answers;
}

/** Converts any failure or timeout of Redis to STORE_UNAVAILABLE. */
async function reachable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new FStoreError('STORE_UNAVAILABLE', 'Redis cannot be reached', {}, [], { cause: error });
  }
}
