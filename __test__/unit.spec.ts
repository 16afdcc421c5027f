// The server as a service of systemd: the unit by systemd's own judgement, what it is told, the secrets that it hands over.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

import test, { type ExecutionContext, type SerialFn, type SkipFn } from 'ava';

import { issueCredential } from '../dist/index.js';
import { cli, exit, quietly, startCli } from './helpers/cli.js';
import { start, until } from './helpers/process.js';
import { client, type Client, program } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { hasStrace, straced } from './helpers/strace.js';
import { dir, workDir } from './helpers/temp.js';

/** What systemd says of units, where it is installed; a test that needs it is left out by name elsewhere. */
const bySystemd: SerialFn | SkipFn =
  spawnSync('systemd-analyze', ['--version']).error === undefined ? test.serial : test.serial.skip;

/** The unit that the command prints for some flags, and what stands behind a name in it. */
async function unit(t: ExecutionContext, ...flags: readonly string[]) {
  const ended = await cli(t, client(workDir(t)), ['serve', ...flags, '--print-unit']);
  t.is(ended.code, exit.ok, ended.stderr);
  const values = (name: string): string[] =>
    ended.stdout
      .split('\n')
      .filter((line) => line.startsWith(`${name}=`))
      .map((line) => line.slice(name.length + 1));
  return { text: ended.stdout, values };
}

/** Units for what a server may be, and the worst exposure that systemd may find, in tenths. */
const UNITS: readonly (readonly [string, number, readonly string[]])[] = [
  ['as root', 30, ['--root', 'r=/srv/r']],
  ['with a key elsewhere', 30, ['--root', 'r=/srv/r', '--identity', '/etc/sparsync/key.pem']],
  ['with the key handed over', 21, ['--root', 'r=/srv/r', '--read-only', '--identity', '/etc/sparsync/key.pem']],
  ['with clients elsewhere', 30, ['--root', 'r=/srv/r', '--authorized-keys', '/etc/sparsync/authorized_keys']],
  ['in the home folders', 31, ['--root', 'r=/home/r', '--log-file', '/var/log/s/log']],
  ['read-only', 21, ['--root', 'r=/srv/r', '--read-only']],
  ['of what is temporary', 30, ['--root', 'r=/tmp/r:1', '--log-file', '/var/tmp/s/log']],
  ['in its own folder', 18, ['--root', 'r=/var/lib/sparsync/r']],
];

test('a unit runs the same command with the rights that it needs', async (t) => {
  const work = workDir(t);
  const args = ['--root', 'r=/srv/a b', '--listen', '[::]:28792', '--exclude', '50%'];
  const { values } = await unit(t, ...args);
  t.deepEqual(values('Type'), ['notify']);
  t.deepEqual(values('ExecReload'), ['/bin/kill -HUP $MAINPID']);
  t.deepEqual(values('ProtectSystem'), ['strict']);
  t.deepEqual(values('ReadWritePaths'), ['"/srv/a b"']);
  t.deepEqual(values('RequiresMountsFor'), ['"/srv/a b"'], 'it does not begin on the disk below');
  t.deepEqual(values('DynamicUser'), []);
  t.regex(values('ExecStart')[0] ?? '', /serve --root "r=.*\/a b" --listen \[::\]:28792 --exclude "50%%"$/);
  await unit(t, ...args, '--log-file', `${work}/log`, '--profile', `${work}/profile`);
  t.false(existsSync(`${work}/log`) || existsSync(`${work}/profile`), 'nothing else is done');
  for (const identity of [['--identity', '/etc/key.pem'], ['--identity=/etc/key.pem']]) {
    // Root reads the file itself, so that it learns of the key that is to follow. Others have it handed over.
    const keyed = await unit(t, ...identity, '--root', 'r=/srv/r', '--no-tcp');
    t.deepEqual([keyed.values('LoadCredential'), keyed.values('ReadWritePaths')], [[], ['/srv/r']]);
    t.regex(keyed.values('ExecStart')[0] ?? '', /serve --root r=\/srv\/r --no-tcp --identity \/etc\/key\.pem$/);
    const handed = await unit(t, ...identity, '--root', 'r=/srv/r', '--read-only');
    t.deepEqual(handed.values('LoadCredential'), ['sparsync-key:/etc/key.pem']);
    t.regex(handed.values('ExecStart')[0] ?? '', /serve --root r=\/srv\/r --read-only$/);
    for (const { text } of [keyed, handed])
      t.regex(text, /^# .* SPARSYNC_CONFIG_DIR=\/var\/lib\/sparsync sparsync invite .* --identity '\/etc\/key\.pem'$/m);
  }
  const clients = await unit(t, '--root', 'r=/srv/r', '--authorized-keys', '/etc/s/keys', '--read-only');
  t.deepEqual(clients.values('ReadWritePaths'), ['/etc/s'], 'who joins is written there');
  t.deepEqual([clients.values('ReadOnlyPaths'), clients.values('DynamicUser')], [['/srv/r'], []]);
  const reads = await unit(t, '--root', 'r=/srv/r', '--read-only');
  t.deepEqual(reads.values('DynamicUser'), ['yes']);
  t.deepEqual(reads.values('ReadOnlyPaths'), ['/srv/r']);
  const own = await unit(t, '--root', 'r=/var/lib/sparsync/r');
  t.deepEqual([own.values('DynamicUser'), own.values('ReadWritePaths')], [['yes'], []]);
  const relative = await unit(t, '--root', 'r=served', '--log-file', '/var/log/s/log');
  t.regex(relative.values('WorkingDirectory')[0] ?? '', /^\//, 'relative paths mean what they mean here');
  t.deepEqual(own.values('WorkingDirectory'), []);
  const temporary = await unit(t, '--root', 'r=/tmp/a:b', '--root', 'o=/srv/r', '--log-file', '/var/tmp/s/log');
  t.deepEqual(temporary.values('BindPaths'), [String.raw`"/tmp/a\\:b"`, '/var/tmp/s'], 'a /tmp of its own is empty');
  t.deepEqual([temporary.values('PrivateTmp'), temporary.values('ReadWritePaths')], [['yes'], ['/srv/r']]);
  t.deepEqual((await unit(t, '--root', 'r=/tmp/r', '--read-only')).values('BindReadOnlyPaths'), ['/tmp/r']);
});

for (const [name, most, flags] of UNITS) {
  bySystemd(
    `systemd finds nothing wrong with a unit ${name}, nor too many rights (needs systemd-analyze)`,
    async (t) => {
      const file = `${workDir(t)}/sparsync.service`;
      writeFileSync(file, (await unit(t, ...flags)).text);
      const analyze = (...words: readonly string[]) =>
        spawnSync('systemd-analyze', ['--no-pager', ...words, file], { encoding: 'utf8' });
      const verified = analyze('verify', '--man=no');
      t.deepEqual([verified.status, verified.stderr.trim()], [0, '']);
      const judged = analyze('security', '--offline=true', `--threshold=${most}`);
      t.is(
        judged.status,
        0,
        judged.stdout
          .split('\n')
          .filter((line) => /✗|→/.test(line))
          .join('\n'),
      );
      t.regex(judged.stdout, /Overall exposure level for sparsync\.service: \d/);
      t.not(analyze('security', '--offline=true', '--threshold=1').status, 0);
    },
  );
}

/** The system calls that a filter of a unit lets through. */
function allowed(filters: readonly string[]): Set<string> {
  const calls = (set: string): string[] => {
    const said = spawnSync('systemd-analyze', ['--no-pager', 'syscall-filter', set], { encoding: 'utf8' }).stdout;
    const words = said
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
    return words
      .filter((word) => word !== '' && !word.startsWith('#'))
      .flatMap((word) => (word.startsWith('@') ? calls(word) : [word]));
  };
  const found = new Set<string>();
  for (const filter of filters) {
    const isDenied = filter.startsWith('~');
    for (const word of filter.replace('~', '').split(' ')) {
      for (const call of word.startsWith('@') ? calls(word) : [word])
        if (isDenied) found.delete(call);
        else found.add(call);
    }
  }
  return found;
}

/** What is let through whatever a filter says. */
const ALWAYS = new Set(['execve', 'exit', 'exit_group', 'rt_sigreturn', 'restart_syscall']);

for (const [name, , flags] of UNITS.filter(([, , words]) => !words.some((word) => word.startsWith('/etc/')))) {
  (hasStrace ? bySystemd : test.skip)(
    `a server makes no system call that its unit forbids ${name} (needs strace and systemd-analyze)`,
    async (t) => {
      const work = workDir(t);
      const [served, user, trace] = [dir(work, 'served'), client(work), `${work}/trace`];
      const filters = (await unit(t, ...flags)).values('SystemCallFilter');
      const isReadOnly = flags.includes('--read-only');
      const server = await startServer(t, {
        home: work,
        roots: { root: served },
        clients: [user],
        args: isReadOnly ? ['--read-only'] : [],
        // strace is the child of what it traces: a signal is for the server.
        under: straced(trace, ['-D', '-qq', '-s', '0']),
        ...(name === 'in its own folder' ? { rights: 'read,write,delete' } : {}),
      });
      mkdirSync(`${work}/source/folder`, { recursive: true });
      writeFileSync(`${work}/source/file`, 'content'.repeat(100_000));
      if (isReadOnly) writeFileSync(`${served}/there`, 'there');
      const ends = isReadOnly ? [server.url('root'), `${work}/back`] : [`${work}/source/`, server.url('root')];
      await cli(t, user, ['-rlt', ...ends]);
      await server.stop();
      const made = new Set(
        [...readFileSync(trace, 'latin1').matchAll(/^\d+ +([a-z_0-9]+)\(/gm)].map(([, call = '']) => call),
      );
      t.true(made.size > 30);
      const lets = allowed(filters);
      t.true(lets.size > 100);
      t.deepEqual(
        [...made].filter((call) => !lets.has(call) && !ALWAYS.has(call)),
        [],
      );
    },
  );
}

/** Listens as a system manager does, and prints what it is told, a line for each. */
const MANAGER = `use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, sockaddr_un($ARGV[0])) or die $!;
$| = 1; print "ready\\n"; while (defined recv(S, $m, 4096, 0)) { $m =~ s/\\n/ /g; print "$m\\n" }`;

const hasPerl = spawnSync('perl', ['-v']).error === undefined;

(hasPerl ? test : test.skip)('a manager hears when it listens, reloads and stops (needs perl)', async (t) => {
  const work = workDir(t);
  const [user, socket] = [client(work), `${work}/notify`];
  const manager = start(t, 'perl', ['-e', MANAGER, socket]);
  await until('the manager', () => manager.stdout() === 'ready\n');
  const heard = (): string[] =>
    manager
      .stdout()
      .split('\n')
      .slice(1, -1)
      .map((line) => line.replace(/\d{2,}/, 'N'));
  const server = startCli(
    t,
    user,
    ['serve', '--root', `r=${dir(work, 'r')}`, '--listen', '127.0.0.1:0', '--log-file', `${work}/log`, '--anonymous'],
    { env: { NOTIFY_SOCKET: socket } },
  );
  await until('it to listen', () => heard().length === 1);
  t.deepEqual(heard(), ['READY=1']);
  renameSync(`${work}/log`, `${work}/log.1`);
  server.kill('SIGHUP');
  await until('the reload', () => heard().length === 3);
  t.deepEqual(heard().slice(1), ['RELOADING=1 MONOTONIC_USEC=N', 'READY=1']);
  t.true(existsSync(`${work}/log`), 'it is done when that is said');
  server.kill('SIGTERM');
  t.is((await server.ended).code, exit.ok);
  t.deepEqual(heard().slice(3), ['STOPPING=1']);
});

test('keys and credentials come from systemd, and nothing of them is written', async (t) => {
  const work = workDir(t);
  const [served, source] = [dir(work, 'served'), dir(work, 'source')];
  writeFileSync(`${source}/file`, 'content');
  const { keyPath, publicKey } = client(work, 'secret');
  const handed = dir(work, 'credentials');
  writeFileSync(`${handed}/sparsync-key`, readFileSync(keyPath), { mode: 0o400 });
  const env = { CREDENTIALS_DIRECTORY: handed };
  const server = await startServer(t, { home: work, roots: { root: served }, env });
  t.is(server.pin, publicKey);
  t.false(existsSync(`${server.configDir}/key.pem`));

  const { credential } = await issueCredential('ci', `127.0.0.1:${server.port}`, {
    authorizedKeysPath: `${server.configDir}/authorized_keys`,
    keyPath,
  });
  const [jobs, home] = [dir(work, 'job'), dir(work, 'empty')];
  writeFileSync(`${jobs}/sparsync-credential`, `${credential}\n`, { mode: 0o400 });
  const job: Client = { ...client(work, 'job'), env: { SPARSYNC_CONFIG_DIR: home, SPARSYNC_STATE_DIR: home } };
  const push = ['-rt', `${source}/`, `${server.url('root')}/`];
  await quietly(t, job, push, { env: { CREDENTIALS_DIRECTORY: jobs } });
  t.is(readFileSync(`${served}/file`, 'utf8'), 'content');
  t.false(existsSync(`${home}/key.pem`));
  t.is((await cli(t, job, push, { env: { CREDENTIALS_DIRECTORY: home } })).code, exit.hostKey);
  const bad = await start(t, process.execPath, [program, 'doctor'], {
    env: { ...job.env, CREDENTIALS_DIRECTORY: handed },
  }).ended;
  t.true(bad.stdout.includes(`${publicKey} (${handed}/sparsync-key)`), bad.stdout);
});
