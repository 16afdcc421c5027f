// The results as a picture: one panel for each race and phase, one bar for each contender, the reference marked.
import { PHASES } from './contender.js';
import type { Phase } from './contender.js';
import { figureOf, median, REFERENCE } from './results.js';
import type { Results, Scenario } from './results.js';

const WIDTH = 860;
const LABEL = 190;
const BAR = 16;
const GAP = 6;
const PANEL_HEAD = 30;
const PANEL_GAP = 18;
const MARGIN = 16;
const NUMBERS = 130;

const PHASE_TITLES: Record<Phase, string> = { first: 'first sync', second: 'no change', changed: 'changed files' };

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function panel(scenario: Scenario, phase: Phase, top: number): { svg: string; height: number } {
  const figures = scenario.figures.filter((figure) => figure.phase === phase);
  figures.sort((a, b) => median(a.wallMs) - median(b.wallMs));
  const reference = figureOf(scenario, REFERENCE[scenario.durability], phase);
  const most = Math.max(...figures.map(({ wallMs }) => median(wallMs)));
  const room = WIDTH - LABEL - NUMBERS - 2 * MARGIN;
  const where = scenario.link === 'veth' ? 'veth, MTU 1500' : scenario.link;
  const title = `${scenario.set}, ${PHASE_TITLES[phase]} (${where})`;
  const bars = figures.map(({ contender, title: name, wallMs }, index) => {
    const y = top + PANEL_HEAD + index * (BAR + GAP);
    const value = median(wallMs);
    const width = Math.max(1, (value / most) * room);
    const kind = contender.startsWith('sparsync')
      ? 'own'
      : contender === REFERENCE[scenario.durability]
        ? 'reference'
        : 'other';
    const times = reference === undefined ? '' : ` (${(value / median(reference.wallMs)).toFixed(2)} x)`;
    const shown = value < 10 ? value.toFixed(1) : value.toFixed(0);
    return `<text class="name" x="${MARGIN + LABEL - 8}" y="${y + 12}" text-anchor="end">${escape(name)}</text>
<rect class="${kind}" x="${MARGIN + LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2"/>
<text x="${(MARGIN + LABEL + width + 6).toFixed(1)}" y="${y + 12}">${shown} ms${times}</text>`;
  });
  const svg = `<text class="title" x="${MARGIN}" y="${top + 18}">${escape(title)}</text>\n${bars.join('\n')}`;
  return { svg, height: PANEL_HEAD + figures.length * (BAR + GAP) + PANEL_GAP };
}

const STYLE = `text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-weight:600;font-size:14px;fill:#1f2328}.name{fill:#1f2328}
.own{fill:#1a7f5a}.reference{fill:#bf6a02}.other{fill:#8c959f}
@media(prefers-color-scheme:dark){text{fill:#9198a1}.title,.name{fill:#f0f6fc}.own{fill:#2ea776}.reference{fill:#db8a28}.other{fill:#656c76}}`;

/** Draws the races that `wanted` lets through; empty when there are none. */
export function chart(results: Results, wanted: (scenario: Scenario) => boolean): string {
  let top = MARGIN;
  const panels: string[] = [];
  for (const scenario of results.scenarios.filter((one) => wanted(one))) {
    for (const phase of PHASES) {
      if (!scenario.figures.some((figure) => figure.phase === phase)) continue;
      const { svg, height } = panel(scenario, phase, top);
      panels.push(svg);
      top += height;
    }
  }
  if (panels.length === 0) return '';
  const { cpu, cores, kernel } = results.machine;
  const foot = `median wall time; x: over rsync's daemon in the same run. ${cpu}, ${cores} cores, Linux ${kernel}.`;
  const height = top + 24;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="Benchmark: sparsync-native beside rsync, cp and tar">
<style>${STYLE}</style>
${panels.join('\n')}
<text x="${MARGIN}" y="${top + 8}">${escape(foot)}</text>
</svg>
`;
}
