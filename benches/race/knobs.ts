// What may be chosen: the environment variables of the seed's harness under their names, and the words of the command.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

export const SETS = [
  'seed',
  'tree100k',
  'big',
  'big_scattered',
  'big_appended',
  'big_shuffled',
  'node_modules',
] as const;

/** Sets for links that are slow or lose; raced when they are asked for. */
export const LINK_SETS = ['file64m', 'small2k'] as const;
export type SetName = (typeof SETS)[number] | (typeof LINK_SETS)[number];

export const LINKS = ['loopback', 'veth'] as const;

/**
 * veth, with half of the cores for each end, as two machines have their own: what builds differ by is not hidden by where
 * the kernel puts the threads of both. Raced when it is asked for.
 */
export const APART = 'veth-apart';

/** Links that lose, delay or hold up what they carry, by what `shaped-link` is told; raced when they are asked for. */
export const SHAPED = {
  '50ms': 'delay=25',
  '50ms-1%': 'delay=25 loss=1',
  '50ms-5%': 'delay=25 loss=5',
  '10ms-0.1%': 'delay=5 loss=0.1',
  '262ms': 'delay=131',
  '100mbit': 'delay=10 rate=100 queue=200',
  '50ms-reorder': 'delay=25 reorder=5',
  '50ms-duplicate': 'delay=25 duplicate=5',
} as const;
export type ShapedName = keyof typeof SHAPED;
/** With `+bbr` the kernel uses BBR on it, for what goes over TCP; else Cubic. */
export type LinkName = (typeof LINKS)[number] | typeof APART | ShapedName | `${ShapedName}+bbr`;

const ALL_LINKS: readonly LinkName[] = [
  ...LINKS,
  APART,
  ...(Object.keys(SHAPED) as ShapedName[]).flatMap((name) => [name, `${name}+bbr`] as const),
];

const isShaped = (name: string): name is ShapedName => Object.hasOwn(SHAPED, name);

/** What a link's name stands for, where it is one of the shaped. */
export function shaped(link: string): { shape: string; congestion: 'bbr' | 'cubic' } | undefined {
  const name = link.replace(/\+bbr$/, '');
  return isShaped(name) ? { shape: SHAPED[name], congestion: link === name ? 'cubic' : 'bbr' } : undefined;
}

export interface Knobs {
  smallDirs: number;
  smallFilesPerDir: number;
  smallFileSize: number;
  largeFiles: number;
  largeFileSize: number;
  changedFiles: number;
  /** Counted runs of the seed's set; the others, which take minutes, get `runsLarge`. */
  runs: number;
  runsLarge: number;
  transports: string[];
  rsyncArgs: string[];
}

export interface Selection {
  sets: SetName[];
  links: LinkName[];
  /** Contenders' keys or parts of them; empty is all of them. */
  contenders: string[];
  /** Whether durable runs on the real disk are measured beside `rsync --fsync`. */
  durable: boolean;
  /** Whether the seed is built when it is not there yet. */
  buildSeed: boolean;
  /** Whether the results become those that the documents show. */
  publish: boolean;
  /** The top folder of another checkout, built: it takes part beside this one. */
  against?: string;
}

export const USAGE = `npm run bench -- [OPTIONS]        races, see benches/README.md
  --sets LIST        of ${SETS.join(',')} (default: all), or of ${LINK_SETS.join(',')}
  --links LIST       of ${LINKS.join(',')} (default: all), or of ${APART}, where each end has half of the cores,
                     ${Object.keys(SHAPED).join(',')}, where +bbr behind
                     a name lets the kernel use BBR instead of Cubic
  --runs N           counted runs for each set (default: RUNS, else 5; the large sets 3)
  --contenders LIST  names or parts of names, e.g. sparsync_api,rsync (default: all; rsync_remote is what ratios refer to)
  --no-durable       without the runs on the real disk that are flushed
  --no-seed          without the seed itself, which is built with cargo the first time
  --against DIR      another checkout, with its release build and dist/, takes part: no median of this one may be more
                     than 5 % above the other's, and no peak of memory
  --publish          write docs/performance.{json,svg} and the tables of docs/performance.md; with --links of those that
                     lose or delay, their table alone, beside what this build has published there before
npm run bench -- --micro [NAME]   micro-benchmarks: criterion, and the boundary to Node
npm run bench -- --fairness [SECONDS]   two flows on one link: the share of each, and what waits (default: 60)
npm run bench -- --restarts [RUNS]      a server that is killed and started again in the middle of runs (default: 20)
environment: SMALL_DIRS=10 SMALL_FILES_PER_DIR=100 SMALL_FILE_SIZE=4096 LARGE_FILES=8 LARGE_FILE_SIZE=2097152
  CHANGED_FILES=100 RUNS=5 TRANSPORTS="daemon ssh" RSYNC_ARGS="-a --delete" BENCH_TMPFS=/dev/shm BENCH_DISK=$TMPDIR`;

function amount(name: string, fallback: number): number {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  if (!/^\d+$/.test(text)) throw new Error(`${name} must be a whole number, not ${JSON.stringify(text)}`);
  return Number(text);
}

function words(name: string, fallback: string): string[] {
  return (process.env[name] ?? fallback).split(/\s+/).filter((word) => word !== '');
}

function chosen<Name extends string>(given: string | undefined, all: readonly Name[], what: string): Name[] {
  if (given === undefined) return [...all];
  return given.split(',').map((name) => {
    const found = all.find((known) => known === name);
    if (found === undefined) throw new Error(`unknown ${what} ${JSON.stringify(name)}: known are ${all.join(', ')}`);
    return found;
  });
}

/** Reads environment and arguments; throws for what is not known. */
export function readKnobs(args: string[]): { knobs: Knobs; selection: Selection } {
  const { values } = parseArgs({
    args,
    options: {
      sets: { type: 'string' },
      links: { type: 'string' },
      runs: { type: 'string' },
      contenders: { type: 'string' },
      'no-durable': { type: 'boolean' },
      'no-seed': { type: 'boolean' },
      publish: { type: 'boolean' },
      against: { type: 'string' },
    },
  });
  const given = values.runs === undefined ? amount('RUNS', 0) : Number(values.runs);
  if (!Number.isInteger(given) || given < 0) throw new Error('--runs must be a whole number');
  const transports = words('TRANSPORTS', 'daemon ssh');
  const unknown = transports.find((name) => !['daemon', 'ssh'].includes(name));
  if (unknown !== undefined) throw new Error(`TRANSPORTS may hold daemon and ssh, not ${unknown}`);
  return {
    knobs: {
      smallDirs: amount('SMALL_DIRS', 10),
      smallFilesPerDir: amount('SMALL_FILES_PER_DIR', 100),
      smallFileSize: amount('SMALL_FILE_SIZE', 4096),
      largeFiles: amount('LARGE_FILES', 8),
      largeFileSize: amount('LARGE_FILE_SIZE', 2 << 20),
      changedFiles: amount('CHANGED_FILES', 100),
      runs: given === 0 ? 5 : given,
      runsLarge: given === 0 ? 3 : given,
      transports,
      rsyncArgs: words('RSYNC_ARGS', '-a --delete'),
    },
    selection: {
      sets: values.sets === undefined ? [...SETS] : chosen<SetName>(values.sets, [...SETS, ...LINK_SETS], 'set'),
      links: values.links === undefined ? [...LINKS] : chosen(values.links, ALL_LINKS, 'link'),
      contenders: values.contenders?.split(',') ?? [],
      durable: values['no-durable'] !== true,
      buildSeed: values['no-seed'] !== true,
      publish: values.publish === true,
      ...(values.against === undefined ? {} : { against: resolve(values.against) }),
    },
  };
}
