// The results as text: tables for people, KEY=value lines for scripts.
import { PHASES } from './contender.js';
import type { Figure } from './race.js';
import { figureOf, mean, median, ratio, REFERENCE } from './results.js';
import type { Results, Scenario } from './results.js';

const MIB = 1024;

function ms(value: number): string {
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}

function cpu(values: readonly number[]): string {
  return values.length === 0 ? '' : ms(mean(values));
}

function bytes(value: number | null): string {
  return value === null ? '' : value >= 1e6 ? `${(value / 1e6).toFixed(2)} MB` : `${(value / 1e3).toFixed(1)} kB`;
}

function mib(value: number | null): string {
  return value === null || value === 0 ? '' : (value / MIB).toFixed(0);
}

/** What a race was on, in one line. */
export function scenarioTitle({ set, link, store, fileSystem, durability, entries, bytes: size }: Scenario): string {
  const promise = durability === 'none' ? 'not flushed' : 'flushed';
  const where = link === 'veth' ? 'veth, MTU 1500' : link;
  return `${set}: ${entries.toLocaleString('en')} entries, ${(size / 1e6).toFixed(1)} MB; ${where}; ${store} (${fileSystem}); ${promise}`;
}

const HEAD = [
  'phase',
  'contender',
  'median ms',
  'min ms',
  'ratio',
  'CPU ms near',
  'far',
  'peak MiB near',
  'far',
  'wire',
];

/** The rows of a race's table. */
export function rows(scenario: Scenario): string[][] {
  return PHASES.flatMap((phase) => {
    const figures = scenario.figures.filter((figure) => figure.phase === phase);
    figures.sort((a, b) => median(a.wallMs) - median(b.wallMs));
    return figures.map((figure) => {
      const over = ratio(scenario, phase, figure.contender, REFERENCE[scenario.durability]);
      return [
        phase,
        figure.title,
        ms(median(figure.wallMs)),
        ms(Math.min(...figure.wallMs)),
        over === undefined ? '' : over.toFixed(2),
        cpu(figure.nearCpuMs),
        cpu(figure.farCpuMs),
        mib(figure.nearPeakKib),
        mib(figure.farPeakKib),
        bytes(figure.wireBytes),
      ];
    });
  });
}

function plainTable(cells: readonly string[][]): string {
  const widths = HEAD.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row.map((cell, at) => (at < 2 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  ');
  return cells.map((row) => line(row).trimEnd()).join('\n');
}

/** A race's table for a terminal. */
export function table(scenario: Scenario): string {
  const absences = scenario.absences.map(({ what, why }) => `no figure for ${what}: ${why}`);
  const others = [scenario.coresBusyBefore, scenario.coresBusyAfter].map((cores) => cores.toFixed(2)).join(' and ');
  const busy = `cores that others kept busy before and after: ${others}`;
  return [scenarioTitle(scenario), plainTable([HEAD, ...rows(scenario)]), busy, ...absences].join('\n');
}

function markdown(head: readonly string[], rule: readonly string[], cells: readonly string[][]): string {
  // A pipe in a contender's name is no border of the table.
  const line = (row: readonly string[]): string => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(rule), ...cells.map((row) => line(row))].join('\n');
}

/** A race's table for a document. */
export function markdownTable(scenario: Scenario): string {
  const rule = HEAD.map((_, at) => (at < 2 ? '---' : '--:'));
  return markdown(HEAD, rule, rows(scenario));
}

/** Median wall times of the named contenders, a column for each phase. */
export function briefTable(scenario: Scenario, contenders: Readonly<Record<string, string>>): string {
  const head = ['', 'first sync', 'nothing changed', '100 files changed'];
  const cells = Object.entries(contenders).map(([contender, title]) => {
    const figures = PHASES.map((phase) => figureOf(scenario, contender, phase));
    return [title].concat(figures.map((figure) => (figure === undefined ? '' : ms(median(figure.wallMs)))));
  });
  return markdown(
    head,
    head.map((_, at) => (at === 0 ? '---' : '--:')),
    cells,
  );
}

/** Lines as the seed's harness prints them; races other than the seed's own have a prefix. */
export function keyValues(scenario: Scenario): string[] {
  const { set, link, durability } = scenario;
  const parts = [
    set === 'seed' ? [] : [set],
    link === 'loopback' ? [] : [link],
    durability === 'none' ? [] : ['flushed'],
  ];
  const prefix = parts
    .flat()
    .map((part) => `${part}_`)
    .join('');
  const line = (name: string, value: number): string => `${prefix}${name}=${Number(value.toFixed(1))}`;
  return scenario.figures.flatMap((figure: Figure) => {
    const name = `${figure.contender}_${figure.phase}`;
    const over = figureOf(scenario, REFERENCE[durability], figure.phase);
    return [
      line(`${name}_ms`, median(figure.wallMs)),
      line(`${name}_min_ms`, Math.min(...figure.wallMs)),
      ...(over === undefined
        ? []
        : [`${prefix}${name}_ratio=${(median(figure.wallMs) / median(over.wallMs)).toFixed(3)}`]),
    ];
  });
}

/** Every target with what was measured. */
export function verdictLines({ verdicts }: Pick<Results, 'verdicts'>): string[] {
  return verdicts.map(({ target, measured, met }) => {
    const word = met === undefined ? 'not measured' : met ? 'met' : 'NOT MET';
    return `${word.padEnd(12)}  ${target}${measured === undefined ? '' : `  (${measured})`}`;
  });
}

/** The machine in one paragraph. */
export function machineLines({ machine, idleNodeKib, busy, takenAt }: Results): string[] {
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, Linux ${machine.kernel}; ${takenAt}`,
    Object.entries(machine.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join('; '),
    `an idle Node needs ${mib(idleNodeKib)} MiB`,
    ...(busy ? ['OTHER WORK WAS GOING ON: these figures are worth little'] : []),
  ];
}

/** Who is shown of links that lose or delay, and whether the kernel uses BBR there. */
const ON_LINKS: ReadonlyArray<readonly [title: string, contender: string, bbr: boolean]> = [
  ['sparsync', 'sparsync', false],
  ['daemon, Cubic', 'rsync_remote', false],
  ['daemon, BBR', 'rsync_remote', true],
  ['ssh, Cubic', 'rsync_ssh', false],
  ['ssh, BBR', 'rsync_ssh', true],
];

/** Seconds in the median on each link, ours beside rsync's over the kernel's two controllers. */
export function linksTable({ scenarios }: Results): string {
  const lines = scenarios
    .filter(({ link }) => !link.endsWith('+bbr'))
    .flatMap((scenario) =>
      PHASES.map((phase) => {
        const seconds = ON_LINKS.map(([, contender, bbr]) => {
          const link = bbr ? `${scenario.link}+bbr` : scenario.link;
          const on = scenarios.find((other) => other.set === scenario.set && other.link === link);
          const figure = on === undefined ? undefined : figureOf(on, contender, phase);
          return figure === undefined ? '' : (median(figure.wallMs) / 1000).toFixed(2);
        });
        return `| ${[scenario.link, scenario.set, phase, ...seconds].join(' | ')} |`;
      }),
    );
  const head = ['link', 'set', 'phase', ...ON_LINKS.map(([title]) => title)];
  const ruler = head.map((_, at) => (at < 3 ? '---' : '---:'));
  return [`| ${head.join(' | ')} |`, `| ${ruler.join(' | ')} |`, ...lines].join('\n');
}
