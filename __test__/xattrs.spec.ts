// Extended attributes of the namespace user., as rsync -X has them: compared, set, removed, and never at the cost of content.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';

import { sync } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { assertEqual, judgedWhere, rsync } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { isRoot, scaled, setup } from './helpers/setup.js';
import { attach, hasStrace, straced } from './helpers/strace.js';
import { dir } from './helpers/temp.js';
import { TreeMaker } from './helpers/tree.js';
import { at, walk } from './helpers/walk.js';
import { dumped as dumpedXattrs } from './helpers/xattrs.js';

const hasSetfattr = spawnSync('setfattr', ['--version']).status === 0;
const judgedWithXattrs = judgedWhere(hasSetfattr);

function setfattr(...args: string[]): void {
  const ran = spawnSync('setfattr', args, { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(`setfattr ${args.join(' ')}: ${ran.stderr}`);
}

function set(path: string, name: string, value: string): void {
  setfattr('-n', name, '-v', value, path);
}

/** Names and values below `root`, a file after the other, as `getfattr` prints them. */
const dumped = (root: string): string => dumpedXattrs(root, '^user\\.');

/** Sets or removes attributes at random, of a part of the files and directories. */
function scatter(random: Random, root: string, oneIn: number): void {
  const lines: string[] = [];
  for (const [path, { kind }] of walk(root)) {
    if ((kind !== 'file' && kind !== 'directory') || !random.oneIn(oneIn)) continue;
    const escaped = [...at('.', path)].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
    lines.push(`# file: ${escaped}`);
    for (let left = random.between(1, 3); left > 0; left -= 1) {
      const size = random.pick([0, 1, 5, 100, 1500]);
      const value = size === 0 ? '""' : `0x${Buffer.from(random.bytes(size)).toString('hex')}`;
      lines.push(`user.${random.pick(['a', 'b', 'Mixed Case', 'dots.and.more', 'x'.repeat(200)])}=${value}`);
    }
    lines.push('');
  }
  const ran = spawnSync('setfattr', ['--restore=-'], { cwd: root, input: lines.join('\n'), encoding: 'latin1' });
  if (ran.status !== 0) throw new Error(`setfattr --restore: ${ran.stderr}`);
}

const rounds = scaled(6, 60);

judgedWithXattrs(`${rounds} rounds of a random tree with extended attributes, equal after each`, async (t) => {
  t.timeout(scaled(300_000, 3_600_000));
  t.log(`seed ${seed}`);
  const { work, served, access, server } = await setup(t);
  const random = new Random(t.title);
  const maker = new TreeMaker(random, 1 << 20);
  const [source, remote] = [`${work}/source`, `${served}/tree`];
  maker.generate(source, scaled(100, 1000));
  const options = { ...access, delete: true, allowMassDelete: true, xattrs: true };
  for (let round = 0; round < rounds; round += 1) {
    scatter(random, source, 3);
    const compare = random.pick(['quick', 'content'] as const);
    await sync(source, server.url('root', 'tree'), { ...options, compare });
    assertEqual(t, source, remote, { label: `round ${round}` });
    t.is(rsync('-aXinc', '--delete', `${source}/`, `${remote}/`), '', `round ${round}, rsync -X`);
    t.is(dumped(remote), dumped(source), `round ${round}`);
    const again = await sync(source, server.url('root', 'tree'), options);
    t.deepEqual([again.stats.attrsChanged, again.stats.filesTransferred], [0, 0], `round ${round}`);
    maker.mutate(source, random.between(1, 8));
    maker.mutate(remote, random.between(0, 8));
    scatter(random, remote, 4);
  }
});

judgedWithXattrs(
  'each change is itemized as by rsync -X, and one of an attribute alone takes no content',
  async (t) => {
    const { work, client: user } = await setup(t);
    const source = dir(work, 'source');
    mkdirSync(`${source}/sub`);
    writeFileSync(`${source}/f`, 'content');
    writeFileSync(`${source}/sub/g`, 'content');
    symlinkSync('f', `${source}/link`);
    const changes: Array<[string, () => void]> = [
      ['all new', () => (set(`${source}/f`, 'user.a', '1'), set(source, 'user.top', '1'))],
      ['nothing', () => undefined],
      ['a value', () => set(`${source}/f`, 'user.a', '2')],
      ['a new name', () => set(`${source}/sub/g`, 'user.b', '2')],
      ['of a directory', () => set(`${source}/sub`, 'user.c', '3')],
      ['of the top', () => set(source, 'user.top', '4')],
      ['one less', () => setfattr('-x', 'user.a', `${source}/f`)],
      ['with its mode', () => (set(`${source}/f`, 'user.a', '5'), chmodSync(`${source}/f`, 0o600))],
      ['with its content', () => (set(`${source}/f`, 'user.a', '6'), writeFileSync(`${source}/f`, 'more content'))],
      ['only there', () => ['ours', 'theirs'].forEach((tree) => set(`${work}/${tree}/sub`, 'user.theirs', '7'))],
    ];
    for (const [what, change] of changes) {
      change();
      const before = statSync(`${work}/ours/f`, { throwIfNoEntry: false })?.ino;
      const ran = await cli(t, user, ['-aXi', `${source}/`, `${work}/ours`]);
      t.is(ran.code, exit.ok, ran.stderr);
      const judge = rsync('-aXi', `${source}/`, `${work}/theirs`).replaceAll('theirs', 'ours');
      const lines = (output: string): string[] =>
        output
          .split('\n')
          .map((line) => line.replace(/ -> .*$/, ''))
          .toSorted();
      t.deepEqual(lines(ran.stdout), lines(judge), what);
      t.is(dumped(`${work}/ours`), dumped(source), what);
      if (what !== 'all new' && what !== 'with its content') t.true(statSync(`${work}/ours/f`).ino === before, what);
    }
    set(`${work}/ours/f`, 'user.a', 'other');
    const differs = await cli(t, user, ['verify', '-X', `${source}/`, `${work}/ours`]);
    t.not(differs.code, exit.ok);
    t.is((await cli(t, user, ['verify', `${source}/`, `${work}/ours`])).code, exit.ok);
  },
);

judgedWhere(hasStrace && hasSetfattr)(
  'a file system without them costs the attribute, named by its call, and no content',
  async (t) => {
    const { work, served, server, client: user } = await setup(t);
    // What such a file system says to each of the calls.
    const answers = ['-e', 'trace=/.*xattr.*', '-e', 'inject=/.*xattr.*:error=EOPNOTSUPP'];
    const answering = await attach(t, server.pid, `${work}/trace`, answers);
    const source = dir(work, 'source');
    mkdirSync(`${source}/sub`);
    for (const name of ['f', 'sub/large', 'sub/plain']) writeFileSync(`${source}/${name}`, name.repeat(40_000));
    for (const name of ['f', 'sub', 'sub/large']) set(`${source}/${name}`, 'user.a', '1');
    set(`${source}/f`, 'user.b', '2');
    for (const run of ['first', 'again']) {
      const ended = await cli(t, user, ['-aX', '--strict-attributes', `${source}/`, server.url('root', 'copy')]);
      t.is(ended.code, exit.partial, run);
      const told = ended.stderr
        .split('\n')
        .flatMap((line) => /^([^"]*): Operation not supported/.exec(line)?.slice(1) ?? []);
      t.deepEqual(
        told.toSorted(),
        ['f: setxattr user.a and 1 more', 'sub/large: setxattr user.a', 'sub: setxattr user.a'],
        `${run}: ${ended.stderr}`,
      );
      assertEqual(t, source, `${served}/copy`);
    }
    const lenient = await cli(t, user, ['-aX', `${source}/`, server.url('root', 'copy')]);
    t.is(lenient.code, exit.ok);
    t.regex(lenient.stderr, /^warning: .*cannot hold them \(setxattr.*\n$/);
    // As a source it has none, which is no failure.
    await quietly(t, user, ['-aX', server.url('root', 'copy/'), `${work}/back`]);
    assertEqual(t, source, `${work}/back`);
    await answering.stop();
  },
);

/** Takes from root what lets it read and write everything; anyone else is subject to modes already. */
const drop = isRoot
  ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--inh-caps=-dac_override,-dac_read_search']
  : ['env'];
const canDrop = spawnSync(drop[0] ?? '', [...drop.slice(1), 'true']).status === 0;

judgedWhere(hasSetfattr && canDrop)(
  "one's own read-only files and directories get them, and their modes stay",
  async (t) => {
    const { work, client: user } = await setup(t);
    const source = dir(work, 'source');
    mkdirSync(`${source}/closed`);
    for (const name of ['small', 'closed/small', 'large']) {
      writeFileSync(`${source}/${name}`, 'x'.repeat(name === 'large' ? 300_000 : 10));
      set(`${source}/${name}`, 'user.a', '1');
      chmodSync(`${source}/${name}`, 0o444);
    }
    set(`${source}/closed`, 'user.a', '1');
    chmodSync(`${source}/closed`, 0o555);
    const run = async (flags: string, to: string): Promise<void> => {
      const ended = await start(
        t,
        drop[0] ?? '',
        [...drop.slice(1), process.execPath, program, flags, `${source}/`, to],
        {
          env: user.env,
        },
      ).ended;
      t.deepEqual([ended.code, ended.stderr], [exit.ok, ''], flags);
    };
    await run('-aX', `${work}/copy`);
    assertEqual(t, source, `${work}/copy`);
    t.is(dumped(`${work}/copy`), dumped(source));
    for (const name of ['small', 'closed/small', 'large', 'closed']) set(`${source}/${name}`, 'user.a', '2');
    await run('-aX', `${work}/copy`);
    assertEqual(t, source, `${work}/copy`);
    t.is(dumped(`${work}/copy`), dumped(source));
    // Without modes a file has what the umask leaves of the source's.
    await run('-rX', `${work}/bare`);
    t.is(dumped(`${work}/bare`), dumped(source));
    t.is(statSync(`${work}/bare/small`).mode & 0o777, 0o444);
    rmSync(`${work}/copy`, { recursive: true, force: true });
  },
);

judgedWithXattrs(
  'of several sources each entry has its own, and the folder that they go to keeps its own',
  async (t) => {
    const { work, client: user } = await setup(t);
    const sources = ['one', 'two'].map((name) => dir(work, name));
    for (const [i, source] of sources.entries()) {
      mkdirSync(`${source}/both`);
      writeFileSync(`${source}/both/f${i}`, 'content');
      for (const path of ['', '/both', `/both/f${i}`]) set(`${source}${path}`, 'user.from', String(i));
    }
    const forms: Array<readonly string[]> = [sources, sources.map((source) => `${source}/`)];
    for (const [form, from] of forms.entries()) {
      const [ours, theirs] = ['ours', 'theirs'].map((name) => dir(work, `${name}${form}`));
      for (const to of [ours, theirs]) set(to ?? '', 'user.own', '1');
      await quietly(t, user, ['-aX', ...from, ours ?? '']);
      rsync('-aX', ...from, theirs ?? '');
      t.is(dumped(ours ?? ''), dumped(theirs ?? ''));
      await quietly(t, user, ['-aXi', ...from, ours ?? '']);
    }
  },
);

judgedWhere(hasStrace && hasSetfattr)('a run without -X makes no call for them', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  mkdirSync(`${source}/sub`);
  for (const name of ['f', 'sub/g']) {
    writeFileSync(`${source}/${name}`, 'content');
    set(`${source}/${name}`, 'user.a', '1');
  }
  for (const [flags, calls] of [
    ['-a', false],
    ['-aX', true],
  ] as const) {
    for (const round of ['new', 'no change']) {
      const trace = `${work}/trace${flags}${round}`;
      const [strace = '', ...options] = straced(trace, ['-e', 'trace=/.*xattr.*']);
      const args = [...options, process.execPath, program, flags, `${source}/`, `${work}/to${flags}`];
      t.is((await start(t, strace, args, { env: user.env }).ended).code, exit.ok);
      t.is(/xattr/.test(readFileSync(trace, 'utf8')), calls, `${flags}, ${round}`);
    }
  }
});
