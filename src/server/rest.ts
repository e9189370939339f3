/** The REST API: pushes events and reads values without GraphQL, with the same checks and errors. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { readKey } from '../definition/entity-key.js';
import { valueToJson } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import { parseEventJson } from '../materialization/event-decoder.js';
import { featureStatus } from '../retrieval/feature-row.js';
import { RequestContext, type RequestServices } from '../schema/request-context.js';

/**
 * Registers the endpoints of the REST API.
 * - `POST /api/v1/sources/:source/events`: one event or a list of events (JSON) → `{"accepted": n}`
 * - `GET  /api/v1/views/:view/values/:key…`: the current values of one entity; parts of a composite key are path
 *   segments
 */
export function registerRest(
  app: FastifyInstance,
  services: RequestServices,
  actorOf: (request: FastifyRequest) => string,
): void {
  app.register(async (rest) => {
    rest.removeContentTypeParser('text/plain');
    // Keeps integers beyond 2^53, which JSON.parse would round.
    rest.addContentTypeParser('application/json', { parseAs: 'string' }, (_, body, done) => {
      try {
        done(null, parseEventJson(body as string));
      } catch (error) {
        done(new FStoreError('EVENT_MALFORMED', `the body is not JSON: ${(error as Error).message}`));
      }
    });
    rest.post<{ Params: { source: string } }>('/api/v1/sources/:source/events', async (request, reply) => {
      const events = Array.isArray(request.body) ? request.body : [request.body];
      const accepted = await services.ingestion.ingest(services.snapshot(), request.params.source, events);
      return reply.code(202).send({ accepted });
    });
    rest.get<{ Params: { view: string; '*': string } }>('/api/v1/views/:view/values/*', async (request) => {
      const { view: name, '*': rest } = request.params;
      const view = services.snapshot().currentViews.get(name);
      if (!view) throw new FStoreError('VIEW_UNKNOWN', `there is no view ${name.slice(0, 80)}`, { field: 'view' });
      const parts = rest.split('/');
      if (parts.length !== view.keys.length) {
        const message = `view ${name} has ${view.keys.length} join keys, the address has ${parts.length}`;
        throw new FStoreError('KEY_INVALID', message, { field: view.keys.map((key) => key.name).join('/') });
      }
      const read = readKey(
        view.keys.map((key) => key.type),
        parts,
      );
      if (!read.ok) throw new FStoreError('KEY_INVALID', read.reason, { field: view.keys[read.part]?.name ?? 'key' });
      const row = await new RequestContext(services, actorOf(request)).loader.load(view, read.key);
      return {
        view: view.name,
        version: view.version,
        key: Object.fromEntries(view.keys.map((key, index) => [key.name, read.key.parts[index]])),
        status: row.status,
        eventTime: row.eventTime === null ? null : new Date(row.eventTime).toISOString(),
        features: Object.fromEntries(
          view.features.map((feature, index) => [
            feature.name,
            { value: valueToJson(feature.type, row.values?.[index] ?? null), status: featureStatus(row, index) },
          ]),
        ),
      };
    });
  });
}
