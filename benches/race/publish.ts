// Copies of the results for the documents: what README.md and docs/performance.md show is what was measured.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { chart } from './chart.js';
import { machineLines, markdownTable, scenarioTitle, verdictLines } from './report.js';
import type { Results } from './results.js';

const MARK = { begin: '<!-- figures: written by npm run bench -- --publish -->', end: '<!-- end of figures -->' };

function between(text: string, figures: string, file: string): string {
  const [begin, end] = [text.indexOf(MARK.begin), text.indexOf(MARK.end)];
  if (begin < 0 || end < begin) throw new Error(`${file} has no place for figures: ${MARK.begin} … ${MARK.end}`);
  return `${text.slice(0, begin + MARK.begin.length)}\n\n${figures}\n\n${text.slice(end)}`;
}

/** Writes the committed copies. */
export function publish(root: string, results: Results): void {
  writeFileSync(join(root, 'docs/performance.json'), `${JSON.stringify(results, undefined, 1)}\n`);
  writeFileSync(
    join(root, 'docs/performance.svg'),
    chart(results, ({ set, durability }) => set === 'seed' && durability === 'none'),
  );
  const file = join(root, 'docs/performance.md');
  if (!existsSync(file)) return;
  const figures = [
    "![Median wall times of the seed's set](performance.svg)",
    machineLines(results).join('\n\n'),
    ...results.scenarios.map((scenario) => {
      const absences = scenario.absences.map(({ what, why }) => `No figure for ${what}: ${why}`);
      return [`### ${scenarioTitle(scenario)}`, markdownTable(scenario), ...absences].join('\n\n');
    }),
    ...results.absences.map(({ what, why }) => `Left out: ${what}: ${why}`),
    `### Targets\n\n\`\`\`\n${verdictLines(results).join('\n')}\n\`\`\``,
  ].join('\n\n');
  writeFileSync(file, between(readFileSync(file, 'utf8'), figures, 'docs/performance.md'));
  console.log('written: docs/performance.json, docs/performance.svg, docs/performance.md');
}
