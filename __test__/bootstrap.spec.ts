// The other end is put where it is missing by whatever leads there, and nothing of that is left lying around. sshd.spec.ts has the
// same over ssh itself.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';

import test, { type ExecutionContext } from 'ava';

import { ConfigError, connect, sync } from '../dist/index.js';
import { cli, exit, quietly, startCli } from './helpers/cli.js';
import { startContainer } from './helpers/container.js';
import { assertEqual, judgedWhere } from './helpers/judge.js';
import { until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { isAlive, remote } from './helpers/remote.js';
import { canMount, failure, mountTmpfs } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';
import { names } from './helpers/walk.js';

judgedWhere(canMount)('into a container, by the command that leads there', async (t) => {
  const work = workDir(t);
  const [user, container] = [client(work), await startContainer(t, work)];
  const source = dir(work, 'source');
  plainTree(source, { directories: 5, files: 40 });
  const [there, cache, temporary] = ['there', 'home/.cache', 'tmp'].map((name) => `${container.files}/${name}`) as [
    string,
    string,
    string,
  ];
  const run = (...args: string[]) =>
    cli(t, user, ['-a', '--delete', '-e', container.enter, ...args, `${source}/`, 'box:/mnt/there/']);
  const without = await run();
  t.is(without.code, exit.usage);
  t.regex(without.stderr, /exit code 127: sparsync-remote is not installed there.*--bootstrap installs it/);
  for (const round of ['first', 'again']) {
    const ran = await run('--bootstrap=temp');
    t.deepEqual([ran.code, ran.stdout, ran.stderr], [0, '', ''], round);
    assertEqual(t, source, there, { label: `temporary, ${round}` });
    t.deepEqual([names(temporary), existsSync(cache), existsSync('/mnt/there')], [[], false, false], round);
    writeFileSync(`${source}/${round}`, round);
  }
  t.is((await run('--bootstrap')).code, 0);
  assertEqual(t, source, there, { label: 'kept' });
  const [kept = '', ...others] = readdirSync(`${cache}/sparsync`);
  t.deepEqual(others, []);
  const { ino } = statSync(`${cache}/sparsync/${kept}`);
  await quietly(t, user, ['-a', '-e', container.enter, '--bootstrap', 'box:/mnt/there/', `${work}/back/`]);
  assertEqual(t, source, `${work}/back`);
  t.is(statSync(`${cache}/sparsync/${kept}`).ino, ino, 'it is put there once');
  await using connection = await connect(
    { command: [container.enter, 'box'], path: '/mnt' },
    { bootstrap: 'temp', connectTimeoutMs: 60_000 },
  );
  await connection.push(source, 'api');
  assertEqual(t, source, `${container.files}/api`);
  await connection.close();
  await until('everybody to leave', () => container.guests().length === 0);
  t.deepEqual(names(temporary), []);
});

/** Leads the words behind a name to a shell of this machine that has none of our programs in its `PATH`. */
function leading(work: string, name: string, words: string, env = ''): string {
  const path = `${work}/${name}`;
  const inside = `env -i HOME='${dir(work, 'home')}' TMPDIR='${dir(work, 'tmp')}' PATH=/usr/bin:/bin ${env}`;
  writeFileSync(path, `#!/bin/sh\nshift\nexec ${inside} ${words}\n`, { mode: 0o755 });
  return path;
}

const SHELLS = ['sh', 'bash', 'dash', 'zsh', 'fish', 'tcsh'].filter(
  (shell) => spawnSync(shell, ['-c', ':']).status === 0,
);

judgedWhere(true)('whether the words arrive as words, or are read by a shell of any kind', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const source = dir(work, 'source');
  plainTree(source, { directories: 1, files: 3 });
  for (const [name, words] of [
    ['as-words', '"$@"'],
    ...SHELLS.map((shell) => [`by-${shell}`, `${shell} -c "$*"`] as const),
  ] as const) {
    const enter = leading(work, name, words);
    for (const how of ['temp', 'keep']) {
      rmSync(`${work}/home/.cache`, { recursive: true, force: true });
      const there = `${work}/there-${name}-${how}`;
      const flags = ['-a', `--bootstrap=${how}`, '-e', enter];
      await quietly(t, user, [...flags, `${source}/`, `box:${there}/`]);
      assertEqual(t, source, there, { label: `${name}, ${how}` });
      t.deepEqual(names(`${work}/tmp`), [], name);
      t.is(existsSync(`${work}/home/.cache/sparsync`), how === 'keep', name);
    }
  }
});

judgedWhere(canMount)('where it cannot be put, or cannot run, that is told, and nothing is left', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'x');
  const run = (enter: string, how: string) =>
    cli(t, user, ['-a', `--bootstrap=${how}`, '-e', enter, `${source}/`, `box:${work}/there/`]);
  const bin = dir(work, 'bin');
  for (const tool of ['sh', 'head', 'mktemp', 'uname', 'chmod', 'rm', 'mkdir', 'mv', 'env'])
    symlinkSync(`/usr/bin/${tool}`, `${bin}/${tool}`);
  if (!mountTmpfs(t, `${work}/noexec`, 'size=200m,noexec')) throw new Error('cannot mount');
  if (!mountTmpfs(t, `${work}/full`, 'size=64k')) throw new Error('cannot mount');
  for (const [name, env, how, said] of [
    ['no-folder', 'XDG_CACHE_HOME=/proc/none', 'keep', /mkdir.*exit code 3: sparsync-remote cannot be put there/s],
    ['no-temp', 'TMPDIR=/proc/none', 'temp', /mktemp.*exit code 3: sparsync-remote cannot be put there/s],
    ['no-shell', 'PATH=/nowhere', 'keep', /exit code 127: there is no sh/],
    ['no-exec', `TMPDIR='${work}/noexec'`, 'temp', /exit code 126: programs cannot run .*TMPDIR/s],
    ['no-exec-kept', `XDG_CACHE_HOME='${work}/noexec'`, 'keep', /exit code 126: programs cannot run/],
    ['no-sums', `PATH='${bin}'`, 'keep', /exit code 4: .*sha256sum is missing/s],
    ['no-sums-temp', `PATH='${bin}'`, 'temp', /exit code 4: .*sha256sum is missing/s],
    ['no-space', `XDG_CACHE_HOME='${work}/full'`, 'keep', /No space left.*exit code 4: .*no space is left/s],
    ['no-space-temp', `TMPDIR='${work}/full'`, 'temp', /No space left.*exit code 4: .*no space is left/s],
  ] as const) {
    const ran = await run(leading(work, name, '"$@"', env), how);
    t.regex(ran.stderr, said, name);
    t.is(ran.code, exit.usage, `${name}: ${ran.code}`);
    const kept = names(work).filter((path) => /sparsync-remote[-.]/.test(path));
    t.deepEqual(kept, [], name);
    t.false(existsSync(`${work}/there`), name);
  }
  const place = { command: ['env', '-i', 'PATH=/nowhere'], path: `${work}/there` };
  const error = await failure(t, sync(source, place, { bootstrap: true }), ConfigError);
  t.is(error.details['exitCode'], 127);
});

test('the words for the other end have nothing that a shell of any kind would change', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const said = `${work}/said`;
  writeFileSync(`${work}/ssh`, `#!/bin/sh\nprintf '%s\\n' "$*" >'${said}'\nexit 127\n`, { mode: 0o755 });
  for (const how of [[], ['--bootstrap'], ['--bootstrap=temp']]) {
    await cli(t, user, ['-a', '-e', `${work}/ssh`, ...how, `${work}/`, 'box:there/']);
    const [words = '', script = '', ...rest] = readFileSync(said, 'utf8').trim().split("'");
    t.regex(words, /^box sh -c : ; exec sh -c $/);
    t.deepEqual(rest, ['']);
    t.regex(script, /sparsync-remote --stdio/);
    // csh takes an exclamation mark for its history even between quotes, and a line break for the end of a command.
    t.notRegex(script, /[!\n]/);
  }
});

test('a program of another version in the PATH there is not taken where one may be installed', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'x');
  const bin = dir(work, 'bin');
  const enter = leading(work, 'enter', '"$@"', `PATH='${bin}':/usr/bin:/bin`);
  const put = (text: string): void => writeFileSync(`${bin}/sparsync-remote`, text, { mode: 0o755 });
  const run = (...args: string[]) => cli(t, user, ['-a', '-e', enter, ...args, `${source}/`, `box:${work}/there/`]);
  for (const [what, text] of [
    ['of another processor', '\u007FELF\u0002\u0001\u0001'],
    ['of another version', '#!/bin/sh\necho sparsync-remote 0.0.1\n'],
  ] as const) {
    rmSync(`${work}/there`, { recursive: true, force: true });
    put(text);
    const ran = await run('--bootstrap');
    t.deepEqual([ran.code, ran.stderr], [0, ''], what);
    assertEqual(t, source, `${work}/there`, { label: what });
  }
  rmSync(`${work}/home/.cache`, { recursive: true });
  rmSync(`${bin}/sparsync-remote`);
  symlinkSync(remote, `${bin}/sparsync-remote`);
  t.is((await run('--bootstrap')).code, 0);
  t.false(existsSync(`${work}/home/.cache`), 'the same version is taken');
});

test('without sparsync-remote the command of the package is taken there, also by its name', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'x');
  const bin = dir(work, 'bin');
  symlinkSync(program, `${bin}/sparsync`);
  symlinkSync(process.execPath, `${bin}/node`);
  const inside = `env -i HOME='${dir(work, 'home')}' PATH='${bin}':/usr/bin:/bin`;
  // By its name it is ssh, by which the other end is sought.
  writeFileSync(`${work}/ssh`, `#!/bin/sh\nshift\nexec ${inside} sh -c "$*"\n`, { mode: 0o755 });
  for (const args of [[], ['--rsync-path=sparsync']]) {
    await quietly(t, user, [
      '-a',
      '--transport=pipe',
      '-e',
      `${work}/ssh`,
      ...args,
      `${source}/`,
      `box:${work}/there/`,
    ]);
    assertEqual(t, source, `${work}/there`);
    rmSync(`${work}/there`, { recursive: true });
  }
  t.false(existsSync(`${work}/home/.cache`));
});

/** The other end is there: what installs it or uses it, the folder of such programs, and its name there. */
async function installed(t: ExecutionContext): Promise<{ run: () => Promise<void>; cache: string; kept: string }> {
  const work = workDir(t);
  const user = client(work);
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'x');
  const enter = leading(work, 'enter', '"$@"');
  const run = (): Promise<void> =>
    quietly(t, user, ['-a', '--bootstrap', '-e', enter, `${source}/`, `box:${work}/there/`]);
  await run();
  const cache = `${work}/home/.cache/sparsync`;
  const [kept = ''] = readdirSync(cache);
  return { run, cache, kept };
}

test('what nobody has used for a month is taken away when another version is put beside it', async (t) => {
  const { run, cache, kept } = await installed(t);
  const [old, recent, foreign] = ['sparsync-remote-0123456789abcdef', 'sparsync-remote-fedcba9876543210', 'notes'];
  const [long, short] = [new Date(Date.now() - 40 * 86_400_000), new Date(Date.now() - 20 * 86_400_000)];
  for (const [name, when] of [
    [old, long],
    [recent, short],
    [foreign, long],
  ] as const) {
    writeFileSync(`${cache}/${name}`, name);
    utimesSync(`${cache}/${name}`, when, when);
  }
  utimesSync(`${cache}/${kept}`, long, long);
  // Its use counts.
  await run();
  t.true(statSync(`${cache}/${kept}`).mtimeMs > short.getTime());
  rmSync(`${cache}/${kept}`);
  await run();
  t.deepEqual(readdirSync(cache).toSorted(), [foreign, kept, recent].toSorted());
});

test('what a killed shell has left of an earlier try is removed by the next, and nothing of one that goes on', async (t) => {
  const { run, cache, kept } = await installed(t);
  rmSync(`${cache}/${kept}`);
  const gone = spawnSync('true').pid;
  const [left, going, elsewhere] = [
    `${kept}.${hostname()}.${gone}`,
    `${kept}.${hostname()}.${process.pid}`,
    `${kept}.other.${gone}`,
  ] as const;
  for (const name of [left, going, elsewhere]) writeFileSync(`${cache}/${name}`, 'half');
  await run();
  t.deepEqual(readdirSync(cache).toSorted(), [kept, going, elsewhere].toSorted());
});

test('whichever end is killed while it is put there, nothing runs on, and nothing stays that the next run does not take away', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'x');
  const mark = `${work}/mark`;
  writeFileSync(
    `${dir(work, 'bin')}/head`,
    `#!/bin/sh\necho $PPID > '${mark}.new'; mv '${mark}.new' '${mark}'\nexec /usr/bin/head "$@"\n`,
    {
      mode: 0o755,
    },
  );
  const enter = leading(work, 'enter', '"$@"', `PATH='${work}/bin':/usr/bin:/bin`);
  const put = (): string[] => names(work).filter((path) => /sparsync-remote[-.]/.test(path));
  for (const how of ['temp', 'keep'])
    for (const victim of ['near', 'far'] as const) {
      const label = `${how}, ${victim}`;
      rmSync(mark, { force: true });
      const args = ['-a', `--bootstrap=${how}`, '-e', enter, `${source}/`, `box:${work}/there/`];
      const running = startCli(t, user, args);
      await until('it to begin', () => existsSync(mark));
      // What the pipe holds is less than the program.
      running.kill('SIGSTOP');
      const shell = Number(readFileSync(mark, 'utf8'));
      if (victim === 'near') running.kill('SIGKILL');
      else {
        process.kill(shell, 'SIGKILL');
        running.kill('SIGCONT');
      }
      const ended = await running.ended;
      if (victim === 'far') {
        t.is(ended.code, exit.connect, label);
        t.regex(ended.stderr, /was ended by signal 9 before a session began/, label);
      }
      await until('the other end to go', () => !isAlive(shell));
      if (how === 'temp' || victim === 'near') {
        await until('the file to go', () => put().length === 0);
        t.deepEqual(put(), [], label);
      }
      t.false(existsSync(`${work}/there`), label);
    }
  t.is(put().length, 1);
  await quietly(t, user, ['-a', '--bootstrap', '-e', enter, `${source}/`, `box:${work}/there/`]);
  t.regex(put().join(), /^home\/\.cache\/sparsync\/sparsync-remote-[0-9a-f]{16}$/);
});
