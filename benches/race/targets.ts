// The targets, each judged by what was measured.
import { PHASES } from './contender.js';
import type { Phase } from './contender.js';
import type { LinkName, SetName } from './knobs.js';
import { figureOf, median, ratioInterval } from './results.js';
import type { Results, Scenario, Verdict } from './results.js';
import { OTHER } from './sparsync.js';

const API = 'sparsync_api';
const COMMAND = 'sparsync';

/** At most so many times the median of another contender, on the same link where no other is named. */
type Ratio = [
  set: SetName,
  link: LinkName,
  phase: Phase,
  contender: string,
  most: number,
  other: string,
  on?: LinkName,
];

/** The sets in which 1 GiB changes. */
const DELTAS: readonly SetName[] = ['big', 'big_scattered', 'big_appended', 'big_shuffled'];

const RATIOS: readonly Ratio[] = [
  ['seed', 'loopback', 'first', API, 0.3, 'rsync_remote'],
  ['seed', 'loopback', 'first', API, 2, 'cp'],
  ['seed', 'loopback', 'first', COMMAND, 0.55, 'rsync_remote'],
  ['seed', 'loopback', 'first', COMMAND, 0.15, 'rsync_ssh'],
  ['seed', 'loopback', 'second', API, 0.05, 'rsync_remote'],
  ['seed', 'loopback', 'second', COMMAND, 0.4, 'rsync_remote'],
  ['seed', 'loopback', 'second', COMMAND, 0.17, 'rsync_ssh'],
  ['seed', 'loopback', 'changed', API, 0.08, 'rsync_remote'],
  ['seed', 'loopback', 'changed', COMMAND, 0.45, 'rsync_remote'],
  ...PHASES.map((phase): Ratio => ['seed', 'loopback', phase, 'sparsync_ssh', 0.5, 'rsync_ssh']),
  ...PHASES.map((phase): Ratio => ['seed', 'loopback', phase, 'sparsync_ssh_shared', 0.6, 'rsync_ssh_shared']),
  ['seed', 'veth', 'first', API, 0.45, 'rsync_remote'],
  ['seed', 'veth', 'first', COMMAND, 0.7, 'rsync_remote'],
  ['tree100k', 'loopback', 'first', API, 0.6, 'rsync_remote'],
  ['tree100k', 'loopback', 'first', API, 1.2, 'tar'],
  ['tree100k', 'loopback', 'second', API, 0.25, 'rsync_remote'],
  ['tree100k', 'loopback', 'second', 'sparsync_rules', 1.15, COMMAND],
  ['big', 'loopback', 'first', API, 1.1, 'rsync_remote'],
  ['big', 'loopback', 'first', API, 0.3, 'rsync_ssh'],
  ['seed', 'loopback', 'first', 'sparsync_local', 1.5, 'cp'],
  ['seed', 'loopback', 'first', 'sparsync_local_api', 1.1, 'cp'],
  ['tree100k', 'loopback', 'first', 'sparsync_local', 1.5, 'cp'],
  ['tree100k', 'loopback', 'first', 'sparsync_local_api', 1.1, 'cp'],
  ['big', 'loopback', 'first', 'sparsync_local', 1.05, 'cp'],
  ...DELTAS.map((set): Ratio => [set, 'loopback', 'changed', API, 0.6, 'rsync_remote']),
  // What has moved towards the end is written over before it could be copied.
  ...DELTAS.filter((set) => set === 'big_scattered' || set === 'big_appended').map((set): Ratio => [
    set,
    'loopback',
    'changed',
    'sparsync_inplace',
    0.35,
    'rsync_remote',
  ]),
];

/** Links that lose, beside ssh over the kernel's Cubic and over its BBR. */
const LOSSY = (['50ms-1%', '50ms-5%'] as const).flatMap((link): Ratio[] => [
  ['seed', link, 'first', COMMAND, 0.05, 'rsync_ssh'],
  ['seed', link, 'first', COMMAND, 0.8, 'rsync_ssh', `${link}+bbr`],
]);

/** A link that only delays, as it was before loss was looked at. */
const DELAYED: readonly Ratio[] = [
  ['seed', '50ms', 'first', COMMAND, 0.31, 'rsync_ssh'],
  ['seed', '50ms', 'second', COMMAND, 0.12, 'rsync_ssh'],
  ['seed', '50ms', 'changed', COMMAND, 0.26, 'rsync_ssh'],
];

/** 2,000 small files over a satellite. */
const FAR_MS = 1800;

/** The command at most 60 ms behind the API: what Node needs to start. */
const BESIDE_API: readonly [SetName, Phase][] = [
  ['tree100k', 'first'],
  ['tree100k', 'second'],
  ['big', 'first'],
];
const BESIDE_API_MS = 60;

const MEMORY_MIB = 24;
const MEMORY_PER_ENTRY_BYTES = 100;

function scenario(results: Results, set: SetName, link: LinkName): Scenario | undefined {
  return results.scenarios.find((one) => one.set === set && one.link === link && one.durability === 'none');
}

/** The median of a contender in ms. */
function medianOf(results: Results, set: SetName, link: LinkName, phase: Phase, contender: string): number | undefined {
  const found = scenario(results, set, link);
  const figure = found === undefined ? undefined : figureOf(found, contender, phase);
  return figure === undefined ? undefined : median(figure.wallMs);
}

function ratioVerdict(results: Results, [set, link, phase, contender, most, other, on = link]: Ratio): Verdict {
  const target = `${set}, ${link}, ${phase}: ${contender} <= ${most} x ${other}${on === link ? '' : ` on ${on}`}`;
  const [own, theirs] = [medianOf(results, set, link, phase, contender), medianOf(results, set, on, phase, other)];
  if (own === undefined || theirs === undefined) return { target };
  const measured = own / theirs;
  return { target, measured: `${measured.toFixed(3)} x`, met: measured <= most };
}

function farVerdict(results: Results): Verdict {
  const target = `small2k, 262ms, first: ${COMMAND} <= ${FAR_MS} ms`;
  const measured = medianOf(results, 'small2k', '262ms', 'first', COMMAND);
  return measured === undefined
    ? { target }
    : { target, measured: `${measured.toFixed(0)} ms`, met: measured <= FAR_MS };
}

/** What changed takes no more bytes than with rsync. */
function wireVerdict(results: Results, set: SetName): Verdict {
  const target = `${set}, loopback, changed: ${API}, bytes on the wire <= those of rsync_remote`;
  const found = scenario(results, set, 'loopback');
  const [own, other] = [API, 'rsync_remote'].map((key) =>
    found === undefined ? undefined : figureOf(found, key, 'changed')?.wireBytes,
  );
  if (typeof own !== 'number' || typeof other !== 'number') return { target };
  return { target, measured: `${(own / 1e6).toFixed(2)} of ${(other / 1e6).toFixed(2)} MB`, met: own <= other };
}

function besideVerdict(results: Results, [set, phase]: [SetName, Phase]): Verdict {
  const target = `${set}, loopback, ${phase}: ${COMMAND} within ${BESIDE_API_MS} ms of ${API}`;
  const found = scenario(results, set, 'loopback');
  const [one, other] = [COMMAND, API].map((key) => (found === undefined ? undefined : figureOf(found, key, phase)));
  if (one === undefined || other === undefined) return { target };
  const behind = median(one.wallMs) - median(other.wallMs);
  return { target, measured: `${behind.toFixed(0)} ms`, met: behind <= BESIDE_API_MS };
}

function memoryVerdicts(results: Results, found: Scenario): Verdict[] {
  const most = MEMORY_MIB + (found.entries * MEMORY_PER_ENTRY_BYTES) / 2 ** 20;
  return [API, COMMAND].flatMap((contender) =>
    (['near', 'far'] as const).map((end) => {
      const target = `${found.set}, ${found.link}: ${contender}, ${end} end's peak memory over an idle Node <= ${most.toFixed(1)} MiB`;
      const peaks = found.figures
        .filter((figure) => figure.contender === contender)
        .flatMap((figure) => (end === 'near' ? figure.nearPeakKib : (figure.farPeakKib ?? [])));
      if (peaks.length === 0) return { target };
      const over = (Math.max(...peaks) - results.idleNodeKib) / 1024;
      return { target, measured: `${over.toFixed(1)} MiB`, met: over <= most };
    }),
  );
}

/** A build beside another one: so many times its median at the most. */
const BESIDE_OTHER = 1.03;

/** This build beside another checkout's, where that took part: wall times, and peaks of memory. */
function otherVerdicts(found: Scenario): Verdict[] {
  return [API, COMMAND].flatMap((contender) => {
    const [own, other] = [contender, `${contender}${OTHER}`].map((key) =>
      found.figures.filter((figure) => figure.contender === key),
    );
    if (own === undefined || other === undefined || other.length === 0) return [];
    const times = other.map(({ phase }): Verdict => {
      const target = `${found.set}, ${found.link}, ${phase}: ${contender} <= ${BESIDE_OTHER} x the other build`;
      const [mine, theirs] = [contender, `${contender}${OTHER}`].map((key) => figureOf(found, key, phase)?.wallMs);
      if (mine === undefined || theirs === undefined) return { target };
      const measured = median(mine) / median(theirs);
      const [low, high] = ratioInterval(mine, theirs);
      const interval = `${low.toFixed(3)} to ${high.toFixed(3)}`;
      return { target, measured: `${measured.toFixed(3)} x, ${interval}`, met: measured <= BESIDE_OTHER };
    });
    const peaks = (['nearPeakKib', 'farPeakKib'] as const).map((end): Verdict => {
      const [mine, theirs] = [own, other].map((all) => Math.max(...all.flatMap((figure) => figure[end] ?? [])) / 1024);
      const target = `${found.set}, ${found.link}: ${contender}, ${end === 'nearPeakKib' ? 'near' : 'far'} end's peak memory <= the other build's`;
      if (mine === undefined || theirs === undefined) return { target };
      return { target, measured: `${mine.toFixed(1)} of ${theirs.toFixed(1)} MiB`, met: mine <= theirs };
    });
    return times.concat(peaks);
  });
}

/** Judges the targets of links that delay or lose. */
export function linkVerdicts(results: Results): Verdict[] {
  return [...[...DELAYED, ...LOSSY].map((target) => ratioVerdict(results, target)), farVerdict(results)];
}

/** Judges every target. */
export function judge(results: Results): Verdict[] {
  return [
    ...RATIOS.map((target) => ratioVerdict(results, target)),
    ...linkVerdicts(results),
    ...DELTAS.map((set) => wireVerdict(results, set)),
    ...BESIDE_API.map((target) => besideVerdict(results, target)),
    ...results.scenarios
      .filter(({ durability }) => durability === 'none')
      .flatMap((one) => memoryVerdicts(results, one).concat(otherVerdicts(one))),
  ];
}
