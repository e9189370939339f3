/**
 * The online store on Redis, Valkey or a Redis Cluster.
 *
 * Invariants
 * 1. Newest wins is decided inside of Redis, by a script that reads and writes one key without anybody between.
 * 2. A server that does not answer costs a caller at most the command timeout; nothing queues up behind it.
 */
import calculateSlot from 'cluster-key-slot';
import { Cluster, Redis } from 'ioredis';
import { FStoreError } from '../errors.js';
import type { OnlineEntry, OnlineStore } from './online-store.js';

export interface RedisOnlineStoreOptions {
  /** A single server. */
  readonly url?: string;
  /** Nodes of a cluster, as `host:port`. */
  readonly clusterNodes?: readonly string[];
  /** Milliseconds after which a command is given up. */
  readonly commandTimeout?: number;
  readonly log?: (level: 'warn' | 'info', message: string, fields?: Record<string, unknown>) => void;
}

/** KEYS, and for each a packed value and a time to live in milliseconds (empty: none). */
const WRITE_NEWEST = `
for i = 1, #KEYS do
  local new = ARGV[2 * i - 1]
  local old = redis.call('GETRANGE', KEYS[i], 0, 15)
  local newer = true
  if #old == 16 then
    local oldTime, oldSequence = struct.unpack('>dd', old)
    local newTime, newSequence = struct.unpack('>dd', new)
    newer = newTime > oldTime or (newTime == oldTime and newSequence > oldSequence)
  end
  if newer then
    local ttl = ARGV[2 * i]
    if ttl == '' then redis.call('SET', KEYS[i], new) else redis.call('SET', KEYS[i], new, 'PX', ttl) end
  end
end`;
const KEYS_PER_SCRIPT = 256;
const COMMANDS_PER_ROUND = 512;
const PROBE = 'fs:{probe}';

type WriteNewest = { fstoreWriteNewest(count: number, ...rest: (string | Buffer)[]): Promise<null> };

/** Connects. A server that cannot be reached yet is retried in the background; until then calls are refused at once. */
export async function connectRedisOnlineStore(options: RedisOnlineStoreOptions): Promise<OnlineStore> {
  const { url, clusterNodes, commandTimeout = 500, log = () => {} } = options;
  const retryStrategy = (attempt: number): number => Math.min(50 * 2 ** attempt, 2_000);
  const shared = {
    commandTimeout,
    // A connection on which nothing comes back is replaced, also when it was never closed.
    socketTimeout: Math.max(2_000, commandTimeout * 2),
    connectTimeout: 2_000,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    keepAlive: 10_000,
  };
  const client = clusterNodes
    ? new Cluster(
        clusterNodes.map((node) => ({
          host: node.slice(0, node.lastIndexOf(':')),
          port: Number(node.slice(node.lastIndexOf(':') + 1)),
        })),
        {
          redisOptions: shared,
          clusterRetryStrategy: retryStrategy,
          enableOfflineQueue: false,
          lazyConnect: true,
          retryDelayOnFailover: 100,
        },
      )
    : new Redis(url ?? '', { ...shared, retryStrategy, lazyConnect: true });
  client.defineCommand('fstoreWriteNewest', { lua: WRITE_NEWEST });
  client.on('error', (error: Error) => log('warn', 'Redis reports an error', { error: error.message }));
  await client.connect().catch((error: Error) => log('warn', 'Redis cannot be reached yet', { error: error.message }));
  return new RedisOnlineStore(client as (Redis | Cluster) & WriteNewest);
}

class RedisOnlineStore implements OnlineStore {
  readonly #client: (Redis | Cluster) & WriteNewest;
  readonly #cluster: boolean;

  constructor(client: (Redis | Cluster) & WriteNewest) {
    this.#client = client;
    this.#cluster = client instanceof Cluster;
  }

  async read(keys: readonly string[]): Promise<(Buffer | null)[]> {
    if (keys.length === 0) return [];
    return reachable(async () => {
      if (!this.#cluster) return this.#client.mgetBuffer(...keys);
      // One command a slot; those of one node travel together on its connection, and each follows a slot that moved.
      const values = new Array<Buffer | null>(keys.length).fill(null);
      await inRounds(
        this.#bySlot(keys, (key) => key),
        async (indexes) => {
          const found = await this.#client.mgetBuffer(...indexes.map((index) => keys[index]!));
          for (const [position, index] of indexes.entries()) values[index] = found[position] ?? null;
        },
      );
      return values;
    });
  }

  async write(entries: readonly OnlineEntry[]): Promise<void> {
    if (entries.length === 0) return;
    const groups = this.#cluster ? this.#bySlot(entries, (entry) => entry.key) : [entries.map((_, index) => index)];
    const chunks = groups.flatMap((indexes) =>
      Array.from({ length: Math.ceil(indexes.length / KEYS_PER_SCRIPT) }, (_, chunk) =>
        indexes.slice(chunk * KEYS_PER_SCRIPT, (chunk + 1) * KEYS_PER_SCRIPT).map((index) => entries[index]!),
      ),
    );
    await reachable(() =>
      inRounds(chunks, async (chunk) => {
        await this.#client.fstoreWriteNewest(
          chunk.length,
          ...chunk.map((entry) => entry.key),
          ...chunk.flatMap(({ value, expiresIn }) => [
            value,
            expiresIn === null ? '' : `${Math.max(1, Math.ceil(expiresIn))}`,
          ]),
        );
      }),
    );
  }

  async ping(): Promise<void> {
    await reachable(() => this.#client.get(PROBE));
  }

  async close(): Promise<void> {
    this.#client.disconnect();
  }

  #bySlot<T>(items: readonly T[], keyOf: (item: T) => string): number[][] {
    const slots = new Map<number, number[]>();
    for (const [index, item] of items.entries()) {
      const slot = calculateSlot(keyOf(item));
      const list = slots.get(slot);
      if (list) list.push(index);
      else slots.set(slot, [index]);
    }
    return [...slots.values()];
  }
}

/** Runs commands side by side, but not so many that the last of them times out while it waits for the first. */
async function inRounds<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += COMMANDS_PER_ROUND) {
    await Promise.all(items.slice(at, at + COMMANDS_PER_ROUND).map(run));
  }
}

/** Whatever Redis refuses or leaves unanswered, it is not available for this call. */
async function reachable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new FStoreError('STORE_UNAVAILABLE', `Redis: ${(error as Error).message}`, {}, [], { cause: error });
  }
}
