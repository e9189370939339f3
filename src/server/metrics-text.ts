/**
 * Formats measurements in Prometheus' text format (version 0.0.4).
 *
 * No library, because every value is read on request. A library would keep a copy of each value, including series of
 * sources that no longer exist, and measure the process all the time.
 */

/** The types of metrics that FStore has. */
export type MetricType = 'gauge' | 'counter';

/** One value of a metric. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  /** Null if the value is not known; the sample is then left out. */
  readonly value: number | null;
}

/** A metric with its samples. */
export interface Metric {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly samples: readonly Sample[];
}

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** Returns the text of these metrics. Metrics without a known value are left out. */
export function metricsText(metrics: readonly Metric[]): string {
  const lines: string[] = [];
  for (const { name, type, help, samples } of metrics) {
    const known = samples.filter(({ value }) => value !== null);
    if (known.length === 0) continue;
    lines.push(`# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`, `# TYPE ${name} ${type}`);
    for (const { labels, value } of known) {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
      lines.push(`${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
