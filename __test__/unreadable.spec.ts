// A file that cannot be read is named and costs nothing but itself, whichever call fails, and wherever in the file.
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import type { ExecutionContext } from 'ava';

import { make } from './helpers/beside.js';
import { cli, exit } from './helpers/cli.js';
import { assertEqual, judgedWhere } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { type Ended, start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { canMount, type Setup, setup } from './helpers/setup.js';
import { hasStrace, straced } from './helpers/strace.js';
import { dir } from './helpers/temp.js';
import { differences, walk } from './helpers/walk.js';

/** The paths in which two trees differ. */
function differing(source: string, target: string): string[] {
  const lines = differences(walk(source, { content: true }), walk(target, { content: true }));
  return [...new Set(lines.map((line) => /^"([^"]*)"/.exec(line)?.[1] ?? line))].toSorted();
}

/** A tree with files of every way in which content travels, among others that come after them. */
function tree(t: ExecutionContext, work: string): string {
  const random = new Random(t.title);
  const source = dir(work, 'source');
  for (const name of ['large', 'later', 'small', 'z/last']) {
    mkdirSync(`${source}/z`, { recursive: true });
    writeFileSync(`${source}/${name}`, random.bytes(name === 'large' ? 900_000 : 5000));
  }
  return source;
}

/** One way of failing: what strace does to the reader's calls on these files. */
interface Fault {
  readonly inject: string;
  readonly files: readonly string[];
  /** What the message says of each. */
  readonly says: RegExp;
}

const faults: readonly Fault[] = [
  ...['EIO', 'EINVAL', 'ESTALE', 'EISDIR'].flatMap((error): Fault[] => [
    { inject: `pread64:error=${error}:when=1+`, files: ['large', 'small'], says: /cannot read: / },
    { inject: `pread64:error=${error}:when=3+`, files: ['large'], says: /cannot read: / },
  ]),
  { inject: 'statx:error=EIO', files: ['large', 'small'], says: /cannot read: / },
  // Shorter than its size, at once and in the middle.
  { inject: 'pread64:retval=0:when=1+', files: ['large', 'small'], says: /it changed each of the 3 times/ },
  { inject: 'pread64:retval=0:when=3+', files: ['large'], says: /it changed each of the 3 times/ },
];

/** Runs the command while calls fail on files below `root`. */
async function withFault(
  { client }: Setup,
  t: ExecutionContext,
  command: readonly string[],
  root: string,
  fault: Fault,
): Promise<Ended> {
  const paths = fault.files.flatMap((name) => ['-P', `${root}/${name}`]);
  const calls = fault.inject.slice(0, fault.inject.indexOf(':'));
  const [strace = '', ...words] = straced('/dev/null', [
    ...paths,
    '-e',
    `trace=${calls}`,
    '-e',
    `inject=${fault.inject}`,
    process.execPath,
    program,
    ...command,
  ]);
  return start(t, strace, words, { env: client.env }).ended;
}

function push(site: Setup, t: ExecutionContext, source: string, fault: Fault): Promise<Ended> {
  return withFault(site, t, ['-a', `${source}/`, site.url('tree')], source, fault);
}

// Seen red: a head without its content stayed in the pack, and the receiver took it for a malformed one.
judgedWhere(hasStrace)(
  'whatever reading fails with: the file is named, the rest arrives, the next run repairs',
  async (t) => {
    t.timeout(300_000);
    const site = await setup(t);
    const source = tree(t, site.work);
    const target = `${site.served}/tree`;
    for (const fault of faults) {
      const label = `${fault.inject} on ${fault.files.join(', ')}`;
      spawnSync('rm', ['-rf', target]);
      mkdirSync(target);
      for (const name of fault.files) writeFileSync(`${target}/${name}`, 'old');

      const ran = await push(site, t, source, fault);
      t.is(ran.code, exit.partial, `${label}: ${ran.stderr}`);
      const told = ran.stderr.split('\n').filter((line) => fault.files.some((name) => line.startsWith(`${name}: `)));
      t.is(told.length, fault.files.length, `${label}: ${ran.stderr}`);
      t.true(
        told.every((line) => fault.says.test(line)),
        `${label}: ${ran.stderr}`,
      );
      // The old content stays, and nothing else does.
      t.deepEqual(differing(source, target), [...fault.files], label);

      t.is((await cli(t, site.client, ['-a', `${source}/`, site.url('tree')])).code, exit.ok, label);
      assertEqual(t, source, target, { label });
    }
  },
);

judgedWhere(hasStrace)(
  'with -c a file that cannot be read is told once, wherever and however often that is found',
  async (t) => {
    const site = await setup(t);
    const source = tree(t, site.work);
    const fault = { inject: 'pread64:error=EIO:when=1+', files: ['large', 'small'], says: /./ };
    const there = dir(site.work, 'there');
    mkdirSync(`${site.served}/there`);
    for (const root of [there, `${site.served}/there`]) {
      for (const name of fault.files) writeFileSync(`${root}/${name}`, 'old');
    }
    for (const target of [`${site.work}/new`, there, site.url('new'), site.url('there')]) {
      const ran = await withFault(site, t, ['-ac', `${source}/`, target], source, fault);
      t.is(ran.code, exit.partial, ran.stderr);
      const told = ran.stderr.split('\n').map((line) => /^(?:large|small): /.exec(line)?.[0]);
      t.deepEqual(
        told.filter((name) => name !== undefined).toSorted(),
        ['large: ', 'small: '],
        `${target}: ${ran.stderr}`,
      );
      t.regex(ran.stderr, /: 2 paths did not arrive, the first being/, target);
    }
  },
);

judgedWhere(hasStrace)('with -c a file of the destination that cannot be read is replaced, as by rsync', async (t) => {
  const site = await setup(t);
  const source = tree(t, site.work);
  const target = dir(site.work, 'there');
  writeFileSync(`${target}/small`, 'old');
  const fault = { inject: 'pread64:error=EIO:when=1+', files: ['small'], says: /./ };
  const ran = await withFault(site, t, ['-ac', `${source}/`, target], target, fault);
  t.deepEqual([ran.code, ran.stderr], [exit.ok, '']);
  assertEqual(t, source, target);
});

judgedWhere(hasStrace)('a call that is interrupted, or a hole that cannot be asked for, costs nothing', async (t) => {
  const site = await setup(t);
  const source = tree(t, site.work);
  spawnSync('truncate', ['-s', '2M', `${source}/large`]);
  for (const [index, inject] of ['pread64:error=EINTR:when=1', 'lseek:error=EIO'].entries()) {
    const fault = { inject, files: ['large', 'small'], says: /./ };
    const ran = await push({ ...site, url: () => site.url(`tree${index}`) }, t, source, fault);
    t.deepEqual([ran.code, ran.stderr], [exit.ok, ''], inject);
    assertEqual(t, source, `${site.served}/tree${index}`, { label: inject });
  }
});

judgedWhere(canMount)('files that the kernel makes up: refused, shorter and longer than their size', async (t) => {
  const site = await setup(t);
  const source = tree(t, site.work);
  const made = {
    refuses: '/sys/class/net/lo/duplex',
    shorter: '/sys/class/net/lo/operstate',
    longer: '/proc/version',
  };
  for (const [name, from] of Object.entries(made)) {
    writeFileSync(`${source}/${name}`, '');
    t.is(spawnSync('mount', ['--bind', from, `${source}/${name}`]).status, 0);
    t.teardown(() => spawnSync('umount', ['-l', `${source}/${name}`]));
  }
  for (const options of [['-a'], ['-ac']]) {
    const ran = await cli(t, site.client, [...options, `${source}/`, site.url('tree')]);
    t.is(ran.code, exit.partial, ran.stderr);
    for (const name of Object.keys(made)) t.regex(ran.stderr, new RegExp(name), options.join(' '));
    for (const name of Object.keys(made)) t.false(existsSync(`${site.served}/tree/${name}`));
    for (const name of ['large', 'later', 'small', 'z/last']) {
      t.deepEqual(readFileSync(`${site.served}/tree/${name}`), readFileSync(`${source}/${name}`), name);
    }
  }
});

judgedWhere(canBecome)('only of what was there before it is said that its old content is kept', async (t) => {
  const { work, client: user } = await setup(t);
  for (const path of [work, dirname(work)]) chmodSync(path, 0o755);
  make(work, { 's/sub/f': 'new', 's/kept/g': 'new', 'd/kept': 'old' });
  symlinkSync('nowhere', `${work}/s/link`);
  const uid = 65_534;
  const env = { ...user.env, SPARSYNC_STATE_DIR: dir(work, 'state') };
  chownSync(env.SPARSYNC_STATE_DIR, uid, uid);
  const words = [...becoming(uid), process.execPath, program, '-rl', '--force', `${work}/s/`, `${work}/d/`];
  const { code, stderr } = await start(t, 'setpriv', words, { env }).ended;
  t.is(code, exit.partial, stderr);
  const kept = (name: string): boolean | undefined =>
    stderr
      .split('\n')
      .find((line) => line.startsWith(`${name}: `))
      ?.endsWith('(its old content is kept)');
  t.deepEqual([kept('link'), kept('sub'), kept('kept')], [false, false, true], stderr);
  // What the source cannot give is not looked for at the destination.
  const followed = await cli(t, user, ['-rL', `${work}/s/`, `${work}/e/`]);
  t.regex(followed.stderr, /^link: symlink has no referent$/m);
});
