/** Draws panels of lines over one scale as SVG. Both axes are logarithmic. */

/** A named line. */
export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** A titled panel of lines. */
export interface LinePanel {
  readonly title: string;
  readonly lines: readonly Line[];
}

const COLORS = ['#0b6e4f', '#c2571a', '#6a4fb3', '#1f6fb2', '#9aa0a6', '#b3364f'];
const [LEFT, WIDTH, HEIGHT, GAP, TICK_GAP] = [70, 420, 200, 80, 36];

interface Scale {
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

/** Returns a scale from the power of ten below the values to the one above; `at` gives 0 to 1. */
function scaleOf(values: readonly number[]): Scale {
  const known = values.filter((value) => Number.isFinite(value) && value > 0);
  const low = Math.floor(Math.log10(Math.min(...known)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...known))));
  return {
    at: (value) => (Math.log10(value) - low) / (high - low),
    ticks: Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)),
  };
}

/** Returns a scale that spreads the values over the whole width. */
function acrossOf(values: readonly number[]): Scale {
  const [low, high] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
  const at = (value: number): number => (high > low ? (Math.log10(value) - low) / (high - low) : 0.5);
  const ticks: number[] = [];
  for (const value of [...new Set(values)].sort((a, b) => a - b)) {
    const last = ticks.at(-1);
    if (last === undefined || (at(value) - at(last)) * WIDTH >= TICK_GAP) ticks.push(value);
  }
  return { at, ticks };
}

function drawPanel({ title, lines }: LinePanel, top: number, axis: string): string[] {
  const points = lines.flatMap((line) => line.points);
  const x = acrossOf(points.map(([value]) => value));
  const y = scaleOf(points.map(([, value]) => value));
  const place = ([across, up]: readonly [number, number]): string =>
    `${(LEFT + x.at(across) * WIDTH).toFixed(1)},${(top + HEIGHT - y.at(up) * HEIGHT).toFixed(1)}`;
  const grid = [
    ...y.ticks.map((tick) => {
      const at = (top + HEIGHT - y.at(tick) * HEIGHT).toFixed(1);
      const text = `<text x="${LEFT - 6}" y="${at}" font-size="10" text-anchor="end">${tick.toLocaleString('en-US')}</text>`;
      return `<line x1="${LEFT}" x2="${LEFT + WIDTH}" y1="${at}" y2="${at}" stroke="#ddd"/>${text}`;
    }),
    ...x.ticks.map((value) => {
      const at = (LEFT + x.at(value) * WIDTH).toFixed(1);
      return `<text x="${at}" y="${top + HEIGHT + 16}" font-size="10" text-anchor="middle">${value.toLocaleString('en-US')}</text>`;
    }),
    `<text x="${LEFT + WIDTH}" y="${top + HEIGHT + 32}" font-size="10" text-anchor="end">${axis}</text>`,
  ];
  const drawn = lines.flatMap((line, index) => {
    const color = COLORS[index % COLORS.length]!;
    const known = line.points.filter(([, value]) => Number.isFinite(value) && value > 0);
    const dots = known.map((point) => {
      const [cx, cy] = place(point).split(',');
      return `<circle cx="${cx}" cy="${cy}" r="3" fill="${color}"/>`;
    });
    const label = `<text x="${LEFT + WIDTH + 10}" y="${top + 12 + index * 16}" font-size="11" fill="${color}">${line.name}</text>`;
    return [
      `<polyline fill="none" stroke="${color}" stroke-width="2" points="${known.map(place).join(' ')}"/>`,
      ...dots,
      label,
    ];
  });
  return [`<text x="${LEFT}" y="${top - 14}" font-size="14" font-weight="bold">${title}</text>`, ...grid, ...drawn];
}

/** Draws panels below each other. `axis` names the horizontal axis. Values that are not above zero are left out. */
export function drawLines(panels: readonly LinePanel[], axis: string): string {
  const parts = panels.flatMap((panel, index) => drawPanel(panel, 50 + index * (HEIGHT + GAP), axis));
  const size = `0 0 ${LEFT + WIDTH + 220} ${50 + panels.length * (HEIGHT + GAP)}`;
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${size}" font-family="sans-serif">`;
  const title = `<title>${panels.map((panel) => panel.title).join('; ')}</title>`;
  return `${[open, title, '<rect width="100%" height="100%" fill="#fff"/>', ...parts, '</svg>'].join('\n')}\n`;
}
