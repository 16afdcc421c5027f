// Filter rules decide as rsync's do: patterns, order, ends, and what is deleted.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';

import { connect, sync } from '../dist/index.js';
import type { FilterRule } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { judged, rsync } from './helpers/judge.js';
import { Random, seed } from './helpers/random.js';
import { scaled, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { differences, walk } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

const NAMES = ['a', 'b', 'ab', 'foo', 'bar', 'a.o', 'x*y', 'foo.tmp', '[a]', 'a\\b', '-', ']', 'Z9', ' a', '**'];

const DIRECTORIES = new Set(['a', 'foo', 'bar', 'Z9', '**']);

/** Pieces of patterns, good and bad. */
const PIECES = [
  'a',
  'b',
  'foo',
  'bar',
  '*',
  '**',
  '***',
  '?',
  '[ab]',
  '[!a]',
  '[^b-z]',
  '[]a]',
  '[a-',
  '\\*',
  '\\[',
  '/',
  '/',
]
  .concat(['/', '*.o', '.tmp', '[[:digit:]]', '[[:upper:]x]', '[a\\]]', '[-a]', '\\', 'x', 'y', ' ', ']', '[[:bad:]]'])
  .concat(['[b-a]', '-', '[[a]', '[/]']);

const pick = <T>(random: Random, list: readonly T[]): T => list[random.below(list.length)] as T;

/** A tree of few names, of which some are always those of directories, so that none is one on one side alone. */
function grow(random: Random, root: string, depth: number): void {
  mkdirSync(root, { recursive: true });
  for (const name of NAMES) {
    if (random.oneIn(2)) continue;
    if (!DIRECTORIES.has(name)) writeFileSync(`${root}/${name}`, '');
    else if (depth > 0) grow(random, `${root}/${name}`, depth - 1);
  }
}

function pattern(random: Random, pieces: readonly string[]): string {
  return Array.from({ length: 1 + random.below(5) }, () => pick(random, pieces)).join('');
}

judged('random rules decide about a random tree as with rsync', async (t) => {
  t.timeout(scaled(120_000, 1_200_000));
  t.log(`seed ${seed}`);
  const { work } = await setup(t);
  const random = new Random(t.title);
  const source = `${work}/source`;
  grow(random, source, 3);
  let decided = 0;
  for (let round = 0; round < scaled(60, 600); round += 1) {
    const kinds = ['-', '+', '-', '-!', 'H', '-s', 'S', 'P', 'exclude,', 'hide', '+!'];
    const rules = Array.from(
      { length: 1 + random.below(3) },
      () => `${pick(random, kinds)} ${pattern(random, PIECES)}`,
    );
    const [ours, theirs] = [`${work}/ours`, `${work}/theirs`];
    for (const tree of [ours, theirs]) rmSync(tree, { recursive: true, force: true });
    rsync('-r', ...rules.map((rule) => `--filter=${rule}`), `${source}/`, theirs);
    await sync(source, ours, { filter: rules, times: false, perms: false });
    const expected = [...walk(theirs).keys()].sort();
    t.deepEqual([...walk(ours).keys()].sort(), expected, `round ${round}, seed ${seed}: ${JSON.stringify(rules)}`);
    if (expected.length < walk(source).size) decided += 1;
  }
  t.true(decided > 10, `${decided} lists of rules left something out`);
});

judgedEachWay(
  'each end has its own rules, and what is deleted is what rsync deletes',
  async (t, { work, served, access, address, named }) => {
    t.timeout(scaled(240_000, 2_400_000));
    t.log(`seed ${seed}`);
    const random = new Random(t.title);
    const connection = await connect(address, access);
    const pieces = ['a', 'b', 'foo', 'bar', '*', '**', '?', '/', '*.o', '*.tmp', 'Z9'];
    const actions = ['exclude', 'include', 'hide', 'show', 'protect', 'risk'] as const;
    const letters = { exclude: '-', include: '+', hide: 'H', show: 'S', protect: 'P', risk: 'R' };
    let deleted = 0;
    for (let round = 0; round < scaled(25, 300); round += 1) {
      const source = `${served}/source`;
      const [judge, local, pulled, pushed] = [`${work}/judge`, `${work}/local`, `${work}/pulled`, `${served}/pushed`];
      for (const tree of [source, judge, local, pulled, pushed]) rmSync(tree, { recursive: true, force: true });
      grow(random, source, 2);
      grow(random, judge, 2);
      for (const tree of [local, pulled, pushed]) rsync('-r', `${judge}/`, `${tree}/`);
      const list: (readonly [string, FilterRule])[] = Array.from({ length: 1 + random.below(4) }, () => {
        const action = pick(random, actions);
        const [text, perishable, negate] = [pattern(random, pieces), random.oneIn(5), random.oneIn(6)];
        const modifiers = `${negate ? '!' : ''}${perishable ? 'p' : ''}`;
        return [`${letters[action]}${modifiers} ${text}`, { [action]: text, perishable, negate }] as const;
      });
      const deleteExcluded = random.oneIn(3);
      const before = walk(judge).size;
      rsync(
        ...['-r', '--ignore-times', '--delete', ...(deleteExcluded ? ['--delete-excluded'] : [])],
        ...list.map(([text]) => `--filter=${text}`),
        ...[`${source}/`, `${judge}/`],
      );
      if (walk(judge).size < before) deleted += 1;
      const options = { filter: list.map(([, rule]) => rule), delete: true, deleteExcluded, allowMassDelete: true };
      const loose = { ...options, times: false, perms: false, compare: 'content' as const };
      await sync(source, local, loose);
      await connection.push(source, named('pushed'), loose);
      await connection.pull(named('source'), pulled, loose);
      for (const tree of [local, pushed, pulled]) {
        const label = `round ${round}, seed ${seed}, ${deleteExcluded}: ${JSON.stringify(list.map(([text]) => text))}: ${tree}`;
        t.deepEqual([...walk(tree).keys()].sort(), [...walk(judge).keys()].sort(), label);
      }
      const again = await connection.push(source, named('pushed'), loose);
      t.is(again.stats.filesTransferred + again.stats.filesDeleted + again.stats.directoriesCreated, 0);
    }
    t.true(deleted > 3, `in ${deleted} rounds something was deleted`);
    await connection.close();
  },
);

judgedEachWay(
  'rules of a command line are taken in its order, out of files too, and begin with the name of a source',
  async (t, { work, client: user, url, served }) => {
    const source = dir(work, 'src');
    for (const path of ['keep.o', 'a.o', 'b.c', 'sub/c.o', 'sub/keep.o', 'build/x', 'sub/build/y', 'src/z']) {
      mkdirSync(`${source}/${path}/..`.replace(/[^/]+\/\.\.$/, ''), { recursive: true });
      writeFileSync(`${source}/${path}`, path);
    }
    writeFileSync(`${work}/patterns`, '# a comment\n; another\n\n+ keep.*\r\n*.o\n');
    let number = 0;
    for (const words of [
      ['--include=keep.o', '--exclude=*.o'],
      ['--exclude=*.o', '--include=keep.o'],
      ['--include', '*/', '-f', '+ *.c', '--exclude=*'],
      ['-f-_sub/', '--filter', 'include,  *.c'],
      [`--exclude-from=${work}/patterns`],
      ['--exclude=b.c', `--include-from=${work}/patterns`, '--exclude=keep.o'],
      ['--exclude=*', '--filter=!', '--exclude=build/'],
      ['--exclude=/build', '--exclude=/src/a.o'],
      ['--exclude=/src/sub/***'],
    ]) {
      for (const end of ['/', '']) {
        number += 1;
        const [theirs, ours, remote] = [`${work}/theirs${number}`, `${work}/ours${number}`, `ours${number}`];
        rsync('-a', ...words, `${source}${end}`, `${theirs}/`);
        await quietly(t, user, ['-a', ...words, `${source}${end}`, `${ours}/`]);
        await quietly(t, user, ['-rlpt', ...words, `${source}${end}`, `${url(remote)}/`]);
        for (const tree of [ours, `${served}/${remote}`]) {
          const [expected, found] = [walk(theirs, { content: true }), walk(tree, { content: true })];
          // The destination itself is no part of a run whose source is an entry.
          if (end === '') for (const all of [expected, found]) all.delete('');
          t.deepEqual(differences(expected, found, { wholeSeconds: true }), [], `${words.join(' ')}, ${source}${end}`);
        }
      }
    }
    const ran = await cli(t, user, ['-a', `--exclude-from=${work}/missing`, `${source}/`, `${work}/none`]);
    t.is(ran.code, exit.io, ran.stderr);
    t.regex(ran.stderr, /cannot read the file of filter rules: .*missing/);
    t.is((await cli(t, user, ['-a', '-f', 'x', `${source}/`, `${work}/none`])).code, exit.usage);
  },
);
