// System calls that fail at one end of a run. A failure costs the path that it concerns and what is below it: both are
// named, everything else arrives, and the next run repairs. It is never taken for a mistake of the peer.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import type { ExecutionContext } from 'ava';

import { PartialSyncError, sync, SparsyncError } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { assertEqual, judgedWhere } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { isRoot, scaled, setup, type Setup } from './helpers/setup.js';
import { attach, hasStrace, straced } from './helpers/strace.js';
import { differences, walk } from './helpers/walk.js';

const injected = judgedWhere(hasStrace);

/** Four directories, one of them with others inside, with small files, a file in two parts, and a symlink. */
function makeSource(root: string): void {
  for (const name of ['a', 'b', 'b/inner', 'b/inner/most', 'c']) {
    mkdirSync(`${root}/${name}`, { recursive: true });
    for (const file of ['one', 'two']) writeFileSync(`${root}/${name}/${file}`, `${name}/${file}`);
  }
  writeFileSync(`${root}/b/long`, Buffer.alloc(600_000, 'long'));
  symlinkSync('one', `${root}/c/link`);
}

/** A system call that fails, and which of a thread's calls. */
interface Fault {
  readonly call: string;
  readonly error: string;
  readonly when: string;
}

const inject = ({ call, error, when }: Fault): string[] => [
  '-e',
  `trace=${call}`,
  '-e',
  `inject=${call}:error=${error}:when=${when}`,
];

const wasInjected = (trace: string): boolean => readFileSync(trace, 'latin1').includes('(INJECTED)');

/** Paths that are not at the destination as they are at the source, other than by a time of a directory. */
function missing(source: string, destination: string): string[] {
  const found = differences(walk(source, { content: true }), walk(destination, { content: true }));
  return found.filter((line) => !/mtime|time/.test(line));
}

/** Pushes with a fault at the server; what did not arrive, and what the run said. */
async function pushWith(
  t: ExecutionContext,
  { work, server, access, url }: Setup,
  source: string,
  destination: string,
  fault: Fault,
): Promise<{ readonly hit: boolean; readonly failed: readonly string[]; readonly error: unknown }> {
  const trace = `${work}/trace`;
  const attached = await attach(t, server.pid, trace, inject(fault));
  let error: unknown;
  try {
    await sync(source, url(destination), access);
  } catch (thrown) {
    error = thrown;
  }
  await attached.stop();
  const failed = error instanceof PartialSyncError ? error.result.failures.map(({ path }) => path).toSorted() : [];
  return { hit: wasInjected(trace), failed, error };
}

injected(
  'a directory that the server cannot make costs itself and what is below it, whatever was granted',
  async (t) => {
    const made = await setup(t);
    const source = `${made.work}/source`;
    makeSource(source);
    const below = ['b', 'b/inner', 'b/inner/most', 'b/inner/most/one', 'b/inner/most/two', 'b/inner/one'];
    const expected = [...below, 'b/inner/two', 'b/long', 'b/one', 'b/two'];
    for (const state of ['missing', 'there'] as const) {
      const destination = `${made.served}/${state}`;
      if (state === 'there') {
        mkdirSync(destination);
        writeFileSync(`${destination}/old`, 'old');
      }
      // Of the session's thread: the root where it is missing, then a, then b.
      const when = state === 'missing' ? '3' : '2';
      const { hit, failed, error } = await pushWith(t, made, source, state, { call: 'mkdirat', error: 'EIO', when });
      t.true(hit, `${state}: nothing was injected`);
      t.true(error instanceof PartialSyncError, `${state}: ${String(error)}`);
      t.deepEqual(failed, expected, state);
      for (const arrived of ['a/one', 'c/two', 'c/link']) t.notThrows(() => readFileSync(`${destination}/${arrived}`));
      rmSync(`${destination}/old`, { force: true });
      await sync(source, made.url(state), made.access);
      assertEqual(t, source, destination, { label: `${state}, repaired` });
    }
  },
);

injected('a directory that the server cannot look at costs itself and what is below it', async (t) => {
  const made = await setup(t);
  const source = `${made.work}/source`;
  makeSource(source);
  for (const [i, call] of ['openat2', 'getdents64', 'statx'].entries()) {
    const destination = `tree${i}`;
    let hits = 0;
    for (let when = 1; when <= scaled(6, 40); when += 1) {
      rmSync(`${made.served}/${destination}`, { recursive: true, force: true });
      mkdirSync(`${made.served}/${destination}`);
      await sync(source, made.url(destination), made.access);
      for (const name of ['a/one', 'b/one', 'b/inner/one', 'b/inner/most/one', 'c/one']) {
        writeFileSync(`${made.served}/${destination}/${name}`, 'stale content');
      }
      const fault = { call, error: ['EIO', 'EACCES', 'EMFILE'][when % 3] ?? '', when: String(when) };
      const label = `${call} ${fault.error} ${when}`;
      const { hit, failed, error } = await pushWith(t, made, source, destination, fault);
      if (!hit) continue;
      hits += 1;
      // Where the root itself, or its place, cannot be looked at, there is nothing to go on with.
      if (!(error instanceof PartialSyncError)) {
        t.true(
          error === undefined || (error instanceof SparsyncError && error.code === 'ERR_SPARSYNC_IO'),
          `${label}: ${String(error)}`,
        );
        continue;
      }
      t.not(failed.length, 0, label);
      for (const line of missing(source, `${made.served}/${destination}`)) {
        t.true(
          failed.some((path) => line.includes(path)),
          `${label}: ${line} was not told; told were ${failed.join(' ')}`,
        );
      }
      await sync(source, made.url(destination), made.access);
      assertEqual(t, source, `${made.served}/${destination}`, { label: `${label}, repaired` });
    }
    t.not(hits, 0, `no ${call} was injected`);
  }
});

injected(
  'a failing call at either end of a first copy is told by that end, and never as a mistake of the peer',
  async (t) => {
    const made = await setup(t);
    const source = `${made.work}/source`;
    makeSource(source);
    const faults: Fault[] = [];
    for (const call of ['mkdirat', 'getdents64', 'statx', 'openat2', 'newfstatat', 'fstat', 'symlinkat']) {
      for (let when = 1; when <= scaled(3, 12); when += 1) {
        faults.push({ call, error: ['EIO', 'ENOSPC', 'EMFILE', 'EACCES'][when % 4] ?? '', when: String(when) });
      }
    }
    let failures = 0;
    for (const [i, fault] of faults.entries()) {
      const label = `${fault.call} ${fault.error} ${fault.when}`;
      const { failed, error } = await pushWith(t, made, source, `tree${i}`, fault);
      const told = error instanceof SparsyncError ? error.code : String(error);
      t.true(
        ['undefined', 'ERR_SPARSYNC_PARTIAL', 'ERR_SPARSYNC_IO', 'ERR_SPARSYNC_NO_SPACE'].includes(told),
        `${label}: ${String(error)}`,
      );
      if (error === undefined) {
        assertEqual(t, source, `${made.served}/tree${i}`, { label });
        continue;
      }
      failures += 1;
      if (error instanceof PartialSyncError) t.not(failed.length, 0, label);
      await sync(source, made.url(`tree${i}`), made.access);
      assertEqual(t, source, `${made.served}/tree${i}`, { label: `${label}, repaired` });
    }
    t.true(failures > 0, 'some of the failing calls end a run');
  },
);

injected('where statx is forbidden, fstatat is asked: on both ends, and without a word', async (t) => {
  const made = await setup(t);
  const source = `${made.work}/source`;
  makeSource(source);
  for (const error of ['ENOSYS', 'EPERM']) {
    const filter = inject({ call: 'statx,openat2', error, when: '1+' });
    const trace = `${made.work}/trace.${error}`;
    const [strace = '', ...words] = straced(trace, [...filter, process.execPath, program]);
    const attached = await attach(t, made.server.pid, `${trace}.server`, filter);
    const run = (from: string, to: string): Promise<unknown> =>
      start(t, strace, [...words, '-a', from, to], { env: made.client.env }).ended;
    const quiet = { code: 0, signal: null, stdout: '', stderr: '' };
    const [served, pulled, copied] = [
      `${made.served}/${error}`,
      `${made.work}/pulled.${error}`,
      `${made.work}/${error}`,
    ];
    t.deepEqual(await run(`${source}/`, made.url(error)), quiet);
    t.true(wasInjected(trace));
    assertEqual(t, source, served);
    t.deepEqual(await run(`${made.url(error)}/`, pulled), quiet);
    t.deepEqual(await run(`${source}/`, copied), quiet);
    await attached.stop();
    t.true(wasInjected(`${trace}.server`));
    assertEqual(t, source, pulled);
    assertEqual(t, source, copied);
    const nothing = await cli(t, made.client, ['-ai', `${source}/`, copied]);
    t.deepEqual([nothing.code, nothing.stdout], [exit.ok, '']);
  }
});

injected('what did not arrive is told apart from what arrived without all its attributes', async (t) => {
  const { work, client } = await setup(t);
  const [source, destination] = [`${work}/source`, `${work}/destination`];
  mkdirSync(source);
  for (const name of ['one', 'two', 'three']) writeFileSync(`${source}/${name}`, name);
  mkdirSync(`${destination}/three/full`, { recursive: true });
  const fault = inject({ call: 'utimensat', error: 'EPERM', when: '1+' });
  const [strace = '', ...words] = straced('/dev/null', [...fault, process.execPath, program]);
  const ran = await start(t, strace, [...words, '-a', `${source}/`, destination], { env: client.env }).ended;
  t.is(ran.code, exit.partial, ran.stderr);
  // The two files and the top.
  t.regex(ran.stderr, /: 1 path did not arrive, 3 paths arrived without all attributes, the first being /);
});

injected(
  'a file is written whose close fails, as network file systems fail where there is no room: it is told',
  async (t) => {
    const { work, client } = await setup(t);
    const [source, destination] = [`${work}/source`, `${work}/destination`];
    for (const root of [source, destination]) mkdirSync(root);
    for (const name of ['one', 'two']) {
      writeFileSync(`${source}/${name}`, `new ${name}`);
      writeFileSync(`${destination}/${name}`, 'old');
    }
    // Of all closes those of one file: an injected one is not made.
    const fault = ['-P', `${destination}/one`, ...inject({ call: 'close', error: 'ENOSPC', when: '1+' })];
    const [strace = '', ...words] = straced(`${work}/trace`, [...fault, process.execPath, program]);
    const ran = await start(t, strace, [...words, '-a', '--inplace', `${source}/`, destination], { env: client.env })
      .ended;
    t.true(wasInjected(`${work}/trace`));
    t.is(ran.code, exit.io, ran.stderr);
    t.regex(ran.stderr, /close: No space left on device .*\(one\)/);
  },
);

injected('large files that changed and cannot be read are each told, however many, and the rest arrives', async (t) => {
  const { work, served, client, url } = await setup(t);
  const source = `${work}/source`;
  const random = new Random(t.title);
  for (const root of [source, `${served}/tree`]) mkdirSync(root);
  const names = Array.from({ length: 20 }, (_, number) => `unreadable${number}`);
  for (const name of [...names, 'readable']) {
    writeFileSync(`${served}/tree/${name}`, random.bytes(1 << 20));
    writeFileSync(`${source}/${name}`, random.bytes(1 << 20));
  }
  const fault = names.flatMap((name) => ['-P', `${source}/${name}`]);
  const read = inject({ call: 'pread64', error: 'EIO', when: '1+' });
  const [strace = '', ...words] = straced(`${work}/trace`, [...fault, ...read, process.execPath, program]);
  const args = ['-a', '--no-whole-file', '-I', `${source}/`, url('tree')];
  const ran = await start(t, strace, [...words, ...args], { env: client.env }).ended;
  t.is(ran.code, exit.partial, ran.stderr);
  t.deepEqual(
    names.filter((name) => !new RegExp(`${name}\\b.*Input/output error`).test(ran.stderr)),
    [],
    ran.stderr,
  );
  t.deepEqual(readFileSync(`${served}/tree/readable`), readFileSync(`${source}/readable`));
});

const unfinished = (folder: string): string[] => readdirSync(folder).filter((name) => name.startsWith('.sps-'));

// Seen red with a lock that is refused for any other reason than that another holds it.
injected(
  'where flock is refused a run goes on, keeps no part, and leaves alone what may be of one alive',
  async (t) => {
    const made = await setup(t);
    const source = `${made.work}/source`;
    makeSource(source);
    writeFileSync(`${source}/large`, new Random(t.title).bytes(8 << 20));
    for (const error of ['ENOLCK', 'EOPNOTSUPP', 'EPERM', 'ENOSYS']) {
      const refused = ['-e', `inject=flock:error=${error}`];
      const trace = `${made.work}/trace.${error}`;
      const [copied, served] = [`${made.work}/${error}`, `${made.served}/${error}`];
      const run = (options: readonly string[], to: string, more: readonly string[] = []) => {
        const [strace = '', ...words] = straced(trace, options);
        const command = [process.execPath, program, '-a', ...more, `${source}/`, to];
        return start(t, strace, [...words, ...command], { env: made.client.env }).ended;
      };
      // Killed in the middle of the large file, which would leave a part where it had a lock.
      const killed = ['-e', 'trace=flock,pwrite64', ...refused, '-e', 'inject=pwrite64:signal=SIGKILL:when=20'];
      await run(killed, copied, ['--verify-copies']);
      const left = unfinished(copied);
      t.deepEqual(
        left.map((name) => /\.[a-z]+$/.exec(name)?.[0]),
        ['.tmp'],
        error,
      );

      const quiet = { code: 0, signal: null, stdout: '', stderr: '' };
      t.deepEqual(await run(['-e', 'trace=flock', ...refused], copied), quiet, error);
      t.true(wasInjected(trace), error);
      t.deepEqual(unfinished(copied), left, `${error}: somebody may be writing to it`);
      t.deepEqual(
        missing(source, copied).filter((line) => !line.includes('.sps-')),
        [],
        error,
      );
      t.deepEqual(await run(['-e', 'trace=none'], copied), quiet, error);
      assertEqual(t, source, copied, { label: `${error}, swept by a run that has the lock`, wholeSeconds: true });

      const attached = await attach(t, made.server.pid, `${trace}.server`, ['-e', 'trace=flock', ...refused]);
      t.deepEqual(await run(['-e', 'trace=none'], made.url(error)), quiet, error);
      await attached.stop();
      t.true(wasInjected(`${trace}.server`), error);
      assertEqual(t, source, served, { label: `${error} at the server` });
    }
  },
);

/** Calls that a receiver needs, each with what the error's text has of it. */
const receiving: readonly (readonly [call: string, says: string])[] = [
  ['getdents64', 'getdents64'],
  ['mkdirat', 'mkdirat'],
  ['symlinkat', 'symlinkat'],
  ['pwrite64', 'pwrite64'],
  ['ftruncate', 'ftruncate'],
  ['renameat', 'renameat'],
  ['renameat2', 'renameat2'],
  ['unlinkat', 'unlinkat'],
  ['fchmod', 'chmod 06'],
  ['fchmodat', 'chmod 0'],
  ['utimensat', 'utimensat'],
  ['fsync', 'fsync'],
  ['linkat', 'linkat'],
  ['mknodat', 'mknodat'],
  ['setxattr,fsetxattr', 'setxattr user\\.note'],
  ['fchownat,fchown', 'chown 4242'],
];

/** A destination in which each of those calls is needed to make it equal to what `makeSource` makes. */
function makeStale(root: string): void {
  for (const name of ['a', 'b/inner', 'c/two/full', 'extra']) mkdirSync(`${root}/${name}`, { recursive: true });
  writeFileSync(`${root}/a/one`, 'a/one');
  chmodSync(`${root}/a/one`, 0o600);
  utimesSync(`${root}/a/one`, 1_000_000, 1_000_000);
  writeFileSync(`${root}/extra/file`, 'extra');
}

injected('a call that is forbidden is named by the error, at the end that made it', async (t) => {
  t.timeout(600_000);
  const made = await setup(t);
  const { work, served, client, server, url } = made;
  const source = `${work}/source`;
  makeSource(source);
  truncateSync(`${source}/b/long`, 3_000_000);
  chmodSync(`${source}/a/one`, 0o640);
  chmodSync(`${source}/b/one`, 0o604);
  utimesSync(`${source}/a/one`, 1_000_000, 1_000_000);
  linkSync(`${source}/c/one`, `${source}/c/linked`);
  execFileSync('mkfifo', [`${source}/c/pipe`]);
  execFileSync('setfattr', ['-n', 'user.note', '-v', '1', `${source}/b/two`]);
  if (isRoot) chownSync(`${source}/c/two`, 4242, 4242);
  const why = { ENOSYS: 'Function not implemented', EPERM: 'Operation not permitted' };
  const traced = (words: readonly string[], filter: readonly string[]): ReturnType<typeof cli> => {
    const [strace = '', ...rest] = straced('/dev/null', [...filter, process.execPath, program, ...words]);
    return start(t, strace, rest, { env: client.env }).ended;
  };
  const atServer = async (words: readonly string[], filter: readonly string[]): ReturnType<typeof cli> => {
    const attached = await attach(t, server.pid, `${work}/trace`, filter);
    const ended = await cli(t, client, words);
    await attached.stop();
    return ended;
  };
  const unnamed: string[] = [];
  const calls = receiving.filter(([call]) => isRoot || !call.includes('chown'));
  for (const [index, [call, says]] of calls.entries()) {
    for (const [error, text] of Object.entries(why)) {
      const filter = inject({ call, error, when: '1+' });
      const name = `${index}.${error}`;
      // What a file system cannot hold is a failure here as well.
      const options = ['-aHX', '--numeric-ids', '--strict-attributes', '--delete', '--durability', 'run', `${source}/`];
      for (const root of [`${work}/local.${name}`, `${served}/${name}`]) makeStale(root);
      const local = await traced([...options, `${work}/local.${name}`], filter);
      const pushed = await atServer([...options, url(name)], filter);
      for (const [end, { code, stderr }] of Object.entries({ local, pushed })) {
        const isTold = code === exit.partial || code === exit.io;
        if (!isTold || !new RegExp(`${says}[^:\n]*: ${text}`).test(stderr))
          unnamed.push(`${call} ${error} ${end}: ${code} ${stderr}`);
      }
    }
  }
  for (const call of ['openat']) {
    const filter = inject({ call, error: 'EPERM', when: '1+' });
    const pushed = await atServer(['-a', `${source}/`, url(`new.${call}`)], filter);
    if (!pushed.stderr.includes(`${call}: ${why.EPERM}`))
      unnamed.push(`${call} pushed: ${pushed.code} ${pushed.stderr}`);
  }
  makeSource(`${served}/tree`);
  for (const call of ['getdents64', 'readlinkat', 'pread64', 'openat']) {
    const filter = inject({ call, error: 'EPERM', when: '1+' });
    const pulled = await atServer(['-a', `${url('tree')}/`, `${work}/pulled.${call}`], filter);
    if (!pulled.stderr.includes(`${call}: ${why.EPERM}`))
      unnamed.push(`${call} pulled: ${pulled.code} ${pulled.stderr}`);
  }
  t.deepEqual(unnamed, []);
});
