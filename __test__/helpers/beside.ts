import { spawnSync } from 'node:child_process';
import { chmodSync, lutimesSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import type { ExecutionContext } from 'ava';

import { type Ended, start } from './process.js';
import { program } from './product.js';
import type { Random } from './random.js';
import { walk } from './walk.js';
import type { Place } from './ways.js';

/** Every entry below `root`: what it is, what it holds, whose it is, and which other names it has. */
export function shape(root: string): Record<string, string> {
  const first = new Map<bigint, string>();
  const shown: Record<string, string> = {};
  for (const [path, entry] of walk(root, { content: true })) {
    const { kind, mode, uid, gid, size, hash, target, mtimeNs, ino } = entry;
    if (!first.has(ino)) first.set(ino, path);
    const own = kind === 'directory' ? '' : `${mtimeNs / 1_000_000_000n} ${size} ${hash ?? target} = ${first.get(ino)}`;
    shown[path] = `${kind} ${mode.toString(8)} ${uid}:${gid} ${own}`;
  }
  return shown;
}

/**
 * The lines of an itemized run, sorted: each way says which way content goes, each program has its own place for deletions, and
 * when a directory's time is compared is nobody's promise.
 */
function lines(output: string): string[] {
  return (
    output
      .split('\n')
      .filter((line) => /^(?:[<>ch.][fdLDS]|\*deleting)/.test(line) && !/^\.d\.\.t\.{6} /.test(line))
      .map((line) => line.replace(/^</, '>').replace(/ -> .*$/, ''))
      // With -c rsync says of content that differs in its size, too, that it does; with -b it leaves times of directories out.
      .map((line) => line.replace(/^>fc/, '>f.').replace(/^(.d..)t/, '$1.'))
      .toSorted()
  );
}

/** Where a run goes: between two folders here, to what is reached, from it. */
type Way = 'local' | 'push' | 'pull';

export interface Case {
  /** A folder of which each run gets a copy, as its working directory. */
  readonly model: string;
  readonly flags: readonly string[];
  /** Flags that rsync does not have, and by which the same is done. */
  readonly ownFlags?: readonly string[];
  /** Below the folder; a push has them here, a pull on the server. */
  readonly sources?: readonly string[];
  readonly destination?: string;
  /** The words before each command, as of `setpriv`. */
  readonly as?: readonly string[];
  readonly ways?: readonly Way[];
}

/** What a file holds that says which version it is of, by its first line and by its size. */
export const contentOf = (version: number): string => `${version}\n${'x'.repeat(version * 10)}`;

let runs = 0;

/** Copies a folder with all that is in it. */
export function copied(from: string, to: string): string {
  const ran = spawnSync('cp', ['-a', from, to], { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(ran.stderr);
  return to;
}

/**
 * Runs the same flags by rsync and by the command, here, to what is reached and from it, and asserts that they do the same. Where
 * a command leads there, it leads rsync there too.
 */
export async function besideRsync(t: ExecutionContext, place: Place, given: Case): Promise<Ended[]> {
  const { work, served, url, rsh, client: user } = place;
  const {
    model,
    flags,
    sources = ['s/'],
    destination = 'd/',
    as = [],
    ways = ['local', 'push', 'pull'],
    ownFlags = [],
  } = given;
  runs += 1;
  const run = runs;
  // Others are to get through to it.
  for (const path of [dirname(work), work]) chmodSync(path, 0o755);
  /** The words of a run: each end by a name of its own where it is not here. */
  const ends = (way: Way, there: (path: string) => string): string[] => [
    ...(way === 'pull' ? sources.map(there) : sources),
    way === 'push' ? there(destination) : destination,
  ];
  const judged = (way: Way) => {
    const judge = copied(model, `${served}/judge-${way}${run}`);
    const over = way === 'local' || rsh === undefined ? [] : ['-e', rsh];
    const [first = '', ...rest] = [...as, 'rsync', ...over, ...flags, ...ends(way, (path) => `box:${judge}/${path}`)];
    const ran = spawnSync(first, rest, {
      cwd: judge,
      encoding: 'utf8',
      // What rsync itemises of 100,000 files is longer than what Node takes by itself.
      maxBuffer: 1 << 28,
      env: { ...process.env, LC_ALL: 'C' },
    });
    return { ...ran, wanted: shape(judge) };
  };
  const locally = rsh === undefined ? judged('local') : undefined;
  const all: Ended[] = [];
  for (const way of ways) {
    const expected = locally ?? judged(way);
    const base = copied(model, `${served}/${way}${run}`);
    const words = [...flags, ...ownFlags, ...ends(way, (path) => url(`${way}${run}/${path}`))];
    const [command = '', ...rest] = [...as, process.execPath, program, ...words];
    const ran = await start(t, command, rest, { cwd: base, env: { ...user.env, SPARSYNC_GUARDS: 'off' } }).ended;
    const label = `${way}: ${[...flags, ...ownFlags].join(' ')}`;
    t.is(ran.code, expected.status, `${label}: ${ran.stderr}; rsync: ${expected.stderr}`);
    t.deepEqual(lines(ran.stdout), lines(expected.stdout), `${label}: ${ran.stderr}`);
    t.deepEqual(shape(base), expected.wanted, `${label}: ${ran.stderr}`);
    all.push(ran);
  }
  return all;
}

/** What `make` makes: the content of a file, where a symlink leads (`-> x`), or a directory (the path ends with a slash). */
export type Files = Readonly<Record<string, string>>;

/** Makes entries below `root` with one time, years ago, and one mode, unless they say otherwise (`path@seconds`, `path%mode`). */
export function make(root: string, files: Files): string {
  const dated: [string, number][] = [];
  for (const [given, content] of Object.entries(files)) {
    const [, path = '', seconds = '1600000000', mode] = /^([^@%]*)(?:@(\d+))?(?:%(\d+))?$/.exec(given) ?? [];
    const full = `${root}/${path}`;
    mkdirSync(path.endsWith('/') ? full : full.slice(0, full.lastIndexOf('/')), { recursive: true });
    if (content.startsWith('-> ')) symlinkSync(content.slice(3), full);
    else if (!path.endsWith('/')) writeFileSync(full, content);
    if (mode !== undefined) chmodSync(full, Number.parseInt(mode, 8));
    dated.push([full, Number(seconds)]);
  }
  for (const [path, seconds] of dated.toReversed()) lutimesSync(path, seconds, seconds);
  return root;
}

/**
 * Makes trees of the same few names, so that they have much in common and differ in each way; where they are kept `apart`, a
 * name is that of a directory in all of them, or in none; where they are `plain`, all directories have one mode.
 */
export function randomTrees(
  random: Random,
  root: string,
  names: readonly string[],
  { apart = false, plain = false } = {},
): string {
  const tree = (below: string, depth: number): void => {
    mkdirSync(below, { recursive: true });
    for (const name of ['a', 'b', 'c~', 'd', 'e', 'f']) {
      const path = `${below}/${name}`;
      const kind = random.below(10);
      const time = 1_600_000_000 + random.below(2);
      if (kind < 2) continue;
      const isDirectory = apart ? name > 'd' : kind < 4 && name > 'b';
      if (isDirectory && depth === 0) continue;
      if (isDirectory) {
        tree(path, depth - 1);
        continue;
      }
      if (kind === 9) symlinkSync(random.pick(['a', 'x']), path);
      else {
        writeFileSync(path, 'x'.repeat(random.below(2)).padEnd(2 + random.below(2), 'y'));
        chmodSync(path, random.pick([0o644, 0o600]));
      }
      lutimesSync(path, time, time);
    }
    chmodSync(below, plain ? 0o755 : random.pick([0o755, 0o755, 0o700]));
  };
  for (const name of names) tree(`${root}/${name}`, 2);
  return root;
}
