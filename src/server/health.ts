/**
 * The endpoints for probes: `/health` says that the process runs, `/ready` whether its stores answer.
 *
 * Both answer without a key, so they reveal states and nothing else. Errors of drivers go to the log, once for each
 * change of state.
 */
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { LiveSchema } from '../schema/live-schema.js';

/** Paths of the probes. */
export const PROBE_PATHS: ReadonlySet<string> = new Set(['/health', '/ready']);

/** How long a store may take to answer, in milliseconds. */
const PROBE_TIMEOUT = 2_000;

type ProbeState = 'ok' | 'unavailable' | 'timeout';

/** What the probes report on. */
export interface HealthOptions {
  readonly live: LiveSchema;
  readonly log: Logger;
  /**
   * A probe for each store that must answer for this process to be ready. A probe rejects if its store does not answer.
   */
  readonly probes: Readonly<Record<string, () => Promise<void>>>;
}

/** What `/ready` tells beside the stores. */
export interface ProcessState {
  /** True once the process stops: /ready is 503, and everything else is still answered. */
  readonly isStopping: () => boolean;
}

/** Registers `GET /health` and `GET /ready`. */
export function registerHealth(
  app: FastifyInstance,
  { live, log, probes }: HealthOptions,
  { isStopping }: ProcessState,
): void {
  const known = new Map<string, ProbeState>();
  app.get('/health', async () => ({ status: 'ok', revision: live.current.snapshot.revision }));
  app.get('/ready', async (_, reply) => {
    if (isStopping()) return reply.code(503).send({ status: 'stopping' });
    const states = await Promise.all(
      Object.entries(probes).map(async ([name, probe]) => {
        const { state, error } = await probeStore(probe);
        if (state !== (known.get(name) ?? 'ok')) {
          if (state === 'ok') log.info({ store: name }, 'the store answers again');
          else log.warn({ store: name, state, err: error }, 'the store does not answer');
        }
        known.set(name, state);
        return [name, state] as const;
      }),
    );
    const ready = states.every(([, state]) => state === 'ok');
    return reply
      .code(ready ? 200 : 503)
      .send({ status: ready ? 'ok' : 'unavailable', stores: Object.fromEntries(states) });
  });
}

async function probeStore(probe: () => Promise<void>): Promise<{ state: ProbeState; error?: unknown }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<{ state: ProbeState }>((resolve) => {
    timer = setTimeout(() => resolve({ state: 'timeout' }), PROBE_TIMEOUT);
  });
  const answered = probe().then(
    (): { state: ProbeState } => ({ state: 'ok' }),
    (error: unknown) => ({ state: 'unavailable' as const, error }),
  );
  try {
    return await Promise.race([answered, late]);
  } finally {
    clearTimeout(timer);
  }
}
