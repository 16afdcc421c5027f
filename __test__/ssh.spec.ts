// Runs over a command's pipe: a shell of this machine stands in for ssh, so that what it is told can be seen. See sshd.spec.ts for
// ssh itself.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { connect, ConfigError, ConnectionError, plan, SparsyncError, sync, verify } from '../dist/index.js';
import { cli, exit, quietly, startCli } from './helpers/cli.js';
import { assertEqual, judged, judgedWhere } from './helpers/judge.js';
import { start, until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { isAlive, remote, stubShell } from './helpers/remote.js';
import { codeOf, failure } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';
import { names } from './helpers/walk.js';

const FAITHFUL = ['-aHAX', '--delete'] as const;

judged('a push and a pull over a remote shell: first, without a change, and changed', async (t) => {
  const work = workDir(t);
  const [user, stub] = [client(work), stubShell(work)];
  const source = dir(work, 'source');
  plainTree(source, { directories: 10, files: 30 });
  writeFileSync(`${source}/large`, Buffer.alloc(3_000_000, 'large'));
  symlinkSync('large', `${source}/link`);
  const run = (...args: string[]): Promise<void> => quietly(t, user, [...FAITHFUL, ...args], { env: stub.env });
  for (const round of ['first', 'no change', 'changed']) {
    if (round === 'changed') {
      writeFileSync(`${source}/new`, 'new');
      rmSync(`${source}/link`);
      writeFileSync(`${source}/large`, Buffer.concat([Buffer.from('x'), readFileSync(`${source}/large`)]));
    }
    await run(`${source}/`, 'box:pushed/');
    assertEqual(t, source, `${stub.home}/pushed`, { label: `push, ${round}` });
    await run('box:pushed/', `${work}/pulled/`);
    assertEqual(t, source, `${work}/pulled`, { label: `pull, ${round}` });
  }
  t.deepEqual(
    new Set(stub.calls()),
    new Set(['box sparsync-remote --stdio']),
    'nothing of a run is on the command line',
  );
  for (const pid of stub.pids()) t.false(isAlive(pid));
});

judged('each form of an address means a place, and each path what it means in a shell there', async (t) => {
  const work = workDir(t);
  const [user, stub] = [client(work), stubShell(work)];
  const { home } = stub;
  const source = dir(work, 'source');
  plainTree(source, { directories: 2, files: 10 });
  mkdirSync(`${home}/real/sub`, { recursive: true });
  symlinkSync('real', `${home}/link`);
  symlinkSync(`${home}/real`, `${home}/absolute`);
  for (const [place, path] of [
    ['box:one/', 'one'],
    ['me@box:two', 'two/source'],
    [`box:${home}/three/`, 'three'],
    ['box:~/four/', 'four'],
    ['box:link/sub/', 'real/sub'],
    ['box:absolute/five/', 'real/five'],
    ['box:link', 'real/source'],
    [`ssh://box${home}/six/`, 'six'],
    ['ssh://me@box/~/se%76en/', 'seven'],
    ['[::1]:eight/', 'eight'],
    ['box:./nine/./', 'nine'],
  ] as const) {
    const from = path.endsWith('source') ? source : `${source}/`;
    await quietly(t, user, ['-a', from, place], { env: stub.env });
    assertEqual(t, source, `${home}/${path}`, { label: place });
  }
  t.deepEqual(
    new Set(stub.calls()),
    new Set(['box', '-l me box', '::1'].map((words) => `${words} sparsync-remote --stdio`)),
  );
  // Several sources of one host, of which one is a link that is meant itself.
  await quietly(t, user, ['-a', 'box:one', ':link', ':real/', `${work}/all/`], { env: stub.env });
  t.true(existsSync(`${work}/all/one`) && existsSync(`${work}/all/sub`));
  t.true(names(`${work}/all`).includes('link'));
  await quietly(t, user, ['-aR', 'box:real/./sub', `${work}/relative/`], { env: stub.env });
  t.deepEqual(names(`${work}/relative`), ['sub', ...names(`${home}/real/sub`).map((name) => `sub/${name}`)].toSorted());
  // Options name directories there as on one's own machine.
  await quietly(
    t,
    user,
    ['-a', '--delete', `--backup-dir=${home}/kept`, '-b', '--exclude=x', `${source}/`, 'box:one/'],
    {
      env: stub.env,
    },
  );
});

// Seen red with the directory that the symlink led to emptied and filled.
judged('a directory that is pushed by its name takes the place of what has that name, as with rsync', async (t) => {
  const work = workDir(t);
  const [user, stub] = [client(work), stubShell(work)];
  dir(work, 's/sub');
  writeFileSync(`${work}/s/sub/new`, 'new');
  utimesSync(`${work}/s/sub`, 1_600_000_000, 1_600_000_000);
  const flags = ['-a', '--delete', '-e', stub.shell, 's/sub'];
  for (const stands of ['symlink', 'file', 'nothing', 'directory'] as const) {
    for (const end of ['theirs', 'ours']) {
      const there = dir(stub.home, `${end}-${stands}`);
      mkdirSync(`${there}/precious`);
      writeFileSync(`${there}/precious/kept`, 'kept');
      if (stands === 'symlink') symlinkSync('precious', `${there}/sub`);
      else if (stands === 'file') writeFileSync(`${there}/sub`, 'file');
      else if (stands === 'directory') mkdirSync(`${there}/sub`);
    }
    const judge = await start(t, 'rsync', [...flags, `box:theirs-${stands}/`], { cwd: work }).ended;
    const ran = await cli(t, user, [...flags, `box:ours-${stands}/`], { cwd: work });
    t.deepEqual([ran.code, ran.stderr], [judge.code, ''], stands);
    assertEqual(t, `${stub.home}/theirs-${stands}/sub`, `${stub.home}/ours-${stands}/sub`, { label: stands });
    t.deepEqual(names(`${stub.home}/ours-${stands}`), names(`${stub.home}/theirs-${stands}`), stands);
  }
});

test('what is no place over a shell is refused with what to write', async (t) => {
  const work = workDir(t);
  const [user, stub] = [client(work), stubShell(work)];
  for (const [place, said] of [
    ['box::module/x', /module of an rsync daemon/],
    ['rsync://box/module', /module of an rsync daemon/],
    ['box:../up', /cannot contain "\.\."/],
    ['box:~other/x', /home folder of another user/],
    ['-oProxyCommand=x:path', /no usable host|unknown|-o/],
    ['ssh://-oProxyCommand=x/path', /no usable host/],
    ['box$(x):path', /no usable host/],
    ['-lme@box:path', /no usable user|unknown|-l/],
    ['me\u0007@box:path', /no usable user/],
    ['ssh://%00me@box/path', /no usable user/],
    [':path', /names no host/],
    ['ssh://box:99999/x', /no usable port/],
    ['ssh://me:secret@box/x', /a password in its URL: leave it out, ssh asks/],
  ] as const) {
    const ran = await cli(t, user, ['-a', '--', `${work}/`, place], { env: stub.env });
    t.is(ran.code, exit.usage, `${place}: ${ran.stderr}`);
    t.regex(ran.stderr, said, place);
  }
  const option = await cli(t, user, ['-a', '--rsync-path=-oProxyCommand=x', `${work}/`, 'box:x'], { env: stub.env });
  t.is(option.code, exit.usage);
  t.regex(option.stderr, /remotePath cannot begin with "-"/);
  t.deepEqual(stub.calls(), []);
  const local = dir(work, 'source');
  writeFileSync(`${local}/file`, 'x');
  await quietly(t, user, ['-a', `${local}/`, './a:b/'], { cwd: work, env: stub.env });
  t.is(readFileSync(`${work}/a:b/file`, 'utf8'), 'x', 'a local name with a colon');
});

judged('names that a shell would take for something else arrive as they are', async (t) => {
  const work = workDir(t);
  const [user, stub] = [client(work), stubShell(work)];
  const odd = [
    ' blank ',
    "quote'",
    'double"',
    '$(touch ran)',
    '`touch ran`',
    '-rf',
    'new\nline',
    ';touch ran',
    '*',
    '\\',
  ];
  const source = dir(work, 'source');
  for (const name of odd) writeFileSync(`${source}/${name}`, name);
  for (const [index, name] of odd.entries()) {
    await quietly(t, user, ['-a', '--mkpath', '--', `${source}/`, `box:${index}/${name}/`], { env: stub.env });
    assertEqual(t, source, `${stub.home}/${index}/${name}`, { label: name });
    await quietly(t, user, ['-a', '--', `box:${index}/${name}/${name}`, `${work}/back/`], { env: stub.env });
    t.is(readFileSync(`${work}/back/${name}`, 'utf8'), name);
  }
  t.false(existsSync(`${stub.home}/ran`));
});

test('what does not lead anywhere is told with the command, its exit code and what it said', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const script = (name: string, text: string): string => {
    writeFileSync(`${work}/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return `${work}/${name}`;
  };
  const source = dir(work, 'source');
  const cases: readonly (readonly [string, string, number, RegExp])[] = [
    [
      'fails',
      'echo "no route" >&2; exit 255',
      exit.connect,
      /^no route\n.*fails box .*exit code 255 before a session began.*\n *help: run it again/s,
    ],
    ['lacks', 'exit 127', exit.usage, /exit code 127.*sparsync-remote is not installed there/],
    [
      'csh',
      'echo "sparsync-remote: Command not found." >&2; exit 1',
      exit.usage,
      /sparsync-remote is not installed there/,
    ],
    ['other-box', 'exit 126', exit.usage, /the sparsync-remote there cannot be run/],
    [
      'key',
      'echo "Permission denied (publickey)." >&2; exit 255',
      exit.unauthorized,
      /ssh could not log in.*\n *help: does/,
    ],
    [
      'host',
      'echo "Host key verification failed." >&2; exit 255',
      exit.hostKey,
      /not know the key of the host.*\n *help: log in/,
    ],
    [
      'changed',
      'echo "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @" >&2; echo "Host key verification failed." >&2; exit 255',
      exit.hostKeyChanged,
      /the key of the host is not the one that ssh knows.*\n *help: somebody may be in between/,
    ],
    ['killed', 'kill -9 $$', exit.connect, /signal 9/],
    // Ctrl-C may reach it before it reaches this process.
    ['interrupted', 'kill -INT $$; sleep 100', exit.aborted, /\nsparsync: stopped by SIGINT/],
    ['greets', 'echo "Welcome to box"; sleep 100', exit.protocol, /printed "Welcome to box"/],
    ['short', 'printf "\\0SPSY"', exit.protocol, /printed/],
    ['other', 'printf "\\0SPSY-9\\n"; sleep 100', exit.version, /an incompatible version/],
  ];
  for (const [name, text, code, said] of cases) {
    const ran = await cli(t, user, ['-a', '--retry=1', `--rsh=${script(name, text)}`, `${source}/`, 'box:x/']);
    t.regex(ran.stderr, said, name);
    t.is(ran.code, code, `${name}: ${ran.stderr}`);
    t.is(
      /trying again/.test(ran.stderr),
      code === exit.connect || code === exit.aborted,
      `${name} is tried again: ${ran.stderr}`,
    );
  }
  const missing = await cli(t, user, ['-a', `--rsh=${work}/nothing`, `${source}/`, 'box:x/']);
  t.is(missing.code, exit.usage);
  t.regex(missing.stderr, /cannot start the command .*nothing/);
  const silent = await cli(t, user, [
    '-a',
    '--contimeout=1',
    `--rsh=${script('silent', 'exec sleep 100')}`,
    `${source}/`,
    'box:x/',
  ]);
  t.is(silent.code, exit.connectTimeout, silent.stderr);
  t.regex(silent.stderr, /said nothing within 1 seconds.*\n.*--contimeout SECONDS/);
  const error = await failure(t, sync(source, 'ssh://box/x', { rsh: [`${work}/fails`] }), ConnectionError);
  t.is(error.code, 'ERR_SPARSYNC_CONNECT');
  t.is(error.details['exitCode'], 255);
  t.is(error.details['stderr'], 'no route');
});

judged('a place by a command of its own, and by what says how ssh would be called', async (t) => {
  const work = workDir(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 2, files: 20 });
  const command = ['env', '-C', work];
  const options = { remotePath: remote, delete: true };
  await sync(source, { command, path: 'there' }, options);
  assertEqual(t, source, `${work}/there`);
  await sync({ command, path: `${work}/there` }, `${work}/back`, options);
  assertEqual(t, source, `${work}/back`);
  t.true((await verify({ command, path: 'there' }, source, { remotePath: remote })).equal);
  writeFileSync(`${source}/new`, 'x');
  const items = [];
  for await (const item of plan(source, { command, path: 'there' }, { remotePath: remote })) items.push(item.path);
  t.deepEqual(items, ['', 'new']);
  {
    await using connection = await connect({ command, path: '' }, { remotePath: remote });
    t.is(connection.remoteAddress, command.join(' '));
    const [pushed] = await Promise.all([
      connection.push(source, 'there'),
      connection.pull('there', `${work}/side`),
      connection.list('there'),
      connection.stat('there'),
    ]);
    t.is(pushed.stats.filesTransferred, 1);
  }
  for (const [place, said] of [
    [{ command: [], path: 'x' }, /program and its arguments/],
    [{ host: '', path: 'x' }, /no usable host/],
    [{ host: 'box', port: 0, path: 'x' }, /no usable port/],
    [{ command, path: 7 as unknown as string }, /must be a string or a Uint8Array/],
  ] as const) {
    const error = await failure(t, sync(source, place), ConfigError);
    t.regex(error.message, said);
  }
});

test('of two runs of one connection to one place by two names the first goes on', async (t) => {
  const work = workDir(t);
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, randomBytes(3_000_000));
  dir(work, 'there');
  symlinkSync('there', `${work}/other`);
  await using connection = await connect({ command: ['env', '-C', work], path: '' }, { remotePath: remote });
  const first = connection.push(source, 'there', { bwlimit: 1_000_000 });
  await until('the first run', () => names(`${work}/there`).length > 0);
  const refused = await failure(t, connection.push(source, 'other'), SparsyncError);
  t.is(refused.code, 'ERR_SPARSYNC_BUSY');
  t.is((await first).stats.filesTransferred, 1);
  assertEqual(t, source, `${work}/there`);
});

const namespaces = ['unshare', '--user', '--map-root-user', '--mount', '--pid', '--fork', '--mount-proc'] as const;
const hasNamespaces = spawnSync(namespaces[0], [...namespaces.slice(1), 'true']).status === 0;

judgedWhere(hasNamespaces)('into other namespaces of mounts, processes and users, as into a container', async (t) => {
  const work = workDir(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 26, files: 100 });
  // What is mounted there is seen there alone.
  const inside = [...namespaces, 'sh', '-c', 'mount -t tmpfs inside /mnt && cd /mnt && exec "$0" "$@"'];
  await using connection = await connect({ command: inside, path: '' }, { remotePath: remote });
  const seeded = await connection.push(source, 'tree');
  t.is(seeded.stats.filesTransferred, 2600);
  t.is((await connection.push(source, 'tree')).stats.filesTransferred, 0);
  await connection.pull('tree', `${work}/back`);
  assertEqual(t, source, `${work}/back`);
  t.false(existsSync('/mnt/tree'));
});

judged('a confined other end lets nothing out and nothing in', async (t) => {
  const work = workDir(t);
  const root = dir(work, 'root');
  const outside = dir(work, 'outside');
  writeFileSync(`${outside}/secret`, 'secret');
  plainTree(`${root}/tree`, { directories: 2, files: 10 });
  symlinkSync(outside, `${root}/out`);
  const source = dir(work, 'source');
  writeFileSync(`${source}/f0`, 'changed');
  const confined = (...args: string[]) => ({ remotePath: `--root=${root}`, command: [remote, '--stdio', ...args] });
  // What the client adds is what it would have said: the last words do not widen what the first have narrowed.
  const refused = async (
    rights: string[],
    from: string | object,
    to: string | object,
    options = {},
  ): Promise<string> => {
    const { command } = confined(...rights);
    const place = (end: string | object): never => (typeof end === 'string' ? end : { ...end, command }) as never;
    return codeOf(
      await sync(place(from), place(to), { ...options, remotePath: `--root=${root}` }).then(
        () => 'done',
        (error: unknown) => error,
      ),
    );
  };
  t.is(await refused([], { path: '/tree' }, `${work}/back`), "'done'");
  assertEqual(t, `${root}/tree`, `${work}/back`);
  for (const path of ['out', 'out/', '/out/secret']) {
    t.not(await refused([], { path }, `${work}/leak`), "'done'", path);
  }
  t.false(existsSync(`${work}/leak/secret`));
  t.is(await refused([], source, { path: 'out/x' }), 'ERR_SPARSYNC_SCOPE');
  t.is(await refused([], source, { path: 'tree' }, { linkDest: '../../outside' }), 'ERR_SPARSYNC_SCOPE');
  t.is(await refused(['--read-only'], source, { path: 'tree' }), 'ERR_SPARSYNC_SCOPE');
  t.is(await refused(['--append-only'], source, { path: 'tree' }, { delete: true }), 'ERR_SPARSYNC_SCOPE');
  writeFileSync(`${source}/only-new`, 'new');
  t.is(await refused(['--append-only'], source, { path: 'tree' }), "'done'");
  t.is(readFileSync(`${root}/tree/only-new`, 'utf8'), 'new');
  t.deepEqual(names(outside), ['secret']);
});

test('when either end is killed the other one ends, and what is complete stays', async (t) => {
  const work = workDir(t);
  const [user, stub] = [client(work), stubShell(work)];
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, randomBytes(20_000_000));
  const begin = () => startCli(t, user, ['-a', '--bwlimit=1000', `${source}/`, 'box:d/'], { env: stub.env });
  for (const victim of ['other', 'own', 'interrupted'] as const) {
    const before = stub.pids().length;
    const running = begin();
    await until(
      'the run',
      () => stub.pids().length > before && existsSync(`${stub.home}/d`) && names(`${stub.home}/d`).length > 0,
    );
    const pid = stub.pids().at(-1) ?? 0;
    if (victim === 'other') process.kill(pid, 'SIGKILL');
    else running.kill(victim === 'own' ? 'SIGKILL' : 'SIGINT');
    const ended = await running.ended;
    await until('the other end to end', () => !isAlive(pid));
    if (victim === 'other') {
      t.regex(ended.stderr, /was ended by signal 9 in the middle of the work/);
      t.is(ended.code, exit.connect === ended.code ? exit.connect : 12);
    }
    if (victim === 'interrupted') t.is(ended.code, exit.aborted);
  }
  await quietly(t, user, ['-a', `${source}/`, 'box:d/'], { env: stub.env });
  t.is(statSync(`${stub.home}/d/large`).size, 20_000_000);
});

test('a call that is stopped while its command has led nowhere leaves no command behind', async (t) => {
  const work = workDir(t);
  const source = dir(work, 'source');
  const pidFile = `${work}/pid`;
  const command = ['sh', '-c', 'echo $$ >"$0.new"; mv "$0.new" "$0"; exec sleep 1000', pidFile];
  const stopping = new AbortController();
  const reason = new Error('no longer wanted');
  const job = sync(source, { command, path: 'd' }, { signal: stopping.signal });
  await until('the command', () => existsSync(pidFile));
  const pid = Number(readFileSync(pidFile, 'utf8'));
  stopping.abort(reason);
  t.is(await failure(t, job, Error), reason);
  await until('the command to end', () => !isAlive(pid));
});

// Seen red: nothing but a running job heard of a signal, and a question before it waited on.
test('a signal ends the command while what leads to the other end is silent', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const pidFile = `${work}/pid`;
  writeFileSync(
    `${work}/silent`,
    `#!/bin/sh\necho $$ >'${pidFile}.new'; mv '${pidFile}.new' '${pidFile}'\nexec sleep 1000\n`,
    {
      mode: 0o755,
    },
  );
  writeFileSync(`${work}/file`, 'x');
  for (const args of [
    ['-av', 'box:x/', 'there/'],
    ['-v', 'file', 'box:x/'],
    ['--list-only', 'box:x/'],
    ['-a', '--files-from=:list', 'box:x/', 'there/'],
    ['-a', './', 'box:x/'],
  ] as const)
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const label = `${args.join(' ')}, ${signal}`;
      rmSync(pidFile, { force: true });
      // As Ctrl-C at a terminal, the second one goes to all processes of the group.
      const running = start(t, 'setsid', [process.execPath, program, '-e', `${work}/silent`, ...args], {
        cwd: work,
        env: user.env,
      });
      await until('the command', () => existsSync(pidFile) || running.over());
      const pid = Number(readFileSync(pidFile, 'utf8'));
      process.kill(signal === 'SIGINT' ? -running.pid : running.pid, signal);
      const ended = await running.ended;
      t.deepEqual([ended.code, ended.signal], [exit.aborted, null], `${label}: ${ended.stderr}`);
      t.regex(ended.stderr, new RegExp(`^sparsync: stopped by ${signal}: (?:nothing was done|0 files )`), label);
      await until('the command to end', () => !isAlive(pid));
    }
});

test('what the command says while it runs is shown as it comes, and in a program only where that is wanted', async (t) => {
  const work = workDir(t);
  const [user, stub] = [client(work), stubShell(work)];
  writeFileSync(
    `${work}/talks`,
    `#!/bin/sh\nprintf 'open https://box/\\033[1m to go on\\n' >&2\nuntil [ -e '${work}/opened' ]; do sleep 0.02; done\nexec '${stub.shell}' "$@"\n`,
    { mode: 0o755 },
  );
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'x');
  const running = startCli(t, user, ['-aq', '-e', `${work}/talks`, `${source}/`, 'box:there/']);
  await until('the address to be shown', () => running.stderr().includes('to go on\n') || running.over());
  t.is(running.stderr(), 'open https://box/\u001B[1m to go on\n');
  writeFileSync(`${work}/opened`, '');
  t.is((await running.ended).code, 0);
  assertEqual(t, source, `${stub.home}/there`);
  for (const [commandStderr, shown] of [
    ['ignore', ''],
    ['inherit', 'open https://box/\u001B[1m to go on\n'],
  ] as const) {
    const text = `import { sync } from '${new URL('../dist/index.js', import.meta.url).pathname}';
await sync('${source}', 'ssh://box/~/api', { rsh: '${work}/talks', commandStderr: '${commandStderr}' });`;
    const ended = await start(t, process.execPath, ['--input-type=module', '-e', text], { env: user.env }).ended;
    t.deepEqual([ended.code, ended.stderr], [0, shown], commandStderr);
  }
});

test('an upload of the other end that is not taken ends the call', async (t) => {
  const work = workDir(t);
  const command = ['sh', '-c', 'echo "SPSY-NEED Linux $(uname -m)"; exec sleep 1000'];
  const error = await failure(
    t,
    sync(dir(work, 'source'), { command, path: 'x' }, { bootstrap: true, connectTimeoutMs: 500 }),
    ConnectionError,
  );
  t.is(error.code, 'ERR_SPARSYNC_TIMEOUT');
  t.regex(error.message, /took nothing of sparsync-remote within 0.5 seconds/);
});

test('Ctrl-C that reaches the other end too leaves no half of a file', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const source = dir(work, 'source');
  for (let i = 0; i < 40; i += 1) writeFileSync(`${source}/file${i}`, randomBytes(300_000));
  const there = `${work}/there`;
  writeFileSync(`${work}/enter`, `#!/bin/sh\nshift 2\necho $$ >'${work}/pid'\nexec '${remote}' "$@"\n`, {
    mode: 0o755,
  });
  const args = ['-a', '--bwlimit=1000', '-e', `${work}/enter`, `${source}/`, `box:${there}/`];
  const running = start(t, 'setsid', [process.execPath, program, ...args], { env: user.env });
  const halves = (): string[] => (existsSync(there) ? names(there).filter((name) => name.endsWith('.tmp')) : []);
  await until('a file under way', () => halves().length > 0 || running.over());
  const pid = Number(readFileSync(`${work}/pid`, 'utf8'));
  process.kill(-running.pid, 'SIGINT');
  const ended = await running.ended;
  t.is(ended.code, exit.aborted, ended.stderr);
  await until('the other end to end', () => !isAlive(pid));
  t.deepEqual(halves(), []);
});

test('the other end says what it is, and refuses what it does not know', async (t) => {
  const work = workDir(t);
  const run = (...args: string[]) => start(t, remote, args).ended;
  t.regex((await run('--version')).stdout, /^sparsync-remote \d+\.\d+\.\d+\n$/);
  t.regex((await run('--help')).stdout, /--append-only/);
  for (const [args, said] of [
    [[], /--stdio is missing/],
    [['--no-quic'], /--stdio is missing/],
    [['--stdio', '--root', `${work}/none`], /cannot be opened/],
    [['--stdio', '--read-only'], /need --root/],
    [['--stdio', '--root=/', '--read-only', '--append-only'], /cannot be combined/],
    [['--stdio', '--root=/', '--root=/tmp'], /once/],
    [['--server', '.'], /unknown argument --server/],
    // Its standard input is no pipe.
    [['--stdio'], /pipe or socket/],
  ] as const) {
    const ended = await run(...args);
    t.not(ended.code, 0);
    t.regex(ended.stderr, said, args.join(' '));
  }
});
