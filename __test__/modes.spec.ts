// Modes as rsync has them: changed on their way, without -p, executability alone; and times that are left out.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lutimesSync,
  mkdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import test from 'ava';

import { sync, verify } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { judged, judgedWhere, rsync } from './helpers/judge.js';
import { hasAcls } from './helpers/xattrs.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { isRoot, rejection, scaled, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { walk } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

const octal = (mode: number): string => mode.toString(8).padStart(4, '0');

/** Files and directories of many modes, whose names say which. */
function modeTree(root: string, random: Random, count: number): void {
  mkdirSync(root, { recursive: true });
  const modes = new Set([0, 0o644, 0o755, 0o4755, 0o2711, 0o1777, 0o555, 0o600, 0o7777]);
  while (modes.size < count) modes.add(random.below(0o10000));
  for (const mode of modes) {
    writeFileSync(`${root}/f${octal(mode)}`, octal(mode));
    mkdirSync(`${root}/d${octal(mode)}`);
    chmodSync(`${root}/f${octal(mode)}`, mode);
    chmodSync(`${root}/d${octal(mode)}`, mode);
  }
  execFileSync('mkfifo', ['-m', '641', `${root}/pipe`]);
  symlinkSync('f0644', `${root}/link`);
}

/** Modes by their paths. */
function modesOf(root: string): Record<string, string> {
  return Object.fromEntries([...walk(root)].map(([path, { mode, kind }]) => [path, `${kind} ${octal(mode)}`]));
}

/** Runs a command line under a umask. */
function under(umask: string, command: string, args: readonly string[]): string[] {
  return ['-c', `umask ${umask}; exec "$@"`, 'under', command, ...args];
}

function randomChange(random: Random): string {
  const on = random.pick(['', '', 'D', 'F']);
  if (random.oneIn(4))
    return `${on}${random.oneIn(2) ? octal(random.below(0o10000)) : random.below(0o1000).toString(8)}`;
  const some = (letters: string, most: number): string =>
    Array.from({ length: random.between(0, most) }, () => random.pick([...letters])).join('');
  const what = random.oneIn(4) ? random.pick(['u', 'g', 'o']) : some('rwxXst', 4);
  return `${on}${some('ugoa', 3)}${random.pick(['+', '-', '='])}${what}`;
}

const lists = scaled(12, 300);

judgedEachWay(
  `${lists} random lists of changes make the modes that rsync makes, here and through a server`,
  async (t, { work, served, url, client: user }) => {
    t.timeout(scaled(120_000, 3_600_000));
    t.log(`seed ${seed}`);
    const random = new Random(t.title);
    const source = `${work}/source`;
    modeTree(source, random, 40);
    for (let round = 0; round < lists; round += 1) {
      const changes = Array.from({ length: random.between(1, 3) }, () => randomChange(random)).join(',');
      const umask = random.pick(['022', '077', '000', '027']);
      const flags = ['-rlptgoD', ...(random.oneIn(3) ? ['--no-p'] : []), `--chmod=${changes}`];
      const label = `${flags.join(' ')} under ${umask}`;
      const theirs = `${work}/theirs${round}`;
      const judge = spawnSync('bash', under(umask, 'rsync', [...flags, `${source}/`, `${theirs}/`]), {
        encoding: 'utf8',
      });
      t.is(judge.status, 0, `${label}: ${judge.stderr}`);
      const ours = async (from: string, to: string): Promise<void> => {
        const words = under(umask, process.execPath, [program, ...flags, from, to]);
        const ran = await start(t, 'bash', words, { env: user.env }).ended;
        t.deepEqual([ran.code, ran.stderr], [exit.ok, ''], label);
      };
      await ours(`${source}/`, `${work}/ours${round}`);
      t.deepEqual(modesOf(`${work}/ours${round}`), modesOf(theirs), label);
      // Without -p the umask of the server counts, which is that of this test.
      if (round % 3 === 0 && !flags.includes('--no-p')) {
        await ours(`${source}/`, url(`pushed${round}`));
        t.deepEqual(modesOf(`${served}/pushed${round}`), modesOf(theirs), `push, ${label}`);
        execFileSync('cp', ['-a', source, `${served}/source${round}`]);
        await ours(url(`source${round}/`), `${work}/pulled${round}`);
        t.deepEqual(modesOf(`${work}/pulled${round}`), modesOf(theirs), `pull, ${label}`);
      }
    }
  },
  { where: isRoot },
);

judged('changes are compared as if the source had them, and cost nothing when they are there', async (t) => {
  const { work, served, access, server, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  mkdirSync(`${source}/sub`);
  writeFileSync(`${source}/sub/f`, 'content');
  chmodSync(`${source}/sub/f`, 0o600);
  const options = { ...access, chmod: 'D750,F640' };
  await sync(source, server.url('root', 'tree'), options);
  const again = await sync(source, server.url('root', 'tree'), options);
  t.is(again.stats.attrsChanged, 0);
  t.deepEqual(modesOf(`${served}/tree`), { '': 'directory 0750', sub: 'directory 0750', 'sub/f': 'file 0640' });
  t.true((await verify(source, server.url('root', 'tree'), options)).equal);
  t.false((await verify(source, server.url('root', 'tree'), access)).equal);
  // Several sources: the top is not theirs, and stays as it is.
  chmodSync(`${served}/tree`, 0o700);
  writeFileSync(`${work}/g`, 'content');
  const two = ['-rlpti', '--chmod=D755,F644', `${source}/sub`, `${work}/g`];
  const ran = await cli(t, user, [...two, url('tree')]);
  t.is(ran.code, exit.ok, ran.stderr);
  t.notRegex(ran.stdout, / \.\/$/m);
  t.deepEqual(modesOf(`${served}/tree`), {
    '': 'directory 0700',
    g: 'file 0644',
    sub: 'directory 0755',
    'sub/f': 'file 0644',
  });
});

test('what is no change of modes is refused by its name, as by rsync', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  for (const changes of ['', ',', 'x', 'u', 'DF755', 'u+r+w', '888', '10755', 'u~r', 'u+q', ' F644', 'u+r,']) {
    const ran = await cli(t, user, ['-r', `--chmod=${changes}`, `${source}/`, `${work}/copy`]);
    t.is(ran.code, exit.usage, changes);
    t.regex(ran.stderr, /chmod must be changes of modes/);
    const error = await rejection(t, (async () => sync(source, `${work}/copy`, { chmod: changes }))());
    t.like(error, { code: 'ERR_SPARSYNC_CONFIG' }, changes);
  }
});

judgedEachWay(
  'without -p new entries have the modes of the source less the umask, and old ones keep theirs',
  async (t, { work, served, url, client: user }) => {
    const source = `${work}/source`;
    modeTree(source, new Random(t.title), 30);
    writeFileSync(`${source}/d0555/inner`, 'content');
    chmodSync(source, 0o555);
    const trees = ['theirs', 'ours'].map((name) => dir(work, name));
    for (const umask of ['022', '077', '002']) {
      const tree = `made-${umask}`;
      const [theirs, ours] = trees.map((parent) => `${parent}/${tree}`);
      execFileSync('bash', under(umask, 'rsync', ['-rlD', `${source}/`, `${theirs}/`]));
      const words = under(umask, process.execPath, [program, '-rlD', `${source}/`, `${ours}`]);
      const ran = await start(t, 'bash', words, { env: user.env }).ended;
      t.deepEqual([ran.code, ran.stderr], [exit.ok, ''], umask);
      t.deepEqual(modesOf(`${ours}`), modesOf(`${theirs}`), umask);
    }
    await quietly(t, user, ['-rlD', `${source}/`, url('tree')]);
    t.deepEqual(modesOf(`${served}/tree`), modesOf(`${work}/theirs/made-022`), 'through a server');
    // A directory that lends its group to what is made in it.
    for (const parent of trees) {
      mkdirSync(`${parent}/lends`);
      chmodSync(`${parent}/lends`, 0o2775);
    }
    rsync('-rlD', `${source}/`, `${work}/theirs/lends/`);
    await quietly(t, user, ['-rlD', `${source}/`, `${work}/ours/lends`]);
    t.deepEqual(modesOf(`${work}/ours/lends`), modesOf(`${work}/theirs/lends`), 'set-group-id');
    for (const parent of trees) {
      for (const name of ['f0600', 'd0555']) chmodSync(`${parent}/lends/${name}`, 0o711);
      writeFileSync(`${parent}/lends/f0600`, 'something else, of another size');
    }
    rsync('-rlD', `${source}/`, `${work}/theirs/lends/`);
    await quietly(t, user, ['-rlD', `${source}/`, `${work}/ours/lends`]);
    t.deepEqual(modesOf(`${work}/ours/lends`), modesOf(`${work}/theirs/lends`), 'what was there');
  },
);

judgedWhere(hasAcls)('without -p a default ACL of the destination decides, as with rsync', async (t) => {
  const { work, client: user } = await setup(t);
  const source = `${work}/source`;
  mkdirSync(`${source}/d0555`, { recursive: true });
  chmodSync(`${source}/d0555`, 0o555);
  writeFileSync(`${source}/f`, 'content');
  chmodSync(`${source}/f`, 0o666);
  for (const tree of ['ours', 'theirs']) {
    mkdirSync(`${work}/${tree}`);
    execFileSync('setfacl', ['-d', '-m', 'u::rwx,g::rwx,o::---', `${work}/${tree}`]);
  }
  rsync('-r', `${source}/`, `${work}/theirs/`);
  await quietly(t, user, ['-r', `${source}/`, `${work}/ours`]);
  t.deepEqual(modesOf(`${work}/ours`), modesOf(`${work}/theirs`));
});

judgedEachWay(
  '-E carries whether a file can be executed, and no other bit, as by rsync',
  async (t, { work, served, url, client: user }) => {
    t.log(`seed ${seed}`);
    const [source, random] = [dir(work, 'source'), new Random(t.title)];
    const names = Array.from({ length: 40 }, (_, i) => `f${i}`);
    const trees = [`${work}/ours`, `${work}/theirs`, `${served}/tree`];
    for (const tree of [source, ...trees]) mkdirSync(tree, { recursive: true });
    for (const name of names) {
      const [from, to] = [random.below(0o1000), random.below(0o1000)];
      for (const tree of [source, ...trees]) {
        writeFileSync(`${tree}/${name}`, 'content');
        utimesSync(`${tree}/${name}`, 1_000_000_000, 1_000_000_000);
        chmodSync(`${tree}/${name}`, tree === source ? from : to);
      }
      // Some get other content too, and some are new.
      const change = random.below(5);
      if (change === 0) writeFileSync(`${source}/${name}`, 'other content');
      if (change === 1) for (const tree of trees) rmSync(`${tree}/${name}`);
    }
    mkdirSync(`${source}/sub`);
    for (const flags of ['-rtEi', '-rtEi', '-rti', '-rtpEi']) {
      const judge = rsync(flags, `${source}/`, `${work}/theirs/`);
      for (const [to, tree] of [
        [`${work}/ours`, `${work}/ours`],
        [url('tree'), `${served}/tree`],
      ] as const) {
        const ran = await cli(t, user, [flags, `${source}/`, to]);
        t.is(ran.code, exit.ok, ran.stderr);
        const told = (output: string): string[] =>
          output
            .split('\n')
            .filter((line) => / f\d+$/.test(line))
            .map((line) => line.replace(/^</, '>'))
            .toSorted();
        t.deepEqual(told(ran.stdout), told(judge), `${flags} ${to}`);
        t.deepEqual(modesOf(tree), modesOf(`${work}/theirs`), `${flags} ${to}`);
      }
    }
  },
);

judgedEachWay(
  '-O leaves directories and -J symlinks out of the times that are carried',
  async (t, { work, served, access, url, client: user }) => {
    const source = dir(work, 'source');
    mkdirSync(`${source}/sub`);
    writeFileSync(`${source}/sub/f`, 'content');
    symlinkSync('f', `${source}/sub/link`);
    for (const flags of ['-rltO', '-rltJ', '-rltOJ', '-rlt']) {
      const [ours, theirs] = [`${work}/ours${flags}`, `${work}/theirs${flags}`];
      for (const round of ['new', 'again', 'times differ']) {
        if (round === 'times differ') {
          for (const tree of [ours, theirs, `${served}/tree${flags}`]) {
            for (const name of ['.', 'sub', 'sub/f']) utimesSync(`${tree}/${name}`, 1_100_000_000, 1_100_000_000);
            lutimesSync(`${tree}/sub/link`, 1_100_000_000, 1_100_000_000);
          }
        }
        utimesSync(`${source}/sub/f`, 1_000_000_000, 1_000_000_000);
        lutimesSync(`${source}/sub/link`, 1_000_000_000, 1_000_000_000);
        for (const name of ['sub', '.']) utimesSync(`${source}/${name}`, 1_000_000_000, 1_000_000_000);
        const judge = rsync(`${flags}i`, `${source}/`, `${theirs}/`);
        for (const [to, tree] of [
          [ours, ours],
          [url(`tree${flags}`), `${served}/tree${flags}`],
        ] as const) {
          const ran = await cli(t, user, [`${flags}i`, `${source}/`, to]);
          t.is(ran.code, exit.ok, ran.stderr);
          const shown = (output: string): string[] =>
            output
              .split('\n')
              .filter((line) => !line.startsWith('created') && line !== '')
              .map((line) => line.replace(/^</, '>').replace(/ -> .*$/, ''))
              .toSorted();
          t.deepEqual(shown(ran.stdout), shown(judge), `${flags} ${round} ${to}`);
          const isSet = (name: string): boolean => walk(tree).get(name)?.mtimeNs === 1_000_000_000_000_000_000n;
          t.deepEqual(
            ['sub', 'sub/link', 'sub/f'].map(isSet),
            [!flags.includes('O'), !flags.includes('J'), true],
            `${flags} ${round} ${to}`,
          );
        }
      }
      const again = await sync(source, url(`tree${flags}`), {
        ...access,
        perms: false,
        omitDirTimes: flags.includes('O'),
        omitLinkTimes: flags.includes('J'),
      });
      t.is(again.stats.attrsChanged, 0, flags);
    }
  },
);

judgedWhere(isRoot)('a set-id bit that a change gives is under the owner of the source, or nowhere', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  writeFileSync(`${source}/f`, 'content');
  chownSync(`${source}/f`, 1234, 1234);
  await quietly(t, user, ['-rpog', '--chmod=F4755', `${source}/`, url('with')]);
  t.is(octal(statSync(`${served}/with/f`).mode & 0o7777), '4755');
  await quietly(t, user, ['-rp', '--chmod=F4755', `${source}/`, url('without')]);
  t.is(octal(statSync(`${served}/without/f`).mode & 0o7777), '0755');
});
