import { spawnSync } from 'node:child_process';
import { lutimesSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { startCli } from './cli.js';
import type { Random } from './random.js';
import { dir } from './temp.js';
import type { Place } from './ways.js';

/** Makes a file with a time that says which one it is. */
export function file(path: string, content = path.replace(/.*\//, '')): void {
  writeFileSync(path, content);
  utimesSync(path, 1_500_000_000, 1_500_000_000 + content.length);
}

/** Makes a symlink with a time of its own. */
export function link(path: string, target: string): void {
  symlinkSync(target, path);
  lutimesSync(path, 1_400_000_000, 1_400_000_000);
}

/** Gives directories times that no run sets by itself. */
export function settle(root: string, ...paths: readonly string[]): void {
  for (const path of paths) utimesSync(`${root}/${path}`, 1_300_000_000, 1_300_000_000);
}

/** A run of the same flags and sources by rsync, and by us on this machine, to a server and from it. */
export interface LinkCase {
  readonly flags: readonly string[];
  readonly source: string;
  /** Makes what the destination holds before. */
  readonly fill?: (destination: string) => void;
  /** The ways that are tried. */
  readonly ways?: readonly Way[];
  /** What rsync is given in place of the flags. */
  readonly judgeFlags?: readonly string[];
  /** Whether times of directories and symlinks are not in question. */
  readonly anyTime?: boolean;
}

export type Way = 'local' | 'push' | 'pull';

const WAYS: readonly Way[] = ['local', 'push', 'pull'];

/** What rsync would change, but for the time of a top that no run has set. */
export function differs(judge: string, made: string, anyTime = false): string {
  const flags = anyTime ? '-aHAXincOJ' : '-aHAXinc';
  const said = spawnSync('rsync', [flags, '--delete', `${judge}/`, `${made}/`], { encoding: 'latin1' });
  return `${said.stdout.replace(/^\.d\.\.t\.+ \.\/\n/, '')}${said.stderr}`;
}

/** Runs cases from the folder `from` of the setup and its copy at the server, and compares trees and exit codes. */
export async function asRsync(
  t: ExecutionContext,
  { work, served, url, client: user }: Place,
  cases: readonly LinkCase[],
): Promise<void> {
  for (const [index, { flags, source, fill, ways = WAYS, judgeFlags = flags, anyTime }] of cases.entries()) {
    const label = `${flags.join(' ')} ${source}`;
    const judge = dir(work, `judge${index}`);
    fill?.(judge);
    settle(judge, '.');
    const said = spawnSync('rsync', ['-a', ...judgeFlags, source, `${judge}/`], { cwd: work, encoding: 'utf8' });
    for (const way of ways) {
      const made = way === 'push' ? dir(served, `made${index}`) : dir(work, `made-${way}${index}`);
      fill?.(made);
      settle(made, '.');
      const words =
        way === 'pull' ? [url(source), `${made}/`] : [source, way === 'push' ? url(`made${index}/`) : `${made}/`];
      const env = { SPARSYNC_GUARDS: 'off' };
      const ran = await startCli(t, user, ['-a', ...flags, ...words], { cwd: work, env }).ended;
      t.is(ran.code, said.status, `${label}, ${way}: ${ran.stderr}\nrsync: ${said.stderr}`);
      t.is(differs(judge, made, anyTime), '', `${label}, ${way}`);
      if (ran.code !== 0 || !source.endsWith('/')) continue;
      const again = await startCli(t, user, ['-ai', ...flags, ...words], { cwd: work, env }).ended;
      const changed = again.stdout.replace(/^skipping non-regular file .*\n/gm, '');
      t.deepEqual([again.code, changed], [0, ''], `${label}, ${way}, again`);
    }
  }
}

/** A tree of symlinks of every kind at `root`; absolute ones begin with `outside`, where that is given. */
export function randomLinks(random: Random, root: string, outside?: string): void {
  const directories = [''];
  const everything: string[] = [];
  const files = new Set<string>();
  for (let count = random.between(3, 6); count > 0; count -= 1) {
    const path = `${random.pick(directories)}/d${count}`;
    mkdirSync(`${root}${path}`, { recursive: true });
    directories.push(path);
    everything.push(path);
  }
  for (let count = random.between(4, 9); count > 0; count -= 1) {
    const path = `${random.pick(directories)}/f${count}`;
    file(`${root}${path}`);
    files.add(path);
    everything.push(path);
  }
  for (let count = random.between(6, 14); count > 0; count -= 1) {
    const here = random.pick(directories);
    const up = '../'.repeat(here.split('/').length - 1);
    const goal = random.pick(everything).slice(1);
    const target = random.pick([
      `${up}${goal}`,
      `${up}${goal}`,
      `./${up}${goal}`,
      `${up}d1/../${goal}`,
      `${up}../out/of`,
      `${up}../out/od`,
      `none${count}`,
      `l${count}`,
      ...(outside === undefined ? [] : [`${outside}/of`, `${outside}/od`, `${outside}/none`]),
    ]);
    // To directories that were made later alone: a loop would be followed for ever, which has a test of its own.
    const order = directories.indexOf(`/${goal}`);
    if (order !== -1 && order <= directories.indexOf(here)) continue;
    link(`${root}${here}/l${count}`, target);
    // Chains, but to no directory: two of them could be a loop.
    if (!files.has(`/${goal}`) || !target.endsWith(goal) || random.oneIn(2)) continue;
    files.add(`${here}/l${count}`);
    everything.push(`${here}/l${count}`);
  }
  settle(root, ...directories.toReversed().map((path) => `.${path}`));
}
