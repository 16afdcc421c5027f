// Files of rules as command lines name them, where each end reads them, what it costs, and what fails.
import { spawnSync } from 'node:child_process';
import { chmodSync, lchownSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { ConfigError, connect, sync } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { judged, judgedWhere } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { client as makeClient, program } from './helpers/product.js';
import { Relay } from './helpers/relay.js';
import { startServer } from './helpers/server.js';
import { accessOf, failure, isRoot, setup } from './helpers/setup.js';
import { hasStrace, straced } from './helpers/strace.js';
import { dir } from './helpers/temp.js';
import { walk } from './helpers/walk.js';

/** Writes files by their paths, with the directories above them. */
function fill(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(`${root}/${path.replace(/[^/]*$/, '')}`, { recursive: true });
    writeFileSync(`${root}/${path}`, content);
  }
}

const FILES = {
  'src/a.o': '',
  'src/core': '',
  'src/keep.c': '',
  'src/e1': '',
  'src/.git/config': '',
  'src/.cvsignore': 'keep.c *.log',
  'src/.rsync-filter': '- *.tmp\n+ sub/x\n',
  'src/sub/.rsync-filter': '- /x\n!\n- /y\n',
  'src/sub/x': '',
  'src/sub/y': '',
  'src/sub/z.tmp': '',
  'src/sub/z.log': '',
  'src/sub/src/y': '',
  'src2/z.tmp': '',
  'src2/home.x': '',
  '.rsync-filter': '- /src/home.x\n- home.x\n- /src2/sub\n',
  'home/.cvsignore': 'home.x',
  more: 'include,! *.tmp\n- e?\n',
  words: 'a.o  +\tcore\n!',
  nul: '# a\0- *.tmp\0+ a\n\0\0- e?\0',
  'nul.words': 'a.o\ncore\0e1 e2',
  split: '-_a.o +_core -_c*',
} as const;

judged('command lines that name files of rules do what they do with rsync', async (t) => {
  const { work, client: user, url, served } = await setup(t);
  const here = dir(work, 'here');
  fill(here, { ...FILES, rules: `# first\n. ${here}/more\n- /src/sub/y\n` });
  const env = { HOME: `${here}/home`, CVSIGNORE: 'e1 e2' };
  let number = 0;
  for (const words of [
    ['-F'],
    ['-FF'],
    ['-F', '-F', '-F', '--exclude=core'],
    ['-C'],
    ['-C', '--include=*.o', '-F'],
    ['-f', '-C'],
    ['-f', ':C'],
    ['-f', `merge ${here}/rules`],
    ['-f', `.- ${here}/more`],
    ['-f', `.w- ${here}/words`],
    ['-f', `.C ${here}/words`],
    ['-f', `.e ${here}/rules`, '-f', ': ../.rsync-filter'],
    ['-f', 'dir-merge,e .rsync-filter', '-f', '-! */'],
    [`--exclude-from=${here}/more`, '-f', ':n- .cvsignore'],
    ['-0', '-f', `. ${here}/nul`],
    ['-f', `. ${here}/more`, `--exclude-from=${here}/words`, '-0', '-f', `. ${here}/nul`],
    ['-0', '-f', `.w- ${here}/nul.words`],
    ['-0', `--exclude-from=${here}/nul`, '-C', '-FF'],
    ['-f', `.w ${here}/split`],
    ['-f', `-/ ${here}/src/sub`],
  ]) {
    number += 1;
    for (const sources of [[`${here}/src${number % 2 === 0 ? '/' : ''}`]]) {
      const [theirs, ours, remote] = [`${work}/theirs${number}`, `${work}/ours${number}`, `ours${number}`];
      const label = `${words.join(' ')} ${sources.join(' ')}`;
      const ran = spawnSync('rsync', ['-r', ...words, ...sources, `${theirs}/`], { env: { ...process.env, ...env } });
      t.is(ran.status, 0, `${label}: ${String(ran.stderr)}`);
      const trees = number % 3 === 0 ? [ours, `${served}/${remote}`] : [ours];
      for (const to of [`${ours}/`, `${url(remote)}/`].slice(0, trees.length)) {
        const done = await cli(t, user, ['-r', ...words, ...sources, to], {
          env,
        });
        t.deepEqual([done.code, done.stderr], [0, ''], label);
      }
      const expected = [...walk(theirs).keys()].sort();
      t.true(expected.length > 1, label);
      for (const tree of trees) t.deepEqual([...walk(tree).keys()].sort(), expected, label);
    }
  }
});

judged('a ! of the user’s own patterns for CVS forgets CVS’s, and no rule of the run', async (t) => {
  const { work, client: user } = await setup(t);
  for (const name of ['secret', 'a.o', 'core', 'b']) fill(work, { [`src/${name}`]: '' });
  let number = 0;
  for (const [mine, variable] of [
    ['', '!'],
    ['!\n', ''],
    ['b\n', '! a.o'],
    ['! b', 'a.o'],
    ['', 'b !'],
  ] as const) {
    fill(work, { 'home/.cvsignore': mine });
    const env = { HOME: `${work}/home`, CVSIGNORE: variable };
    for (const words of [
      ['-aC', '--exclude=/secret'],
      ['-a', '-f', '- /secret', '-f', '-C', '-f', '- core'],
    ]) {
      number += 1;
      for (const to of ['theirs', 'ours']) {
        fill(work, { [`${to}${number}/secret`]: 'kept', [`${to}${number}/gone`]: '' });
      }
      const args = [...words, '--delete', `${work}/src/`];
      const ran = spawnSync('rsync', [...args, `${work}/theirs${number}`], { env: { ...process.env, ...env } });
      t.is(ran.status, 0, String(ran.stderr));
      await quietly(t, user, [...args, '--allow-mass-delete', `${work}/ours${number}`], { env });
      const [theirs, ours] = [walk(`${work}/theirs${number}`), walk(`${work}/ours${number}`)];
      t.deepEqual([...ours.keys()], [...theirs.keys()], `${mine} ${variable} ${words.join(' ')}`);
      t.is(readFileSync(`${work}/ours${number}/secret`, 'utf8'), 'kept');
    }
  }
});

test('a run without a change takes one round trip with files of rules, whatever the destination keeps', async (t) => {
  const { work, served, server, access } = await setup(t);
  const source = dir(work, 'source');
  for (let at = 0; at < 30; at += 1) {
    fill(source, {
      [`d${at}/.rsync-filter`]: '- kept\n',
      [`d${at}/kept`]: 'here',
      [`d${at}/f`]: '',
    });
  }
  await using relay = await Relay.start({ to: server.port, delayMs: 25 });
  const connection = await connect(`sparsync://127.0.0.1:${relay.port}`, access);
  const options = {
    delete: true,
    filter: [{ dirMerge: '/.rsync-filter' }],
    gitignore: true,
  };
  await connection.push(source, 'root/tree', options);
  writeFileSync(`${served}/tree/d7/kept`, 'there');
  await connection.push(source, 'root/tree', options);
  const roundTrips = await relay.fewestRoundTrips(() => connection.push(source, 'root/tree', options));
  t.true(roundTrips <= 1.5, `${roundTrips} round trips`);
  t.is(readFileSync(`${served}/tree/d7/kept`, 'utf8'), 'there');
  await connection.close();
});

const judgedByStrace = hasStrace ? test.serial : test.serial.skip;
for (const rule of ['--filter=: .f', '--exclude=secret', '--exclude=/secret/']) {
  judgedByStrace(`a directory that ${rule} leaves out is not walked, at either end`, async (t) => {
    const { work, client: user } = await setup(t);
    for (const tree of ['source', 'target']) {
      fill(`${work}/${tree}`, {
        '.f': '- secret\n',
        'secret/below/x': '',
        'open/y': '',
      });
    }
    const trace = `${work}/trace`;
    const [strace = '', ...words] = straced(trace, ['-s', '4096', '-e', 'trace=openat,openat2,statx,newfstatat']);
    const args = [program, '-a', '--delete', rule, `${work}/source/`, `${work}/target`];
    const ran = await start(t, strace, [...words, process.execPath, ...args], {
      env: user.env,
    }).ended;
    t.deepEqual([ran.code, ran.stderr], [0, '']);
    const seen = readFileSync(trace, 'latin1').split('\n');
    t.true(seen.some((line) => line.includes('"open"')));
    t.deepEqual(
      seen.filter((line) => line.includes('secret') && !line.includes('execve')),
      [],
    );
  });
}

judged(
  'a symlink leads to rules when it is not a stranger’s (CVE-2026-53802, CVE-2026-53803); what cannot be read is told',
  async (t) => {
    const { work, client: user } = await setup(t);
    const rsyncKeeps = (source: string): string[] => {
      spawnSync('rsync', ['-r', '-f', ': .f', `${source}/`, `${source}.theirs/`]);
      return [...walk(`${source}.theirs`).keys()].sort();
    };
    const oursKeeps = async (source: string, warned: boolean): Promise<string[]> => {
      const ran = await cli(t, user, ['-r', '-f', ': .f', `${source}/`, `${source}.ours/`]);
      t.is(ran.code, exit.ok, ran.stderr);
      t.is(/\.f: the file of filter rules is ignored/.test(ran.stderr), warned, ran.stderr);
      return [...walk(`${source}.ours`).keys()].sort();
    };
    fill(work, { real: '- a\n' });
    for (const [name, make, warned] of [
      ['absolute', (at: string) => symlinkSync(`${work}/real`, at), false],
      ['relative', (at: string) => symlinkSync('../real', at), false],
      ['chain', (at: string) => (symlinkSync('../real', `${at}2`), symlinkSync('.f2', at)), false],
      ['dangling', (at: string) => symlinkSync('none', at), false],
      ['directory', (at: string) => mkdirSync(at), false],
      ...(isRoot
        ? ([['strange', (at: string) => (symlinkSync('../real', at), lchownSync(at, 65_534, 65_534)), true]] as const)
        : []),
    ] as const) {
      const source = dir(work, name);
      fill(source, { a: '', 'd/a': '' });
      make(`${source}/.f`);
      t.deepEqual(await oursKeeps(source, warned), rsyncKeeps(source), name);
    }
    const source = dir(work, 'broken');
    fill(source, { 'd/.f': '- x\nsecret words\n' });
    const error = await failure(t, sync(source, `${work}/none`, { filter: [': .f'] }), ConfigError);
    t.regex(`${error.message} ${error.path ?? ''}`, /line 2.*broken\/d\/\.f/s);
    t.notRegex(error.message, /secret/);
  },
);

judgedWhere(isRoot)('an unreadable file of rules is passed over and told, as a plain user', async (t) => {
  const { work } = await setup(t);
  const source = dir(work, 'source');
  fill(source, { '.f': '- a\n', a: '' });
  chmodSync(`${source}/.f`, 0o600);
  const home = dir(work, 'nobody');
  for (const open of [work, `${work}/..`]) chmodSync(open, 0o755);
  chmodSync(home, 0o777);
  const become = ['--reuid=65534', '--regid=65534', '--clear-groups'];
  const env = {
    SPARSYNC_CONFIG_DIR: `${home}/config`,
    SPARSYNC_STATE_DIR: `${home}/state`,
  };
  const args = [...become, process.execPath, program, '-r', '-f', ': .f', `${source}/`, `${home}/ours/`];
  const ours = await start(t, 'setpriv', args, { env }).ended;
  t.regex(ours.stderr, /\.f: the file of filter rules is ignored.*[Pp]ermission/);
  const ran = spawnSync('setpriv', [...become, 'rsync', '-r', '-f', ': .f', `${source}/`, `${home}/theirs/`]);
  t.is(ran.status, 23, 'rsync cannot read it as a file either');
  t.is(ours.code, exit.partial);
  t.deepEqual([...walk(`${home}/ours`).keys()].sort(), [...walk(`${home}/theirs`).keys()].sort());
});

test('on a server no file of rules above the prefix of the key is read (CVE-2026-53786)', async (t) => {
  const { work } = await setup(t);
  const served = dir(work, 'offered');
  fill(served, {
    '.f': '- a\n',
    'in/.f': '- b\n',
    'in/tree/a': '',
    'in/tree/b': '',
    'in/tree/c': '',
    rules: '- c\n',
  });
  symlinkSync('../../rules', `${served}/in/tree/.g`);
  symlinkSync(`${served}/rules`, `${served}/in/tree/.h`);
  const user = makeClient(work, 'narrow');
  const allow = [`narrow ${user.publicKey} root=root/in allow=read,write,delete`];
  const server = await startServer(t, {
    home: dir(work, 'second'),
    roots: { root: served },
    allow,
  });
  user.trust(server.port, server.pin);
  const connection = await connect(server.url(), accessOf(user, server));
  const filter = [': /.f', ': .g', ': .h', ': ../../.f'];
  await connection.pull('root/in/tree', `${work}/narrow`, {
    filter,
    links: false,
  });
  t.deepEqual([...walk(`${work}/narrow`).keys()].sort(), ['', 'a', 'c']);
  // A push: a rule from above the prefix would keep `a`.
  fill(work, { 'mine/x': '' });
  await connection.push(`${work}/mine`, 'root/in/tree', { filter, links: false, delete: true, allowMassDelete: true });
  t.deepEqual([...walk(`${served}/in/tree`).keys()].sort(), ['', 'b', 'x']);
  await connection.close();
});
