// Copies of the results for the documents: what README.md and docs/performance.md show is what was measured.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { format, resolveConfig } from 'prettier';

import { chart } from './chart.js';
import { shaped } from './knobs.js';
import { briefTable, linksTable, machineLines, markdownTable, scenarioTitle, verdictLines } from './report.js';
import type { Results, Scenario } from './results.js';
import { linkVerdicts } from './targets.js';

/** Where the links that lose or delay are. */
const LINKS_MARK = { begin: '<!-- links: written by npm run bench -- --publish -->', end: '<!-- end of links -->' };

const MARK = { begin: '<!-- figures: written by npm run bench -- --publish -->', end: '<!-- end of figures -->' };

/** What README.md tells of, and how it calls it. */
const README_ROWS = {
  sparsync_api: '`connection.push()`, connection kept',
  sparsync: '`sparsync -a --delete`, whole process',
  rsync_remote: '`rsync -a --delete` to its daemon',
  rsync_ssh: '`rsync -a --delete` over ssh',
};

const fenced = (lines: readonly string[]): string => `\`\`\`\n${lines.join('\n')}\n\`\`\``;

/** Puts figures between the marks of a document. */
async function put(root: string, name: string, figures: string, mark = MARK): Promise<void> {
  const file = join(root, name);
  const text = readFileSync(file, 'utf8');
  const [begin, end] = [text.indexOf(mark.begin), text.indexOf(mark.end)];
  if (begin < 0 || end < begin) throw new Error(`${name} has no place for figures: ${mark.begin} … ${mark.end}`);
  const written = `${text.slice(0, begin + mark.begin.length)}\n\n${figures}\n\n${text.slice(end)}`;
  writeFileSync(file, await format(written, { ...(await resolveConfig(file)), filepath: file }));
  console.log(`written: ${name}`);
}

/** Adds links that this build has published on this machine before, since all of them take hours. */
function withEarlierLinks(root: string, results: Results): Results {
  const file = join(root, 'benches/results/links.json');
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Results) : undefined;
  const measured = new Set(results.scenarios.map(({ set, link }) => `${set} ${link}`));
  const isSame = isDeepStrictEqual(before?.machine, results.machine);
  const earlier = isSame ? (before?.scenarios ?? []).filter(({ set, link }) => !measured.has(`${set} ${link}`)) : [];
  const all = { ...results, scenarios: [...earlier, ...results.scenarios] };
  writeFileSync(file, JSON.stringify(all));
  return all;
}

/** Writes the committed copies. */
export async function publish(root: string, results: Results): Promise<void> {
  if (results.scenarios.every(({ link }) => shaped(link) !== undefined)) {
    const all = withEarlierLinks(root, results);
    const targets = verdictLines({ verdicts: linkVerdicts(all) });
    const figures = [machineLines(all).join('\n\n'), linksTable(all), fenced(targets)].join('\n\n');
    await put(root, 'docs/performance.md', figures, LINKS_MARK);
    return;
  }
  const figures = [
    "![Median wall times of the seed's set](performance.svg)",
    machineLines(results).join('\n\n'),
    ...results.scenarios.map((scenario) => {
      const absences = scenario.absences.map(({ what, why }) => `No figure for ${what}: ${why}`);
      return [`### ${scenarioTitle(scenario)}`, markdownTable(scenario), ...absences].join('\n\n');
    }),
    ...results.absences.map(({ what, why }) => `Left out: ${what}: ${why}`),
    `### Targets\n\n${fenced(verdictLines(results))}`,
  ].join('\n\n');
  await put(root, 'docs/performance.md', figures);
  const ofSeed = ({ set, durability }: Scenario): boolean => set === 'seed' && durability === 'none';
  const brief = results.scenarios.find((scenario) => ofSeed(scenario) && scenario.link === 'loopback');
  if (brief) await put(root, 'README.md', briefTable(brief, README_ROWS));
  const data = join(root, 'docs/performance.json');
  writeFileSync(data, await format(JSON.stringify(results), { ...(await resolveConfig(data)), filepath: data }));
  writeFileSync(join(root, 'docs/performance.svg'), chart(results, ofSeed));
  console.log('written: docs/performance.json, docs/performance.svg');
}
