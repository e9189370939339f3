/** Prometheus' text format, where labels hold what the format itself uses. */
import { expect, test } from '@jest/globals';
import { metricsText } from '../../src/server/metrics-text.js';

test('labels are escaped, values that are not known are left out, and so are metrics without any', () => {
  const text = metricsText([
    {
      name: 'lag',
      type: 'gauge',
      help: 'What\nwaits \\ here.',
      samples: [
        { labels: { source: 'a"b\\c\nd', view: '' }, value: 1.5 },
        { labels: { source: 'unknown' }, value: null },
        { labels: {}, value: 0 },
      ],
    },
    { name: 'none', type: 'counter', help: 'Nothing.', samples: [{ labels: {}, value: null }] },
  ]);
  expect(text).toBe(
    [
      '# HELP lag What\\nwaits \\\\ here.',
      '# TYPE lag gauge',
      'lag{source="a\\"b\\\\c\\nd",view=""} 1.5',
      'lag 0',
      '',
    ].join('\n'),
  );
});
