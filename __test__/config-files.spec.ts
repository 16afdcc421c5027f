// Settings in files: where they are, which one counts, what a file of a working directory may not say, and that what is
// not understood is refused by file, line and key.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { cli, exit, quietly } from './helpers/cli.js';
import type { Ended } from './helpers/process.js';
import { start, until } from './helpers/process.js';
import { type Client, client, program } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { canMount, isRoot } from './helpers/setup.js';
import { hasStrace, straced } from './helpers/strace.js';
import { dir, workDir } from './helpers/temp.js';

interface Desk {
  readonly work: string;
  readonly user: Client;
  /** A working directory. */
  readonly cwd: string;
  readonly source: string;
  readonly files: (user: string | undefined, project?: string) => void;
  readonly run: (args: readonly string[], env?: Record<string, string>) => Promise<Ended>;
  /** The names that a sync with these words brings. */
  readonly synced: (args: readonly string[], env?: Record<string, string>) => Promise<string[]>;
}

function desk(t: ExecutionContext): Desk {
  const work = workDir(t);
  const user = client(work);
  const [cwd, source] = [dir(work, 'cwd'), dir(work, 'source')];
  for (const name of ['a.o', 'b.c', 'c.tmp']) writeFileSync(`${source}/${name}`, name);
  let runs = 0;
  const place = (path: string, text: string | undefined): void => {
    rmSync(path, { force: true, recursive: true });
    if (text !== undefined) writeFileSync(path, text);
  };
  const run: Desk['run'] = (args, env = {}) => cli(t, user, args, { cwd, env });
  return {
    work,
    user,
    cwd,
    source,
    run,
    files: (own, project) => {
      place(`${user.configDir}/sparsync.toml`, own);
      place(`${cwd}/sparsync.toml`, project);
    },
    synced: async (args, env) => {
      const target = `${work}/target${(runs += 1)}`;
      const ended = await run([...args, `${source}/`, `${target}/`], env);
      t.is(ended.code, exit.ok, ended.stderr);
      return existsSync(target) ? readdirSync(target).toSorted() : [];
    },
  };
}

test('a file says what the command line leaves out, a nearer one first, and lists are one', async (t) => {
  const { files, synced } = desk(t);
  t.deepEqual(await synced(['-a']), ['a.o', 'b.c', 'c.tmp']);
  files('[sync]\narchive = true\nexclude = ["*.o"]\n');
  t.deepEqual(await synced([]), ['b.c', 'c.tmp']);
  t.deepEqual(await synced(['--exclude=*.c']), ['c.tmp'], 'a list of both');
  t.deepEqual(await synced(['--include=*.o']), ['a.o', 'b.c', 'c.tmp'], 'the command line is looked at first');
  t.deepEqual(await synced(['--no-exclude']), ['a.o', 'b.c', 'c.tmp'], 'a list is taken back');
  files('[sync]\narchive = true\nexclude = ["*.o"]\n', '[sync]\nexclude = "*.tmp"\n');
  t.deepEqual(await synced([]), ['b.c']);
  files('[sync]\narchive = true\nexclude = ["*.o"]\n', '[sync]\nexclude = []\n');
  t.deepEqual(await synced([]), ['a.o', 'b.c', 'c.tmp'], 'a nearer file takes back as well');
  t.deepEqual(await synced(['-a', '--no-config']), ['a.o', 'b.c', 'c.tmp']);
  t.deepEqual(await synced(['-a'], { SPARSYNC_CONFIG: 'none' }), ['a.o', 'b.c', 'c.tmp']);
});

test('a named file takes the place of all others', async (t) => {
  const { work, files, synced, run } = desk(t);
  files('[sync]\nexclude = ["*.o"]\n', '[sync]\nexclude = "*.tmp"\n');
  writeFileSync(`${work}/other.toml`, '[sync]\nexclude = "*.c"\n');
  t.deepEqual(await synced(['-a', `--config=${work}/other.toml`]), ['a.o', 'c.tmp']);
  t.deepEqual(await synced(['-a'], { SPARSYNC_CONFIG: `${work}/other.toml` }), ['a.o', 'c.tmp']);
  const missing = await run(['-a', '--config', `${work}/none.toml`, `${work}/source/`, `${work}/x/`]);
  t.is(missing.code, exit.usage, 'a file that was named has to be there');
  t.regex(missing.stderr, /none\.toml: ENOENT/);
});

test('what is implied gives way to what is said, whatever stands first', async (t) => {
  const { files, run, source, work } = desk(t);
  chmodSync(`${source}/a.o`, 0o666);
  files('[sync]\nperms = false\narchive = true\n');
  t.is((await run([`${source}/`, `${work}/one/`])).code, exit.ok);
  t.is((await run(['-a', `${source}/`, `${work}/two/`])).code, exit.ok);
  const mode = (path: string): string => spawnSync('stat', ['-c', '%a', path], { encoding: 'utf8' }).stdout.trim();
  t.is(mode(`${work}/one/a.o`), '644', 'perms = false beside archive = true');
  t.is(mode(`${work}/two/a.o`), '666', '-a of the command line comes before the file');
});

test('a guard is lifted by a file of this user, unless the environment or the command line says otherwise', async (t) => {
  const { files, run, work, source } = desk(t);
  const target = `${work}/target`;
  const deleting = async (args: readonly string[], env?: Record<string, string>): Promise<number | null> => {
    rmSync(target, { recursive: true, force: true });
    mkdirSync(target);
    for (let index = 0; index < 200; index += 1) writeFileSync(`${target}/old${index}`, '');
    return (await run(['-a', '--delete', ...args, `${source}/`, `${target}/`], env)).code;
  };
  t.is(await deleting([]), exit.deleteRefused);
  files('[sync]\nallow-mass-delete = true\n');
  t.is(await deleting([]), exit.ok);
  t.is(await deleting(['--no-allow-mass-delete']), exit.deleteRefused);
  t.is(await deleting([], { SPARSYNC_GUARDS: 'on' }), exit.deleteRefused);
  files(undefined, '[sync]\nallow-mass-delete = true\n');
  t.is(await deleting([]), exit.usage, 'not by one of a working directory');
});

test('of flags that cannot be combined the one on the command line counts', async (t) => {
  const { files, synced } = desk(t);
  files('[sync]\narchive = true\ndelete-before = true\n');
  t.deepEqual(await synced(['--delete-after']), ['a.o', 'b.c', 'c.tmp']);
});

test('a file of a working directory starts nothing, trusts nobody, and has no say in what is deleted', async (t) => {
  const { work, files, run, source } = desk(t);
  const words = ['-a', `${source}/`, `${work}/target/`];
  for (const [text, line] of [
    ['[connection]\nrsh = "touch x"\n', 2],
    ['[connection]\npin = "ed25519:x"\n', 2],
    ['[server]\nroot = { x = "/" }\n', 2],
    ['[sync]\nverbose = true\ndelete = true\n', 3],
    ['[sync]\ncopy-links = true\n', 2],
    ['[sync]\nexclude-from = "/etc/shadow"\n', 2],
    ['[sync]\nlog-file = "x"\n', 2],
    ['[sync]\nremove-source-files = true\n', 2],
    ['[verify]\nfiles-from = "x"\n', 2],
  ] as const) {
    files(undefined, text);
    // What a verb does not have is another one's, except here.
    const ended = await run(text.startsWith('[verify]') ? ['verify', ...words.slice(1)] : words);
    t.is(ended.code, exit.usage, text);
    t.true(ended.stderr.includes(`./sparsync.toml, line ${line}: `), ended.stderr);
  }
  t.false(existsSync(`${work}/target`));
  files('[sync]\ndelete-excluded = true\n', '[sync]\nexclude = "*"\n');
  const deleting = await run(words);
  t.is(deleting.code, exit.usage);
  t.regex(deleting.stderr, /exclude in a working directory cannot be combined with --delete-excluded/);
  // Nothing at all is read where it says nothing.
  files(undefined, '[server]\nroot = { x = "/" }\n');
  const served = await run(['keys']);
  t.is(served.code, exit.ok, served.stderr);
});

(isRoot ? test : test.skip)(
  "what somebody else can write in a working directory is not read, and one's own file is refused then",
  async (t) => {
    const { files, synced, run, cwd, user } = desk(t);
    files(undefined, '[sync]\nexclude = "*.o"\n');
    t.deepEqual(await synced(['-a']), ['b.c', 'c.tmp']);
    chmodSync(`${cwd}/sparsync.toml`, 0o664);
    t.deepEqual(await synced(['-a']), ['a.o', 'b.c', 'c.tmp']);
    chmodSync(`${cwd}/sparsync.toml`, 0o644);
    chownSync(`${cwd}/sparsync.toml`, 65_534, 65_534);
    t.deepEqual(await synced(['-a']), ['a.o', 'b.c', 'c.tmp']);
    t.regex((await run(['-an', '.', './x'])).stderr, /belongs to another user/);
    // Nor does it stop anybody.
    chmodSync(`${cwd}/sparsync.toml`, 0o600);
    writeFileSync(`${cwd}/sparsync.toml`, Buffer.alloc((1 << 20) + 1, 0x0a));
    t.deepEqual(await synced(['-a']), ['a.o', 'b.c', 'c.tmp']);
    files('[sync]\n');
    chmodSync(`${user.configDir}/sparsync.toml`, 0o664);
    t.is((await run(['-an', '.', './x'])).code, exit.usage);
  },
);

test('what is no file of settings is not waited for; in a working directory it is passed over, else refused', async (t) => {
  const { files, run, cwd, work, user } = desk(t);
  const words = ['-an', `${work}/source/`, `${work}/x/`];
  const [project, own] = [`${cwd}/sparsync.toml`, `${user.configDir}/sparsync.toml`];
  for (const [make, what] of [
    [(path: string) => spawnSync('mkfifo', [path]), 'a FIFO'],
    [(path: string) => mkdirSync(path), 'a directory'],
    [(path: string) => symlinkSync('nowhere', path), 'a symlink that leads nowhere'],
    [(path: string) => symlinkSync('/dev/zero', path), 'a symlink to a device'],
  ] as const) {
    files(undefined);
    make(project);
    const ended = await run(words);
    t.is(ended.code, exit.ok, `${what}: ${ended.stderr}`);
    t.regex(ended.stderr, /\.\/sparsync\.toml is not read/, what);
  }
  files(undefined);
  t.is(spawnSync('mkfifo', [own]).status, 0);
  t.regex((await run(words)).stderr, /not a regular file/);
  files(undefined);
  for (const [bytes, message] of [
    [Buffer.from([0xff]), /not UTF-8/],
    [Buffer.alloc((1 << 20) + 1, 0x0a), /more than 1048576 bytes/],
  ] as const) {
    writeFileSync(project, bytes);
    t.regex((await run(words)).stderr, message);
  }
  t.is((await run(['--help'])).code, exit.ok);
});

test('what is not understood is refused by file, line and key, with the nearest name', async (t) => {
  const { files, run, user, work } = desk(t);
  const path = `${user.configDir}/sparsync.toml`;
  for (const [text, message] of [
    ['[sync]\n\nexlude = "x"\n', 'line 3: unknown exlude; did you mean exclude?'],
    ['[snyc]\n', 'line 1: unknown table [snyc]; did you mean sync?'],
    ['retry = 3\n', 'line 1: retry is outside of every table'],
    ['[sync]\nretry = "3"\n', 'line 2: retry must be a whole number'],
    ['[sync]\ndelete = 1\n', 'line 2: delete must be true or false'],
    ['[sync]\nretry = [1]\n', 'line 2: retry must be a whole number'],
    ['[sync]\ncompress = "alwys"\n', 'line 2: compress must be one of "auto", "always", "never"'],
    ['[sync]\nbwlimit = 1.5\n', 'line 2: bwlimit must be a number of bytes'],
    ['[sync]\nrsh = "x"\n', 'line 2: rsh belongs in [connection], not in [sync]'],
    ['[sync]\nhelp = true\n', 'line 2: unknown help'],
    ['[sync]\nexclude = "x\n', 'line 2: '],
    ['[sync]\ndelete = true\ndelete = true\n', 'line 3: '],
    ['[connection]\npassword = "x"\n', 'line 2: password: a settings file cannot hold secrets'],
    ['[connection]\nidentity = "-----BEGIN PRIVATE KEY-----"\n', 'line 2: identity is a secret'],
    ['[sync.delete]\nx = 1\n', 'line 1: delete must be true or false'],
    ['[[sync]]\n', 'line 1: sync must be a table'],
    ['[sync]\nexclude = "a\\u0000"\n', 'line 2: exclude has a NUL byte'],
  ] as const) {
    files(text);
    const ended = await run(['-an', `${work}/source/`, `${work}/x/`]);
    t.is(ended.code, exit.usage, text);
    t.true(ended.stderr.includes(`${path}, ${message}`), `${text}: ${ended.stderr}`);
    t.false(ended.stderr.includes('PRIVATE KEY'), 'a secret is not repeated');
  }
  files('[sync]\nbwlimit = "x"\n');
  const later = await run(['-an', `${work}/source/`, `${work}/x/`]);
  t.true(later.stderr.includes(path), `what is found later names the files: ${later.stderr}`);
});

(canMount ? test : test.skip)('a file of the machine comes last', async (t) => {
  const { work, user, cwd, source, files } = desk(t);
  files('[sync]\nretry = 7\n');
  const etc = dir(work, 'etc');
  const script = `mount -t tmpfs tmpfs ${etc} && cp -a /etc/. ${etc} && mkdir -p ${etc}/sparsync &&
    printf '[sync]\\nretry = 5\\nexclude = ["*.o"]\\n' > ${etc}/sparsync/sparsync.toml && mount --bind ${etc} /etc &&
    "$0" "$1" config show --origin && "$0" "$1" -a ${source}/ ${work}/target/`;
  const ended = await start(t, 'unshare', ['-m', 'sh', '-ec', script, process.execPath, program], {
    cwd,
    env: user.env,
  }).ended;
  t.is(ended.code, 0, ended.stderr);
  t.true(ended.stdout.includes(`retry = 7 # ${user.configDir}/sparsync.toml:2`), ended.stdout);
  t.true(ended.stdout.includes('"*.o", # /etc/sparsync/sparsync.toml:3'), ended.stdout);
  t.deepEqual(readdirSync(`${work}/target`).toSorted(), ['b.c', 'c.tmp']);
});

test('config show says what counts and from where, and what it prints is a file', async (t) => {
  const { files, run, user, work } = desk(t);
  files(
    '[sync]\nlanes = 2\nbwlimit = "1M"\nexclude = ["a\\"b", "\\u202e"]\ndelete = true\n[server]\nroot.x = "/srv/a=b"\n',
    '[sync]\nbwlimit = 7\nexclude = "c"\n',
  );
  const own = `${user.configDir}/sparsync.toml`;
  const shown = await run(['config', 'show', '--origin'], { SPARSYNC_BATCH_WRITE_CONCURRENCY: '3' });
  t.is(
    shown.stdout,
    [
      '[sync]',
      'exclude = [',
      '  "c", # ./sparsync.toml:3',
      `  "a\\"b", # ${own}:4`,
      `  "\\u202e", # ${own}:4`,
      ']',
      `delete = true # ${own}:5`,
      'bwlimit = 7 # ./sparsync.toml:2',
      '# lanes is what SPARSYNC_BATCH_WRITE_CONCURRENCY in the environment says',
      '[server]',
      `root."x" = "/srv/a=b" # ${own}:7`,
      '',
    ].join('\n'),
    shown.stderr,
  );
  const plain = await run(['config', 'show']);
  writeFileSync(`${work}/again.toml`, plain.stdout);
  const again = await run(['config', 'show', `--config=${work}/again.toml`]);
  t.is(again.stdout, plain.stdout, again.stderr);
  const records = (await run(['config', 'show', '--json'])).stdout.trim().split('\n');
  t.deepEqual(JSON.parse(records[0] ?? ''), {
    type: 'setting',
    schema: 1,
    table: 'sync',
    key: 'exclude',
    value: ['c'],
    origin: { kind: 'project', file: './sparsync.toml', line: 3 },
  });
  files('[server]\nrotot = 1\n');
  t.regex((await run(['config', 'show'])).stderr, /line 2: unknown rotot; did you mean root\?/);
  t.is((await run(['config'])).code, exit.usage);
});

test('a server has its settings from a file, and SIGHUP reads it again', async (t) => {
  const work = workDir(t);
  const [served, source, user] = [dir(work, 'served'), dir(work, 'source'), client(work)];
  writeFileSync(`${source}/a`, 'a');
  const path = `${dir(work, 'server.config')}/sparsync.toml`;
  const log = `${work}/server.log`;
  const settings = (more: string): void =>
    writeFileSync(
      path,
      `[server]\nroot.data = "${served}"\nallow = ["me ${user.publicKey} allow=read,write,delete,owner,special"]\nlog-file = "${log}"\n${more}`,
    );
  settings('quiet = true\n');
  const server = await startServer(t, { home: work, roots: {} });
  user.trust(server.port, server.pin);
  await quietly(t, user, ['-a', `${source}/`, server.url('data')]);
  t.is(readFileSync(log, 'utf8'), '');
  settings('log-format = "json"\ndurability = "file"\n');
  server.kill('SIGHUP');
  const logged = (): string => readFileSync(log, 'utf8');
  await until('the settings', () => logged().includes('"type":"reload"'));
  t.regex(logged(), /"type":"reload".*"restart":"durability"/);
  settings(`max-sessions = 1\nlog-format = "json"\n`);
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replace('me ed25519', 'other ed25519').replace(user.publicKey, server.pin),
  );
  server.kill('SIGHUP');
  await until('the other keys', () => logged().split('"type":"reload"').length === 3);
  const refused = await cli(t, user, ['-a', `${source}/`, server.url('data/y')]);
  t.is(refused.code, exit.unauthorized, 'what is allowed is in force at once');
  settings('log-format = "json"\n');
  server.kill('SIGHUP');
  await until('the keys', () => logged().split('"type":"reload"').length === 4);
  settings('log-formt = "text"\n');
  server.kill('SIGHUP');
  await until('the refusal', () => logged().includes('config-unreadable'));
  t.regex(logged(), /line 5: unknown log-formt; did you mean log-format/);
  await quietly(t, user, ['-a', `${source}/`, server.url('data/x')]);
  await until('the session', () => logged().includes('"type":"session"'));
});

(hasStrace ? test : test.skip)('a run without any file looks once for each place and opens none', async (t) => {
  const { work, user, cwd, source } = desk(t);
  const trace = `${work}/trace`;
  const [strace = '', ...options] = straced(trace, ['-e', 'trace=file']);
  const words = [...options, process.execPath, program, '-a', `${source}/`, `${work}/target/`];
  const ended = await start(t, strace, words, { env: user.env, cwd }).ended;
  t.is(ended.code, 0, ended.stderr);
  const looks = readFileSync(trace, 'latin1')
    .split('\n')
    .filter((line) => line.includes('sparsync.toml'));
  t.is(looks.length, 3, looks.join('\n'));
});
