// Runs over a real sshd on loopback.
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';

import { ConnectionError, SparsyncError, sync } from '../dist/index.js';
import { cli, exit, quietly, startCli } from './helpers/cli.js';
import { assertEqual } from './helpers/judge.js';
import { start, until } from './helpers/process.js';
import { client } from './helpers/product.js';
import { isAlive } from './helpers/remote.js';
import { codeOf, failure } from './helpers/setup.js';
import { overSsh, startSshd } from './helpers/sshd.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';
import { names } from './helpers/walk.js';

overSsh('the first sync, no change, changes and a pull, in each form of an address', async (t) => {
  const work = workDir(t);
  const [user, sshd] = [client(work), await startSshd(t, work)];
  const source = dir(work, 'source');
  plainTree(source, { directories: 10, files: 20 });
  writeFileSync(`${source}/large`, Buffer.alloc(4_000_000, 'large'));
  symlinkSync('large', `${source}/new\nline 'quoted'`);
  const run = (...args: string[]): Promise<void> => quietly(t, user, ['-aHAX', '--delete', '-e', sshd.rsh, ...args]);
  const there = `${work}/there`;
  const forms = [
    `box:${there}`,
    `${sshd.user}@box:${there}`,
    `ssh://box${there}`,
    `ssh://${sshd.user}@127.0.0.1:${sshd.port}${there}`,
  ];
  for (const [round, place] of forms.entries()) {
    if (round > 1) writeFileSync(`${source}/new${round}`, 'new');
    await run(`${source}/`, `${place}/`);
    assertEqual(t, source, there, { label: `push to ${place}` });
    await run(`${place}/`, `${work}/back/`);
    assertEqual(t, source, `${work}/back`, { label: `pull from ${place}` });
  }
  const command = await cli(t, user, ['-ai', '-e', sshd.rsh, `${source}/`, `box:${there}/`]);
  t.deepEqual([command.code, command.stdout], [0, ''], command.stderr);
});

overSsh('a key that is confined by its line in authorized_keys', async (t) => {
  const work = workDir(t);
  const sshd = await startSshd(t, work);
  const root = dir(work, 'root');
  const source = dir(work, 'source');
  plainTree(source, { directories: 2, files: 10 });
  mkdirSync(`${root}/in`);
  symlinkSync('/etc', `${root}/out`);
  const push = (path: string, options = {}): Promise<unknown> =>
    sync(source, { host: 'box', path }, { rsh: sshd.rsh, ...options }).then(
      () => 'done',
      (error: unknown) => codeOf(error),
    );
  const confined = (rights: string): void =>
    sshd.authorize(`command="sparsync-remote --root ${root} ${rights}",restrict `);
  confined('--append-only');
  t.is(await push('in/a'), 'done');
  assertEqual(t, source, `${root}/in/a`);
  t.is(await push('/in/b'), 'done', 'a leading slash means the same');
  t.is(await push('in/a', { delete: true }), 'ERR_SPARSYNC_SCOPE');
  t.is(await push('out/x'), 'ERR_SPARSYNC_SCOPE');
  // What the client wants to run does not count.
  t.is(await push('in/c', { remotePath: `touch ${work}/ran; sparsync-remote` }), 'done');
  t.false(existsSync(`${work}/ran`));
  confined('--read-only');
  t.is(await push('in/d'), 'ERR_SPARSYNC_SCOPE');
  await sync({ host: 'box', path: 'in/a' }, `${work}/back`, { rsh: sshd.rsh });
  assertEqual(t, source, `${work}/back`);
});

overSsh('what sshd and the shell there make impossible is told', async (t) => {
  const work = workDir(t);
  const [user, sshd] = [client(work), await startSshd(t, work)];
  const source = dir(work, 'source');
  const run = (...args: string[]) => cli(t, user, ['-a', ...args, `${source}/`, `box:${work}/there/`]);
  const missing = await run('-e', sshd.rsh, '--rsync-path=/nowhere/sparsync-remote');
  t.is(missing.code, exit.usage);
  t.regex(missing.stderr, /^.*nowhere.*exit code 127: sparsync-remote is not installed there/s);
  const closed = await run('-e', `${sshd.rsh} -p 1`);
  t.is(closed.code, exit.connect, closed.stderr);
  t.regex(closed.stderr, /(refused|connect).*exit code 255/is);
  writeFileSync(`${sshd.bin}/sparsync-remote-loud`, `#!/bin/sh\necho Welcome\nexec sparsync-remote "$@"\n`, {
    mode: 0o755,
  });
  const loud = await run('-e', sshd.rsh, '--rsync-path=sparsync-remote-loud');
  t.regex(loud.stderr, /printed "Welcome" before the session/);
  t.is((await run('-e', sshd.rsh)).code, 0);
  rmSync(`${work}/there`, { recursive: true });
  const error = await failure(t, sync(source, `ssh://box${work}/x`, { rsh: `${sshd.rsh} -p 1` }), ConnectionError);
  t.true(error instanceof SparsyncError && error.details['exitCode'] === 255);
});

overSsh('the other end is put where it is missing, once, and is verified before each use', async (t) => {
  const work = workDir(t);
  const [user, sshd] = [client(work), await startSshd(t, work, { bare: true })];
  const source = dir(work, 'source');
  plainTree(source, { directories: 3, files: 30 });
  const cache = `${work}/sshd/cache/sparsync`;
  const run = (...args: string[]) =>
    cli(t, user, ['-a', '--delete', '-e', sshd.rsh, ...args, `${source}/`, `box:${work}/there/`], {
      env: { TMPDIR: work },
    });
  const without = await run();
  t.is(without.code, exit.usage);
  t.regex(without.stderr, /exit code 127: sparsync-remote is not installed there.*--bootstrap installs it/);
  t.false(existsSync(cache));
  const temporary = await run('--bootstrap=temp');
  t.is(temporary.code, 0, temporary.stderr);
  assertEqual(t, source, `${work}/there`, { label: 'temporary' });
  t.false(existsSync(cache));
  const plain = ['-r', '-e', sshd.rsh, '--bootstrap=temp', `${source}/`, `box:${work}/plain/`];
  t.is((await cli(t, user, plain, { env: { TMPDIR: work } })).code, 0);
  t.is(statSync(`${work}/plain`).mode & 0o777, 0o777 & ~process.umask(), 'under the umask of the account');
  t.is((await run()).code, exit.usage, 'nothing is left');
  writeFileSync(`${source}/new`, 'new');
  const first = await run('--bootstrap');
  t.deepEqual([first.code, first.stdout, first.stderr], [0, '', '']);
  assertEqual(t, source, `${work}/there`, { label: 'first' });
  const [kept, ...others] = readdirSync(cache);
  t.deepEqual(others, []);
  t.regex(kept ?? '', /^sparsync-remote-[0-9a-f]{16}$/);
  const file = `${cache}/${kept}`;
  const put = statSync(file);
  t.is(put.mode & 0o777, 0o700);
  // From now on it is found without being asked for.
  writeFileSync(`${source}/new`, 'newer');
  const second = await run();
  t.is(second.code, 0, second.stderr);
  assertEqual(t, source, `${work}/there`, { label: 'second' });
  t.is(statSync(file).ino, put.ino);
  // One that was changed is not used, and is put there again.
  appendFileSync(file, 'x');
  t.is((await run()).code, exit.usage);
  t.is((await run('--bootstrap')).code, 0);
  t.is(statSync(file).size, put.size);
  assertEqual(t, source, `${work}/there`, { label: 'again' });
  await sync(source, `ssh://box${work}/api`, { rsh: sshd.rsh, bootstrap: true });
  assertEqual(t, source, `${work}/api`);
});

overSsh('what cannot be put there is told, and leaves nothing', async (t) => {
  const work = workDir(t);
  const [user, sshd] = [client(work), await startSshd(t, work, { bare: true })];
  const cache = `${work}/sshd/cache`;
  const run = (...args: string[]) =>
    cli(t, user, ['-a', '-e', sshd.rsh, ...args, `${work}/sshd/bin/`, `box:${work}/d/`]);
  const tool = (name: string, text: string): void =>
    writeFileSync(`${sshd.bin}/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  tool('uname', 'case $1 in -s) echo Linux;; *) echo riscv64;; esac');
  const processor = await run('--bootstrap');
  t.is(processor.code, exit.usage);
  t.regex(processor.stderr, /the other end is Linux riscv64: sparsync-remote is for Linux on x86_64 or aarch64/);
  tool('uname', 'case $1 in -s) echo Darwin;; *) echo arm64;; esac');
  t.regex((await run('--bootstrap')).stderr, /the other end is Darwin aarch64: sparsync-remote is for Linux/);
  const [other, name] = process.arch === 'x64' ? ['aarch64', 'arm64'] : ['x86_64', 'x64'];
  tool('uname', `case $1 in -s) echo Linux;; *) echo ${other};; esac`);
  t.regex(
    (await run('--bootstrap')).stderr,
    new RegExp(`the other end is Linux ${other}: .*package sparsync-native-linux-${name}-gnu\\)`),
  );
  rmSync(`${sshd.bin}/uname`);
  tool('head', 'exec /usr/bin/head -c 1000');
  const cut = await run('--bootstrap');
  t.regex(cut.stderr, /what arrived is not what was sent.*exit code 4: sparsync-remote did not arrive whole/s);
  rmSync(`${sshd.bin}/head`);
  t.deepEqual(existsSync(`${cache}/sparsync`) ? readdirSync(`${cache}/sparsync`) : [], []);
  for (const args of [['--bootstrap', '--rsync-path=x'], ['--bootstrap=always'], ['--bootstrap', '-e', 'rsh']]) {
    t.is((await run(...args)).code, exit.usage, args.join(' '));
  }
  t.false(existsSync(`${work}/d`));
});

// Seen red with the command killed when it did not end: the other session ended with it.
overSsh('another session that shares the connection of a run goes on when that is over', async (t) => {
  const work = workDir(t);
  const [user, sshd] = [client(work), await startSshd(t, work, { shared: 'auto' })];
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'x');
  writeFileSync(
    `${sshd.bin}/later`,
    `#!/bin/sh\nuntil [ -e '${work}/go' ]; do sleep 0.02; done\nexec sparsync-remote "$@"\n`,
    { mode: 0o755 },
  );
  const running = startCli(t, user, ['-a', '-e', sshd.rsh, '--rsync-path=later', `${source}/`, `box:${work}/there/`]);
  await until('the shared connection', () => existsSync(`${work}/sshd/shared`) || running.over());
  const other = start(t, 'ssh', [...sshd.rsh.split(' ').slice(1), 'box', 'echo here; read line; echo "$line"'], {
    input: null,
  });
  await until('the other session', () => other.stdout() === 'here\n' || other.over());
  writeFileSync(`${work}/go`, '');
  const ended = await running.ended;
  t.deepEqual([ended.code, ended.stderr], [0, '']);
  assertEqual(t, source, `${work}/there`);
  other.child.stdin?.end('still\n');
  const said = await other.ended;
  t.deepEqual([said.code, said.stdout], [0, 'here\nstill\n'], said.stderr);
});

overSsh('nothing is left running, whichever end is killed', async (t) => {
  const work = workDir(t);
  const [user, sshd] = [client(work), await startSshd(t, work)];
  // It tells who it is before it becomes what was asked for.
  writeFileSync(`${sshd.bin}/told`, `#!/bin/sh\necho $$ >> '${work}/pids'\nexec sparsync-remote "$@"\n`, {
    mode: 0o755,
  });
  writeFileSync(`${work}/pids`, '');
  const pids = (): number[] => readFileSync(`${work}/pids`, 'utf8').split('\n').filter(Boolean).map(Number);
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, randomBytes(20_000_000));
  const flags = ['-a', '-e', sshd.rsh, '--rsync-path=told'];
  for (const victim of ['other', 'own', 'interrupted'] as const) {
    const before = pids().length;
    // The pipe's end tells of it, whatever carries the content.
    const by = `--transport=${victim === 'interrupted' ? 'pipe' : 'quic'}`;
    const running = startCli(t, user, [...flags, by, '--bwlimit=1000', `${source}/`, `box:${work}/d/`]);
    await until('the run', () => pids().length > before && existsSync(`${work}/d`) && names(`${work}/d`).length > 0);
    const pid = pids().at(-1) ?? 0;
    // ssh is a child of the thread that carries the connection.
    const tasks = `/proc/${running.pid}/task`;
    const children = readdirSync(tasks).flatMap((task) =>
      readFileSync(`${tasks}/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
    t.true(children.length > 0, 'ssh runs');
    if (victim === 'other') process.kill(pid, 'SIGKILL');
    else running.kill(victim === 'own' ? 'SIGKILL' : 'SIGINT');
    const ended = await running.ended;
    await until('both ends to end', () => !isAlive(pid) && children.every((child) => !isAlive(child)));
    if (victim === 'other') t.regex(ended.stderr, /in the middle of the work/);
    if (victim === 'interrupted') t.is(ended.code, exit.aborted);
  }
  appendFileSync(`${source}/small`, 'x');
  await quietly(t, user, [...flags, `${source}/`, `box:${work}/d/`]);
  assertEqual(t, source, `${work}/d`);
});
