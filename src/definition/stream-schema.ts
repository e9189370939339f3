/** The `stream` field of a source: where its events arrive, and in which format. */
import { z } from 'zod';

/** Topic names that every event bus accepts, with the name of the project in front. */
export const TOPIC_NAME = /^[A-Za-z0-9._-]{1,200}$/;
export const TOPIC_RULE = 'a topic has letters, digits, dot, underscore or hyphen';

/** The schema of the `stream` field of a source. */
export const streamSchema = z
  .strictObject({
    topic: z
      .string()
      .regex(TOPIC_NAME, TOPIC_RULE)
      .optional()
      .describe('Topic of the event bus; default: the name of the source.'),
    format: z.enum(['json', 'avro']).optional().describe('What messages are; default: json.'),
    avroSchema: z
      .union([
        z.string().regex(/\.avsc$/, 'expected a schema, or the path of an .avsc file'),
        z.record(z.string(), z.unknown()),
      ])
      .optional()
      .describe(
        'Schema of Avro messages, or for `fstore apply` the path of its file; without it they name their schema in a registry.',
      ),
  })
  .refine((stream) => !stream.avroSchema || stream.format === 'avro', {
    message: 'avroSchema is for format: avro',
    path: ['format'],
  });
