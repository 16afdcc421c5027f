import { spawnSync } from 'node:child_process';

import test, { type ExecutionContext, type SerialFn, type SkipFn } from 'ava';

import { type CompareOptions, differences, walk } from './walk.js';

/** rsync's version line, or undefined where it is not installed. */
export const rsyncVersion: string | undefined = (() => {
  const ran = spawnSync('rsync', ['--version'], { encoding: 'utf8' });
  return ran.status === 0 ? ran.stdout.split('\n', 1)[0] : undefined;
})();

/**
 * Declares a test that rsync judges, one at a time within its file, where a further condition holds. Where it does
 * not, or rsync is not installed, the test is skipped, by name: it never passes unjudged.
 */
export function judgedWhere(condition: boolean): SerialFn | SkipFn {
  return rsyncVersion !== undefined && condition ? test.serial : test.serial.skip;
}

/** Declares a test that rsync judges. */
export const judged: SerialFn | SkipFn = judgedWhere(true);

/** Runs rsync itself; its output as latin1, so that no byte of a name is lost. */
export function rsync(...args: string[]): string {
  const ran = spawnSync('rsync', args, {
    encoding: 'latin1',
    maxBuffer: 1 << 28,
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (ran.error) throw ran.error;
  if (ran.status !== 0) throw new Error(`rsync ${args.join(' ')}: exit ${ran.status}: ${ran.stderr}`);
  return ran.stdout;
}

/** What rsync would still do to make `destination` equal to `source`: nothing, when they are equal. */
export function rsyncSays(source: string, destination: string): string {
  return rsync('-ainc', '--delete', `${source}/`, `${destination}/`);
}

/** The lines of an itemized run, sorted: a directory's place among them is not in question. */
export function itemizedLines(output: string): string[] {
  return output
    .replace(/^created directory .*\n/, '')
    .split('\n')
    .map((line) => line.replace(/ -> .*$/, ''))
    .toSorted();
}

export interface JudgeOptions extends CompareOptions {
  /** Said with a failure: which round, which seed. */
  readonly label?: string;
}

/**
 * Asserts that two trees are equal: by rsync (content by checksum), then by our own walk, which also sees
 * nanoseconds. Neither is any part of the product.
 */
export function assertEqual(
  t: ExecutionContext,
  source: string,
  destination: string,
  options: JudgeOptions = {},
): void {
  const label = options.label === undefined ? '' : `${options.label}: `;
  const said = rsyncSays(source, destination).split('\n');
  // Where the top itself is not in question, neither is what rsync says of it.
  const lines = options.root === false ? said.filter((line) => !/^\.d\S* \.\/$/.test(line)) : said;
  t.is(lines.join('\n'), '', `${label}rsync would change something`);
  const found = differences(walk(source, { content: true }), walk(destination, { content: true }), options);
  t.deepEqual(found.slice(0, 20), [], `${label}${found.length} differences`);
}
