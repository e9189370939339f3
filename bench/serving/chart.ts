/** Draws the figures: a group of bars for each workload, at the highest number of connections. */

import { short, whole } from '../measure/markdown.js';
import type { Summary } from './cell.js';
import { CONTENDERS, type ContenderName } from './contender.js';

const COLORS: Readonly<Record<ContenderName, string>> = {
  fstore: '#0b6e4f',
  raw: '#9aa0a6',
  mercurius: '#c2571a',
  apollo: '#6a4fb3',
  feast: '#1f6fb2',
  feast2: '#7fb3dd',
};
const [LEFT, BAR, GAP, PANEL, TOP] = [64, 14, 26, 240, 40];

interface Panel {
  readonly title: string;
  readonly valueOf: (summary: Summary) => number;
  readonly label: (value: number) => string;
  /** Height of a bar, 0 to 1. */
  readonly scale: (value: number) => number;
  readonly ticks: readonly number[];
}

/** Returns a logarithmic scale that spans the values, with ticks at powers of ten. */
function logarithmic(values: readonly number[]): Pick<Panel, 'scale' | 'ticks'> {
  const known = values.filter((value) => Number.isFinite(value) && value > 0);
  const low = Math.floor(Math.log10(Math.min(...known, 1e9)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...known, 1e-9))));
  return {
    scale: (value) => Math.max(0.005, (Math.log10(value) - low) / (high - low)),
    ticks: Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)),
  };
}

function bar(panel: Panel, summary: Summary, x: number, top: number): string {
  const value = panel.valueOf(summary);
  if (!Number.isFinite(value)) return '';
  const height = Math.min(1, panel.scale(value)) * PANEL;
  const y = top + PANEL - height;
  const box = `<rect x="${x}" y="${y.toFixed(1)}" width="${BAR - 2}" height="${height.toFixed(1)}" fill="${COLORS[summary.contender]}"/>`;
  const at = `${x + BAR - 4} ${(y - 3).toFixed(1)}`;
  return `${box}<text transform="translate(${at}) rotate(-90)" font-size="9">${panel.label(value)}</text>`;
}

/** Draws requests/s and CPU time of a request, both on logarithmic scales. */
export function drawChart(summaries: readonly Summary[]): string {
  const closed = summaries.filter(({ mode }) => mode === 'closed');
  const most = Math.max(...closed.map(({ connections }) => connections));
  const shown = closed.filter(({ connections }) => connections === most);
  const workloads = [...new Set(shown.map(({ workload }) => workload))];
  const contenders = CONTENDERS.filter((name) => shown.some(({ contender }) => contender === name));
  const group = contenders.length * BAR + GAP;
  const width = LEFT + workloads.length * group + 20;
  const rate = (one: Summary): number => one.figures.requestsPerSecond;
  const cost = (one: Summary): number => one.figures.cpuMicroseconds;
  const panels: Panel[] = [
    { title: `Requests/s, ${most} connections`, valueOf: rate, label: whole, ...logarithmic(shown.map(rate)) },
    { title: 'Server CPU, µs a request', valueOf: cost, label: short, ...logarithmic(shown.map(cost)) },
  ];
  const parts = panels.flatMap((panel, index) => {
    const top = TOP + 60 + index * (PANEL + 110);
    const lines = panel.ticks.map((tick) => {
      const y = (top + PANEL - panel.scale(tick) * PANEL).toFixed(1);
      const text = `<text x="${LEFT - 6}" y="${y}" font-size="10" text-anchor="end">${tick.toLocaleString('en-US')}</text>`;
      return `<line x1="${LEFT}" x2="${width - 10}" y1="${y}" y2="${y}" stroke="#ddd"/>${text}`;
    });
    const bars = workloads.flatMap((workload, place) => {
      const x = LEFT + GAP / 2 + place * group;
      const name = `<text x="${x}" y="${top + PANEL + 16}" font-size="11">${workload}</text>`;
      const own = contenders.map((contender, at) => {
        const summary = shown.find((one) => one.workload === workload && one.contender === contender);
        return summary ? bar(panel, summary, x + at * BAR, top) : '';
      });
      return [name, ...own];
    });
    return [
      `<text x="${LEFT}" y="${top - 40}" font-size="14" font-weight="bold">${panel.title}</text>`,
      ...lines,
      ...bars,
    ];
  });
  const legend = contenders.map((name, index) => {
    const x = LEFT + index * 100;
    return `<rect x="${x}" y="14" width="12" height="12" fill="${COLORS[name]}"/><text x="${x + 18}" y="24" font-size="12">${name}</text>`;
  });
  const height = TOP + 60 + 2 * (PANEL + 110);
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif">`;
  const title = `<title>${panels.map((panel) => panel.title).join('; ')}</title>`;
  return `${[open, title, '<rect width="100%" height="100%" fill="#fff"/>', ...legend, ...parts, '</svg>'].join('\n')}\n`;
}
