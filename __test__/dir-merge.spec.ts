// Files of rules in the tree, merged files and CVS's patterns decide as rsync's do, and each end reads its own.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';

import { connect, explain, sync } from '../dist/index.js';
import type { PlanOptions } from '../dist/index.js';

import { quietly } from './helpers/cli.js';
import { rsync } from './helpers/judge.js';
import { Random, seed } from './helpers/random.js';
import { scaled } from './helpers/setup.js';
import { walk } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

const NAMES = ['a', 'b', 'foo', 'bar', 'a.o', 'foo.tmp', 'Z9', 'x', 'core', 'd', '.keep'];

const DIRECTORIES = new Set(['a', 'foo', 'd', 'Z9']);

const PIECES = ['a', 'b', 'foo', 'bar', '*', '**', '?', '/', '*.o', '*.tmp', 'Z9', 'd/', 'x', '/a', '/d/a', 'd/b'];

/** The rules of one file: what it is read as decides which of them make sense. */
type Written = 'rules' | 'patterns' | 'words' | 'cvs';

/** Files of rules that a list names, and how they are written. */
const FILES: readonly (readonly [string, string, Written])[] = [
  [': .f', '.f', 'rules'],
  [':n .f', '.f', 'rules'],
  [':e .f', '.f', 'rules'],
  [':en .f', '.f', 'rules'],
  [': /.f', '.f', 'rules'],
  [': ../.f', '.f', 'rules'],
  [':p .f', '.f', 'rules'],
  [':/ .f', '.f', 'rules'],
  [':- .g', '.g', 'patterns'],
  [':+ .g', '.g', 'patterns'],
  [':s- .g', '.g', 'patterns'],
  [':r- .g', '.g', 'patterns'],
  [':w- .h', '.h', 'words'],
  [':C', '.cvsignore', 'cvs'],
];

/** What a file of rules has besides patterns. What `.` names is everywhere; docs/filters.md tells which of its rules differ. */
const IN_FILES = ['!', '# - a', '; x', '', ': .g2', ':n .g2', ': .f', ':e .g2', ':s .m', ':r .m', ':p .g2']
  .concat([':/ .g2', ':en .g2', ':- .g', ':+ .g', ':s- .g', ':w- .h', ':w .w', ':C', '-C'])
  .concat(['. ./.m', '.p ./.m', '.e ./.m', '.n ./.m', '.- ./.l', '.+ ./.l', '.w- ./.l', '.C ./.l']);

function pattern(random: Random): string {
  return Array.from({ length: 1 + random.below(3) }, () => random.pick(PIECES)).join('');
}

const unanchored = (random: Random): string => pattern(random).replace(/^\/+/, '') || 'a';

/** What files are written for: what is left out at the destination is deleted, and a NUL ends each rule. */
interface Run {
  readonly deleteExcluded: boolean;
  readonly from0: boolean;
}

/** What a file of rules says. */
function content(random: Random, written: Written, run: Run): string {
  const line = (): string => {
    if (written !== 'rules') return written === 'cvs' && random.oneIn(5) ? '!' : pattern(random);
    // Of these docs/filters.md tells what differs with --delete-excluded.
    if (random.oneIn(7)) return random.pick(IN_FILES.filter((rule) => !(run.deleteExcluded && rule.startsWith('.'))));
    return `${random.pick(['-', '+', '-', 'H', 'S', 'P', 'R', '-s', '-r', '-!', '-p', 'hide'])} ${pattern(random)}`;
  };
  const lines = Array.from({ length: 1 + random.below(3) }, line);
  return lines.join(written === 'words' || written === 'cvs' ? random.pick([' ', '\n', '\t ']) : '\n');
}

function grow(random: Random, root: string, depth: number, run: Run): void {
  const write = (name: string, text: string): void => {
    writeFileSync(`${root}/${name}`, run.from0 ? text.replaceAll('\n', '\0') : text);
  };
  mkdirSync(root, { recursive: true });
  for (const name of NAMES) {
    if (random.oneIn(2)) continue;
    if (!DIRECTORIES.has(name)) writeFileSync(`${root}/${name}`, '');
    else if (depth > 0) grow(random, `${root}/${name}`, depth - 1, run);
  }
  for (const [, name, written] of [FILES[0], FILES[8], FILES[12], FILES[13]] as typeof FILES) {
    if (random.oneIn(3)) write(name, content(random, written, run));
  }
  // Their rules name no further files. Those of `.m`, which `.` names too, are for both ends and begin nowhere.
  if (random.oneIn(3)) write('.g2', content(random, 'rules', run).replaceAll(/^[:.].*$/gm, '- x'));
  if (random.oneIn(3)) write('.w', `-_${pattern(random)} +_${pattern(random)}`);
  write('.m', `${random.pick(['-', '+', '-!', '-p'])} ${unanchored(random)}\n`);
  write('.l', `${unanchored(random)}\n${unanchored(random)}\n`);
}

/** Rules for a command line, of which at least one names files. */
function list(random: Random): string[] {
  const rules = Array.from({ length: random.below(3) }, () =>
    random.oneIn(8)
      ? `-/ ${pattern(random)}`
      : `${random.pick(['-', '+', 'P', 'R', 'H', '-s', '-!p'])} ${pattern(random)}`,
  );
  for (let more = 1 + random.below(2); more > 0; more -= 1) {
    rules.splice(random.below(rules.length + 1), 0, random.pick(FILES)[0]);
  }
  return rules;
}

/** What explain says of some paths of two trees, before one is made the other. */
async function explained(random: Random, source: string, destination: string, options: PlanOptions): Promise<Told[]> {
  const [there, here] = [walk(source), walk(destination)];
  const paths = [...new Set([...there.keys(), ...here.keys()])].filter((path) => path !== '');
  const told: Told[] = [];
  for (let more = 5; more > 0 && paths.length > 0; more -= 1) {
    const path = random.pick(paths);
    const [sends, deletes] = await explain(source, destination, path, options);
    const parent = path.replace(/(^|\/)[^/]*$/, '');
    const parentIsSent =
      parent === '' || (there.has(parent) && (await explain(source, destination, parent, options))[0].included);
    told.push({
      path,
      isSent: sends.included && there.has(path),
      // A perishable rule keeps nothing in a directory that goes itself.
      isKept:
        !deletes.included &&
        !/^[-P+R!/x]*p/.test(deletes.rule ?? '') &&
        (deletes.path === path || !there.has(deletes.path)),
      // A directory that must not be deleted keeps what is in it, unless the source has it.
      mayGo: deletes.included && parentIsSent,
      wasThere: here.has(path),
      isFile: here.get(path)?.kind === 'file',
    });
  }
  return told;
}

interface Told {
  readonly path: string;
  readonly isSent: boolean;
  readonly isKept: boolean;
  readonly mayGo: boolean;
  readonly wasThere: boolean;
  readonly isFile: boolean;
}

judgedEachWay(
  'random files of rules on both sides: what is sent and what is deleted is what rsync sends and deletes',
  async (t, { work, served, access, address, named }) => {
    t.timeout(scaled(300_000, 3_600_000));
    t.log(`seed ${seed}`);
    const random = new Random(t.title);
    const connection = await connect(address, access);
    let [decided, deleted] = [0, 0];
    for (let round = 0; round < scaled(40, 500); round += 1) {
      const source = `${served}/source`;
      const [judge, local, pulled] = [`${work}/here/tree`, `${work}/local/tree`, `${work}/pulled/tree`];
      const pushed = `${served}/pushed/tree`;
      for (const tree of [source, judge, local, pulled, pushed]) {
        rmSync(tree, { recursive: true, force: true });
        mkdirSync(`${tree}/..`, { recursive: true });
      }
      const run = { deleteExcluded: random.oneIn(4), from0: random.oneIn(4) };
      for (const tree of [source, judge]) grow(random, tree, 3, run);
      for (const tree of [local, pulled, pushed]) rsync('-a', `${judge}/`, `${tree}/`);
      const rules = list(random);
      const { deleteExcluded, from0 } = run;
      const filter = rules.map((rule) => ({ rule, from0 }));
      const label = `round ${round}, seed ${seed}, ${JSON.stringify(run)}: ${JSON.stringify(rules)}`;
      const before = walk(judge).size;
      const flags = [
        '-r',
        '--ignore-times',
        deleteExcluded ? '--delete-excluded' : '--delete',
        ...(from0 ? ['-0'] : []),
      ];
      const ran = spawnSync('rsync', [...flags, ...rules.map((rule) => `--filter=${rule}`), `${source}/`, `${judge}/`]);
      const options = {
        filter,
        delete: true,
        deleteExcluded,
        allowMassDelete: true,
      };
      const loose = {
        ...options,
        times: false,
        perms: false,
        compare: 'content' as const,
      };
      if (ran.status === 1) {
        // A file says for which end its rules are, though what names it has said so: neither takes that.
        await t.throwsAsync(sync(source, local, loose), { code: 'ERR_SPARSYNC_CONFIG' }, label);
        continue;
      }
      t.is(ran.status, 0, `${label}: ${String(ran.stderr)}`);
      const told = await explained(random, source, local, { filter, deleteExcluded });
      await sync(source, local, loose);
      await connection.push(source, named('pushed/tree'), loose);
      await connection.pull(named('source'), pulled, loose);
      const expected = [...walk(judge, { content: true })].map(
        ([path, entry]) => `${path} ${entry.hash ?? entry.kind}`,
      );
      if (expected.length < walk(source).size) decided += 1;
      if (expected.length < before) deleted += 1;
      for (const { path, isSent, isKept, mayGo, wasThere, isFile } of told) {
        const is = existsSync(`${local}/${path}`);
        if (isSent || (wasThere && isKept)) t.true(is, `${label}: ${path} stays`);
        else if (!wasThere || (isFile && mayGo)) t.false(is, `${label}: ${path} goes`);
      }
      for (const tree of [local, pushed, pulled]) {
        const found = [...walk(tree, { content: true })].map(([path, entry]) => `${path} ${entry.hash ?? entry.kind}`);
        t.deepEqual(found.sort(), expected.sort(), `${label}: ${tree}`);
      }
    }
    t.true(decided > 3 && deleted > 3, `${decided} lists left something out, ${deleted} deleted something`);
    await connection.close();
  },
);

// Seen red with the rules of a folder for what a source names in it.
judgedEachWay(
  'files of rules above a source do not decide about the entry that it names',
  async (t, { work, served, client: user, url }) => {
    mkdirSync(`${served}/s/a/x`, { recursive: true });
    mkdirSync(`${served}/s/b`);
    for (const name of ['a/a', 'a/b', 'a/q']) writeFileSync(`${served}/s/${name}`, name);
    writeFileSync(`${served}/s/.rsync-filter`, '- a\n- /b\n- q\n');
    for (const [round, [flag, ...names]] of [
      ['-F', 'a'],
      ['-F', 'a', 'b'],
      ['-FF', 'a/q', 'b'],
      ['-F', 'a/'],
      ['-F', ''],
    ].entries()) {
      const [judge, local, pulled] = [`${work}/judge${round}`, `${work}/local${round}`, `${work}/pulled${round}`];
      const here = names.map((name) => `${served}/s/${name}`);
      rsync('-a', flag ?? '', ...here, `${judge}/`);
      await quietly(t, user, ['-a', flag ?? '', ...here, `${local}/`]);
      await quietly(t, user, ['-a', flag ?? '', ...here, url(`pushed${round}/`)]);
      await quietly(t, user, ['-a', flag ?? '', ...names.map((name) => url(`s/${name}`)), `${pulled}/`]);
      for (const tree of [local, pulled, `${served}/pushed${round}`]) {
        t.deepEqual(
          [...walk(tree).keys()].sort(),
          [...walk(judge).keys()].sort(),
          `${flag} ${names.join(' ')}: ${tree}`,
        );
      }
    }
  },
);
