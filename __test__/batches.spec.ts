// Batches: --write-batch keeps what a run sends, --read-batch sends it to other destinations.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';

import test from 'ava';

import { ConfigError, PartialSyncError, SparsyncError, connect, sync } from '../dist/index.js';
import { copied, make, shape } from './helpers/beside.js';
import { cli, exit } from './helpers/cli.js';
import { judged, judgedWhere, rsync } from './helpers/judge.js';
import { start, until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { stubShell } from './helpers/remote.js';
import { RichTree } from './helpers/rich-tree.js';
import { startServer } from './helpers/server.js';
import { canMount, failure, isRoot, mountTmpfs, setup } from './helpers/setup.js';
import { workDir } from './helpers/temp.js';

/** What rsync would still do to make one tree equal to the other. */
const difference = (from: string, to: string): string =>
  rsync('-aHAXinc', '--delete', '--omit-dir-times', `${from}/`, `${to}/`);

const ALL = ['-aHAX', '--delete', '--force'];

const CHOICES: readonly (readonly string[])[] = [
  ALL,
  [...ALL, '--exclude=a', '--filter=P *.o'],
  [...ALL, '--exclude=/b', '--delete-excluded'],
  [...ALL, '--sparse', '--checksum'],
  [...ALL, '--numeric-ids', '--prune-empty-dirs'],
  ['-rlptD', '--chmod=go-w', '--max-size=4500'],
];

judgedWhere(isRoot)('a batch makes of equal destinations what the run and rsync made of the first', async (t) => {
  const random = new Random(t.title);
  for (const [number, flags] of CHOICES.entries()) {
    const work = workDir(t);
    // What differs from rsync without -H, -A and owners is told in docs/rsync.md.
    const all = flags.includes('-aHAX');
    const riches = {
      owned: true,
      setId: all,
      links: all,
      symlinks: true,
      leadsUp: true,
      acls: all,
      xattrs: true,
      replaced: true,
    };
    const socket = `${work}/socket`;
    spawnSync('mkfifo', [socket]);
    new RichTree(`${work}/src`, random, { ...riches, socket }).grow();
    rsync('-aHAX', `${work}/src/`, `${work}/one/`);
    new RichTree(`${work}/one`, random, { ...riches, links: false, socket }).change();
    for (const name of ['two', 'judge']) copied(`${work}/one`, `${work}/${name}`);
    // Without a slash the source itself arrives.
    const source = number % 2 === 0 ? 'src/' : 'src';
    const env = { SPARSYNC_GUARDS: 'off' };
    const wrote = await cli(t, client(work), [...flags, '--write-batch=B', source, 'one/'], { cwd: work, env });
    t.is(wrote.code, exit.ok, `${flags.join(' ')}: ${wrote.stderr}`);
    const repeated = flags.filter((flag) => !/^--(?:exclude|filter)=/.test(flag));
    const read = await cli(t, client(work), [...repeated, '--read-batch=B', 'two/'], { cwd: work, env });
    t.is(read.code, exit.ok, `${flags.join(' ')}: ${read.stderr}`);
    spawnSync('rsync', [...flags, source, 'judge/'], { cwd: work });
    t.is(difference(`${work}/one`, `${work}/two`), '', flags.join(' '));
    t.is(difference(`${work}/judge`, `${work}/two`), '', flags.join(' '));
    const again = await cli(t, client(work), [...repeated, '-i', '--read-batch=B', 'two/'], { cwd: work, env });
    t.deepEqual([again.code, again.stdout], [exit.ok, ''], flags.join(' '));
  }
});

/** Two equal destinations of a source. */
function model(at: string): string {
  make(at, {
    's/d/new': 'new',
    's/changed': 'changed',
    's/same@1500000000': 'same',
    's/link': '-> changed',
    's/large': 'x'.repeat(3_000_000),
    'one/changed@1500000000': 'old',
    'one/same@1500000000': 'same',
    'one/gone/x': 'gone',
  });
  copied(`${at}/one`, `${at}/two`);
  return at;
}

judged('only a batch is written, and the script beside it applies it', async (t) => {
  const work = model(workDir(t));
  const before = shape(`${work}/one`);
  const env = { SPARSYNC_GUARDS: 'off' };
  const wrote = await cli(t, client(work), ['-av', '--delete', "--only-write-batch=it's", 's/', 'one/'], {
    cwd: work,
    env,
  });
  t.is(wrote.code, exit.ok, wrote.stderr);
  t.regex(wrote.stdout, /^deleting gone\/x$/m);
  t.regex(wrote.stdout, / \(BATCH ONLY\)\n$/);
  t.deepEqual(shape(`${work}/one`), before);
  t.is(statSync(`${work}/it's`).mode & 0o777, 0o600);
  mkdirSync(`${work}/bin`);
  writeFileSync(`${work}/bin/sparsync`, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
  chmodSync(`${work}/bin/sparsync`, 0o755);
  const { env: own } = client(work);
  const path = `${work}/bin:${process.env['PATH'] ?? ''}`;
  const ran = spawnSync('sh', ["./it's.sh", 'two/'], {
    cwd: work,
    encoding: 'utf8',
    env: { ...process.env, ...own, ...env, PATH: path },
  });
  t.is(ran.status, exit.ok, ran.stderr);
  t.regex(ran.stdout, /^receiving incremental file list\n/);
  t.is(difference(`${work}/s`, `${work}/two`), '');
});

test('a batch whose run fails leaves nothing beside it', async (t) => {
  const work = model(workDir(t));
  for (const flag of ['--write-batch=batch', '--only-write-batch=batch']) {
    const ran = await cli(t, client(work), ['-a', flag, 's/', 'none/none/'], { cwd: work });
    t.is(ran.code, exit.io, ran.stderr);
    t.deepEqual(
      readdirSync(work).filter((name) => name.startsWith('batch')),
      [],
    );
  }
});

judged('the script beside a batch says nothing of how the other end was reached', async (t) => {
  const work = model(workDir(t));
  const { shell, env } = stubShell(work);
  for (const flag of ['--rsync-path', '--remote-path']) {
    const words = [
      '-a',
      '-e',
      shell,
      `${flag}=sparsync-remote`,
      '--only-write-batch=B',
      `${work}/s/`,
      `box:${work}/one/`,
    ];
    const wrote = await cli(t, client(work), words, { cwd: work, env });
    t.is(wrote.code, exit.ok, wrote.stderr);
    const script = readFileSync(`${work}/B.sh`, 'utf8');
    t.regex(script, /'--read-batch=B'|--read-batch=B/);
    t.notRegex(script, /rsh|-path/, flag);
  }
});

judged('a push writes a batch of what it sends, and a pull refuses to', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  model(work);
  copied(`${work}/one`, `${served}/one`);
  copied(`${work}/one`, `${work}/three`);
  for (const [flag, name] of [
    ['--only-write-batch=B', 'two'],
    ['--write-batch=B', 'three'],
  ] as const) {
    const before = shape(`${served}/one`);
    const env = { SPARSYNC_GUARDS: 'off' };
    const wrote = await cli(t, user, ['-a', '--delete', flag, 's/', url('one/')], { cwd: work, env });
    t.deepEqual([wrote.code, wrote.stdout], [exit.ok, ''], wrote.stderr);
    if (name === 'two') t.deepEqual(shape(`${served}/one`), before);
    const read = await cli(t, user, ['-a', '--delete', '--read-batch=B', `${name}/`], { cwd: work, env });
    t.is(read.code, exit.ok, read.stderr);
    t.is(difference(`${work}/s`, `${work}/${name}`), '');
    rmSync(`${work}/B`);
    rmSync(`${work}/B.sh`);
  }
  t.is(difference(`${work}/s`, `${served}/one`), '');
  const pulled = await cli(t, user, ['-a', '--write-batch=B', url('one/'), 'two/'], { cwd: work });
  t.deepEqual([pulled.code, existsSync(`${work}/B`), existsSync(`${work}/B.sh`)], [exit.usage, false, false]);
  t.regex(pulled.stderr, /writeBatch needs a source on this machine/);
});

judged('a batch is sent to a server as it is applied here, and as rsync would have made that', async (t) => {
  const { work, served, url, server, client: user, access } = await setup(t);
  model(work);
  for (const [at, flags] of [
    ['-aH', '--delete'],
    ['-a', '--exclude=d', '-b'],
    ['-rlptc', '--chmod=go-w'],
  ].entries()) {
    for (const name of [`${served}/${at}`, `${work}/first${at}`, `${work}/judge${at}`]) copied(`${work}/one`, name);
    const env = { SPARSYNC_GUARDS: 'off' };
    const wrote = await cli(t, user, [...flags, '--write-batch=B', 's/', `first${at}/`], { cwd: work, env });
    t.is(wrote.code, exit.ok, wrote.stderr);
    const repeated = flags.filter((flag) => !/^--(?:exclude|chmod)=/.test(flag));
    const sent = await cli(t, user, [...repeated, '-i', '--read-batch=B', url(`${at}/`)], { cwd: work, env });
    t.is(sent.code, exit.ok, sent.stderr);
    spawnSync('rsync', [...flags, 's/', `judge${at}/`], { cwd: work });
    t.is(difference(`${work}/judge${at}`, `${served}/${at}`), '', flags.join(' '));
    const again = await cli(t, user, [...repeated, '-i', '--read-batch=B', url(`${at}/`)], { cwd: work, env });
    t.deepEqual([again.code, again.stdout], [exit.ok, ''], flags.join(' '));
  }
  const connection = await connect(url(), access);
  t.teardown(() => connection.close());
  const before = shape(served);
  const whole = readFileSync(`${work}/B`);
  writeFileSync(`${work}/cut`, whole.subarray(0, whole.length - 1));
  const cut = await failure(t, connection.push([], 'new', { readBatch: `${work}/cut` }), ConfigError);
  t.is(cut.details['reason'], 'cut');
  t.deepEqual(shape(served), before, 'a batch is looked at whole before the server is asked');
  // What the first destination had was not sent.
  const partly = await failure(t, connection.push([], 'new', { readBatch: `${work}/B` }), PartialSyncError);
  t.deepEqual(
    partly.result.failures.map(({ path, side }) => [path, side]),
    [['same', 'local']],
  );
  t.is(readFileSync(`${served}/new/changed`, 'utf8'), 'changed');
  const guest = client(work, 'guest');
  guest.trust(server.port, server.pin);
  const refused = await cli(t, guest, ['-a', '--read-batch=B', url('new/')], { cwd: work });
  t.is(refused.code, exit.unauthorized, refused.stderr);
});

test('a batch comes through standard input, whatever that is, and through a pipe', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  model(work);
  const writeBatch = `${work}/B`;
  await sync(`${work}/s`, `${work}/one`, { writeBatch });
  spawnSync('mkfifo', [`${work}/fifo`]);
  const words = `'${process.execPath}' '${program}' -a`;
  const places = ['piped', 'redirected', 'behind', 'named', 'socket'];
  for (const place of places) copied(`${work}/two`, `${work}/${place}`);
  copied(`${work}/two`, `${served}/sent`);
  for (const [label, script, place] of [
    ['a pipe', `cat B | ${words} --read-batch=- piped/`, 'piped'],
    ['a file', `${words} --read-batch=- redirected/ < B`, 'redirected'],
    ['what is behind a line', `(echo first; cat B) | (read line; exec ${words} --read-batch=- behind/)`, 'behind'],
    ['a named pipe', `cat B > fifo & ${words} --read-batch=fifo named/`, 'named'],
    ['a pipe to a server', `cat B | ${words} --read-batch=- '${url('sent/')}'`, undefined],
  ] as const) {
    const ran = await start(t, 'sh', ['-c', script], { cwd: work, env: user.env }).ended;
    t.is(ran.code, exit.ok, `${label}: ${ran.stderr}`);
    const made = place === undefined ? `${served}/sent` : `${work}/${place}`;
    t.is(readFileSync(`${made}/changed`, 'utf8'), 'changed', label);
  }
  // Node gives a child a socket.
  const { env } = user;
  const input = readFileSync(writeBatch);
  const args = [program, '-a', '--read-batch=-', 'socket/'];
  const ran = spawnSync(process.execPath, args, {
    cwd: work,
    input,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  t.is(ran.status, exit.ok, ran.stderr);
  t.is(readFileSync(`${work}/socket/changed`, 'utf8'), 'changed');
  const cut = `head -c ${input.length - 1} B | ${words} --read-batch=- two/`;
  const before = shape(`${work}/two`);
  const refused = await start(t, 'sh', ['-c', cut], { cwd: work, env }).ended;
  t.is(refused.code, exit.usage);
  t.regex(refused.stderr, /\/dev\/stdin: at byte \d+: the batch is cut short/);
  t.deepEqual(shape(`${work}/two`), before);
  const held = start(t, 'sh', ['-c', `exec ${words} --read-batch=fifo two/`], { cwd: work, env });
  await until('the pipe is open', () => isOpen(held.pid, `${work}/fifo`) || held.over());
  held.kill('SIGINT');
  t.is((await held.ended).code, exit.aborted, 'nobody has to write into a pipe for its reader to end');
});

/** Whether a process has this file open. */
function isOpen(pid: number, path: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === path;
    } catch {
      return false;
    }
  });
}

judged('what the paths of a list are, and under which they arrive, the batch says', async (t) => {
  const work = model(workDir(t));
  writeFileSync(`${work}/list`, 'd/new\nsame\n');
  for (const [flags, source, repeated] of [
    [['-a', '--files-from=list'], 's/', ['-a']],
    [['-aR'], 's/d', ['-aR']],
    [['-aL'], 's/', ['-r']],
  ] as const) {
    for (const name of ['first', 'second', 'judge']) copied(`${work}/one`, `${work}/${name}`);
    const wrote = await cli(t, client(work), [...flags, '--write-batch=B', source, 'first/'], { cwd: work });
    t.is(wrote.code, exit.ok, wrote.stderr);
    const read = await cli(t, client(work), [...repeated, '--read-batch=B', 'second/'], { cwd: work });
    t.is(read.code, exit.ok, read.stderr);
    spawnSync('rsync', [...flags, source, 'judge/'], { cwd: work });
    t.is(difference(`${work}/judge`, `${work}/second`), '', flags.join(' '));
    for (const name of ['first', 'second', 'judge']) rmSync(`${work}/${name}`, { recursive: true });
  }
});

judgedWhere(canMount)('a push that is counted first writes the batch of what it does then', async (t) => {
  const work = model(workDir(t));
  // Less is free there than the file system of the source could hold.
  t.true(mountTmpfs(t, `${work}/served`, 'size=20m'));
  const user = client(work);
  const server = await startServer(t, { home: work, roots: { root: `${work}/served` }, clients: [user] });
  copied(`${work}/one`, `${work}/served/one`);
  const words = ['-a', '--write-batch=B', 's/', server.url('root', 'one/')];
  const wrote = await cli(t, user, words, { cwd: work });
  t.is(wrote.code, exit.ok, wrote.stderr);
  const read = await cli(t, user, ['-a', '--read-batch=B', 'two/'], { cwd: work });
  t.is(read.code, exit.ok, read.stderr);
  t.is(difference(`${work}/served/one`, `${work}/two`), '');
});

test('what is deleted at a destination the run says that reads the batch', async (t) => {
  const work = model(workDir(t));
  const [writeBatch, readBatch] = [`${work}/B`, `${work}/B`];
  for (const name of ['one', 'two']) writeFileSync(`${work}/${name}/lost`, 'lost');
  const sources = [`${work}/s/d`, `${work}/s/lost`];
  const options = { into: true, missingSources: 'delete', allowMassDelete: true } as const;
  await sync(sources, `${work}/one`, { ...options, writeBatch });
  t.false(existsSync(`${work}/one/lost`));
  await sync([], `${work}/two`, { readBatch });
  t.deepEqual([existsSync(`${work}/two/lost`), existsSync(`${work}/two/d/new`)], [true, true]);
  await sync([], `${work}/two`, { ...options, readBatch });
  t.false(existsSync(`${work}/two/lost`));
  const rules = { filter: ['- /same'], delete: true, deleteExcluded: true, allowMassDelete: true } as const;
  await sync(`${work}/s`, `${work}/one`, { ...rules, writeBatch });
  writeFileSync(`${work}/two/same`, 'kept');
  const refused = await failure(t, sync([], `${work}/two`, { delete: true, readBatch }), ConfigError);
  t.regex(refused.message, /written with deleteExcluded/);
  t.is(readFileSync(`${work}/two/same`, 'utf8'), 'kept');
});

test('a list of many paths that are not there makes a batch that can be read', async (t) => {
  const work = model(workDir(t));
  const [writeBatch, readBatch] = [`${work}/B`, `${work}/B`];
  const filesFrom = ['d/new', ...Array.from({ length: 30_000 }, (_, at) => `${'x'.repeat(190)}${at}`)];
  await failure(t, sync(`${work}/s`, `${work}/one`, { filesFrom, writeBatch }), SparsyncError);
  await failure(t, sync([], `${work}/two`, { readBatch }), SparsyncError);
  t.is(readFileSync(`${work}/two/d/new`, 'utf8'), 'new');
});

test('a destination that is not as the first one was is told by path, and keeps what it has', async (t) => {
  const work = model(workDir(t));
  const writeBatch = `${work}/B`;
  await sync(`${work}/s`, `${work}/one`, { writeBatch });
  writeFileSync(`${work}/two/same`, 'other');
  const { result } = await failure(t, sync([], `${work}/two`, { readBatch: writeBatch }), PartialSyncError);
  t.deepEqual(
    result.failures.map(({ path, code }) => [path, code]),
    [['same', 'unreadable']],
  );
  t.regex(result.failures[0]?.message ?? '', /not in the batch/);
  t.is(readFileSync(`${work}/two/same`, 'utf8'), 'other');
  t.is(readFileSync(`${work}/two/changed`, 'utf8'), 'changed');
  t.true(existsSync(`${work}/two/gone`), 'nothing was to be deleted');
});

test('a batch that is not as it was written is refused by file and byte, and nothing is lost', async (t) => {
  const work = model(workDir(t));
  const file = `${work}/B`;
  await sync(`${work}/s`, `${work}/one`, { delete: true, allowMassDelete: true, writeBatch: file });
  const whole = readFileSync(file);
  const before = shape(`${work}/two`);
  const options = { delete: true, allowMassDelete: true, readBatch: file };
  const refused = async (content: Uint8Array, label: string): Promise<ConfigError> => {
    writeFileSync(file, content);
    const error = await failure(t, sync([], `${work}/two`, options), ConfigError, label);
    t.deepEqual([error.path, typeof error.details['offset']], [file, 'number'], label);
    t.regex(error.message, /B: at byte \d+: /, label);
    t.deepEqual(shape(`${work}/two`), before, label);
    return error;
  };
  const random = new Random(t.title);
  for (let round = 0; round < 12; round += 1) {
    const length = random.below(whole.length);
    await refused(whole.subarray(0, length), `cut at ${length}`);
  }
  await refused(Buffer.concat([whole, Buffer.from('x')]), 'longer');
  t.is((await refused(Buffer.from('text'.repeat(9)), 'text')).details['reason'], 'format');
  const newer = Buffer.from(whole);
  newer[15] = 9;
  t.is((await refused(newer, 'newer')).details['reason'], 'version');
  const content = whole.indexOf('x'.repeat(64));
  for (let round = 0; round < 12; round += 1) {
    const edited = Buffer.from(whole);
    const at = 16 + random.below(200);
    edited[at] = (edited[at] ?? 0) ^ (1 << random.below(8));
    await refused(edited, `a bit of byte ${at}`);
  }
  const torn = Buffer.from(whole);
  torn[content + 1000] = 0;
  writeFileSync(file, torn);
  const { result } = await failure(t, sync([], `${work}/two`, options), PartialSyncError);
  t.deepEqual(
    result.failures.map(({ path }) => path),
    ['large'],
  );
  t.false(existsSync(`${work}/two/large`));
  t.is(readFileSync(`${work}/two/changed`, 'utf8'), 'changed');
});

test('what cannot be a run with a batch is refused before anything is written', async (t) => {
  const work = model(workDir(t));
  const writeBatch = `${work}/B`;
  const refused = async (source: string | [], options: object, message: RegExp): Promise<void> => {
    const error = await failure(t, sync(source, `${work}/one`, options), ConfigError);
    t.regex(error.message, message);
  };
  const before = shape(`${work}/one`);
  await refused(
    `${work}/s`,
    { writeBatch, removeSourceFiles: true },
    /writeBatch and removeSourceFiles cannot be combined/,
  );
  await refused(`${work}/s`, { writeBatch, retry: 3 }, /writeBatch and retry cannot be combined/);
  await refused(`${work}/s`, { writeBatch, readBatch: writeBatch }, /writeBatch and readBatch cannot be combined/);
  await refused(`${work}/s`, { readBatch: writeBatch }, /give an empty list/);
  await refused([], { readBatch: writeBatch, filter: ['- a'] }, /readBatch and filter cannot be combined/);
  await refused([], {}, /source is an empty list/);
  t.deepEqual(shape(`${work}/one`), before);
  await sync(`${work}/s`, `${work}/one`, { writeBatch, dryRun: true });
  t.deepEqual(shape(`${work}/one`), before);
  t.deepEqual(
    readdirSync(work).filter((name) => name.startsWith('B')),
    [],
    'a dry run writes no batch',
  );
  await failure(t, sync(`${work}/s`, `${work}/one`, { writeBatch: `${work}/none/B` }), Error);
  t.deepEqual(shape(`${work}/one`), before);
  const words = ['-a', '--read-batch=B', 's/', 'one/'];
  const two = await cli(t, client(work), words, { cwd: work });
  t.is(two.code, exit.usage);
  t.regex(two.stderr, /--read-batch takes DEST alone/);
});

test('the batch of a single file makes one that may have another name', async (t) => {
  const work = make(workDir(t), { 's/a': 'a' });
  await sync(`${work}/s/a`, `${work}/named`, { writeBatch: `${work}/B` });
  await sync([], `${work}/other`, { readBatch: `${work}/B` });
  t.is(readFileSync(`${work}/other`, 'utf8'), 'a');
});
