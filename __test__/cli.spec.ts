import { execFileSync, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { NotFoundError, sync } from '../dist/index.js';

import { cli, exit, quietly } from './helpers/cli.js';
import { assertEqual, judged, rsync } from './helpers/judge.js';
import { type RunOptions, start } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { startServer } from './helpers/server.js';
import { rejection, scaled, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree, TreeMaker } from './helpers/tree.js';
import { urlAt } from './helpers/url.js';
import { names, touched, walk } from './helpers/walk.js';

/** A copy by another tool, with everything. */
function copy(from: string, to: string): void {
  execFileSync('cp', ['-a', '--', from, to]);
}

judged('it is silent when all is well: first run, no change, edits, deletes, a pull', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 3, files: 10 });
  symlinkSync('dir0000', `${source}/link`);
  await quietly(t, user, ['-a', `${source}/`, url('tree')]);
  assertEqual(t, source, `${served}/tree`, { wholeSeconds: true });
  const before = walk(`${served}/tree`);
  await quietly(t, user, ['-a', '--delete', `${source}/`, url('tree')]);
  t.deepEqual(touched(before, walk(`${served}/tree`)), [], 'a run without a change wrote');
  rmSync(`${source}/dir0001/file00001`);
  appendFileSync(`${source}/dir0001/file00002`, 'more');
  await quietly(t, user, ['-a', '--delete', `${source}/`, url('tree')]);
  assertEqual(t, source, `${served}/tree`, { wholeSeconds: true });
  await quietly(t, user, ['-a', url('tree/'), `${work}/copy`]);
  assertEqual(t, source, `${work}/copy`, { wholeSeconds: true });
  await quietly(t, user, ['-a', `${source}/`, `${work}/local`]);
  assertEqual(t, source, `${work}/local`, { wholeSeconds: true });
});

test('--help begins with the four commands of a newcomer, --version is the version', async (t) => {
  const user = client(workDir(t));
  const help = await cli(t, user, ['--help']);
  t.is(help.code, 0);
  t.is(help.stderr, '');
  const lines = help.stdout.split('\n');
  for (const line of lines.slice(0, 4)) t.regex(line, /^\s*sparsync /);
  t.true(lines.slice(0, 4).some((line) => line.includes('sparsync serve')));
  t.true(lines.slice(0, 4).some((line) => line.includes('sparsync://')));
  for (const flag of ['-a', '-r', '-l', '-p', '-t', '-g', '-o', '-v', '-q', '-n', '-c', '-u', '-P']) {
    t.regex(help.stdout, new RegExp(`(^|[\\s,])${flag}\\b`, 'm'), flag);
  }
  for (const flag of ['--delete', '--max-delete', '--progress', '--stats', '--json', '--allow-mass-delete']) {
    t.true(help.stdout.includes(flag), flag);
  }
  for (const verb of ['serve', 'keys', 'trust', 'verify', 'doctor']) {
    t.true(help.stdout.includes(verb), verb);
    const own = await cli(t, user, [verb, '--help']);
    t.is(own.code, 0, verb);
    t.true(own.stdout.includes(`sparsync ${verb}`), verb);
  }
  const version = await cli(t, user, ['--version']);
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  t.true(
    manifest.includes(
      `"version": "${/^sparsync {2}version (\S+) {2}protocol version 1$/m.exec(version.stdout)?.[1] ?? ''}"`,
    ),
  );
  const json = await cli(t, user, ['-VV']);
  t.is((JSON.parse(json.stdout) as { program: string }).program, 'sparsync');
});

test('a mistake on the command line is exit code 1 and a word on stderr, and nothing is done', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 1, files: 2 });
  const mistakes: ReadonlyArray<readonly [readonly string[], RegExp]> = [
    [['-a', '--delet', `${source}/`, url('tree')], /--delet\b.*--delete\b/s],
    [['-a', '--max-delete=many', '--delete', `${source}/`, url('tree')], /max-delete/],
    [['-a', '--durability=always', `${source}/`, url('tree')], /durability/],
    [['-a'], /DEST|destination/i],
    [['-a', url('a'), url('b')], /server|local/],
    [['-a', `${source}/`, 'sparsync://127.0.0.1'], /names no root/],
  ];
  for (const [args, message] of mistakes) {
    const ran = await cli(t, user, args);
    t.is(ran.code, exit.usage, args.join(' '));
    t.regex(ran.stderr, message, args.join(' '));
    t.is(ran.stdout, '', args.join(' '));
    t.notRegex(ran.stderr, /\n\s+at /, 'no stack of a program is shown for a mistake of its user');
  }
  t.deepEqual(names(served), []);
});

test('exit codes tell what went wrong', async (t) => {
  const { work, served, url, client: user, server } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 1, files: 2 });
  const missing = await cli(t, user, ['-a', `${work}/missing/`, url('tree')]);
  t.is(missing.code, exit.partial);
  t.regex(missing.stderr, /missing/);
  t.is((await cli(t, user, ['-a', url('missing/'), `${work}/copy`])).code, exit.partial);
  t.is((await cli(t, user, ['-a', `${source}/`, url('no/such/parent')])).code, exit.io);
  t.deepEqual(names(served), []);
  await server.stop('SIGKILL');
  const gone = await cli(t, user, ['-a', '--contimeout=1', `${source}/`, url('tree')]);
  t.true(gone.code === exit.connect || gone.code === exit.connectTimeout, `${gone.code}: ${gone.stderr}`);
  t.regex(gone.stderr, /127\.0\.0\.1/);
  // rsync has another number for a connection that is not made in time than for a run that stalls.
  const silent = createSocket('udp4').bind(0, '127.0.0.1');
  await once(silent, 'listening');
  t.teardown(() => silent.close());
  const silence = urlAt(`127.0.0.1:${silent.address().port}`, 'root', 'tree');
  const unanswered = await cli(t, user, ['-a', '--contimeout=1', `${source}/`, silence]);
  t.is(unanswered.code, exit.connectTimeout, unanswered.stderr);
  t.regex(unanswered.stderr, /no answer[^]*a firewall/);
});

/** A pair of trees that differ in every way that has a letter. */
function pair(work: string): { readonly source: string; readonly old: string } {
  const source = dir(work, 'source');
  plainTree(source, { directories: 4, files: 4 });
  writeFileSync(`${source}/same`, 'same');
  symlinkSync('same', `${source}/link`);
  symlinkSync('same', `${source}/link-same`);
  const old = `${work}/old`;
  copy(source, old);
  // Updates.
  writeFileSync(`${source}/dir0000/file00000`, 'another length');
  writeFileSync(`${source}/dir0000/file00001`, readFileSync(`${source}/dir0000/file00001`, 'utf8').toUpperCase());
  utimesSync(`${source}/dir0000/file00001`, 1e9, 1e9);
  chmodSync(`${source}/dir0000/file00002`, 0o600);
  utimesSync(`${source}/dir0000/file00003`, 1e9, 1e9);
  rmSync(`${source}/link`);
  symlinkSync('dir0000', `${source}/link`);
  chmodSync(`${source}/dir0002`, 0o700);
  utimesSync(`${source}/dir0003`, 1e9, 1e9);
  // Creations and deletions.
  mkdirSync(`${source}/new/below`, { recursive: true });
  writeFileSync(`${source}/new/below/file`, 'x');
  symlinkSync('nowhere', `${source}/new/link`);
  mkdirSync(`${source}/new/empty`);
  mkdirSync(`${old}/gone/below`, { recursive: true });
  writeFileSync(`${old}/gone/below/file`, 'x');
  symlinkSync('nowhere', `${old}/gone/link`);
  writeFileSync(`${old}/dir0001/gone`, 'x');
  // Other types.
  rmSync(`${source}/dir0001/file00000`);
  mkdirSync(`${source}/dir0001/file00000`);
  rmSync(`${source}/dir0001/file00001`);
  symlinkSync('x', `${source}/dir0001/file00001`);
  return { source, old };
}

const lines = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .toSorted();

judged('-i lists what rsync lists, with the same letters', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const { source, old } = pair(work);
  copy(old, `${work}/by-rsync`);
  copy(old, `${work}/by-local`);
  copy(old, `${served}/pushed`);
  copy(source, `${served}/origin`);
  copy(old, `${work}/pulled`);
  const said = lines(rsync('-ai', '--delete', `${source}/`, `${work}/by-rsync/`));
  t.true(said.length >= 15, 'the pair is worth a comparison');

  const local = await cli(t, user, ['-ai', '--delete', `${source}/`, `${work}/by-local/`]);
  t.deepEqual([local.code, local.stderr], [0, '']);
  t.deepEqual(lines(local.stdout), said);
  assertEqual(t, source, `${work}/by-local`, { wholeSeconds: true });

  const pull = await cli(t, user, ['-ai', '--delete', url('origin/'), `${work}/pulled/`]);
  t.deepEqual([pull.code, pull.stderr], [0, '']);
  t.deepEqual(lines(pull.stdout), said);

  // Sent content has the other arrow, as in rsync.
  const push = await cli(t, user, ['-ai', '--delete', `${source}/`, url('pushed/')]);
  t.deepEqual([push.code, push.stderr], [0, '']);
  t.deepEqual(lines(push.stdout), lines(said.join('\n').replaceAll(/^>/gm, '<')));
  assertEqual(t, source, `${served}/pushed`, { wholeSeconds: true });
});

judged('-n lists the same and writes nothing', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const { source, old } = pair(work);
  copy(old, `${served}/tree`);
  const [here, there] = [walk(source), walk(served)];
  const planned = await cli(t, user, ['-ain', '--delete', `${source}/`, url('tree/')]);
  t.deepEqual([planned.code, planned.stderr], [0, '']);
  t.deepEqual(touched(there, walk(served)), []);
  t.deepEqual(touched(here, walk(source)), []);
  const fresh = await cli(t, user, ['-ain', `${source}/`, url('new')]);
  t.is(fresh.code, 0);
  t.deepEqual(touched(there, walk(served)), [], 'a dry run made its destination');
  t.deepEqual(
    lines(fresh.stdout).filter((line) => line.includes('f+++')).length,
    [...here.values()].filter(({ kind }) => kind === 'file').length,
  );
  const really = await cli(t, user, ['-ai', '--delete', `${source}/`, url('tree/')]);
  t.deepEqual(lines(planned.stdout), lines(really.stdout));
});

/** Runs rsync and the command on copies of one place, and compares what became of it. */
async function sameAsRsync(
  t: ExecutionContext,
  prepare: (place: string) => void,
  args: readonly string[],
  label: string,
): Promise<void> {
  const work = workDir(t);
  const user = client(work);
  for (const name of ['rsync', 'sparsync']) {
    mkdirSync(`${work}/${name}`);
    prepare(`${work}/${name}`);
  }
  // The times of what is prepared are those of its making; the two makings must not differ by them.
  execFileSync('find', [`${work}/rsync`, `${work}/sparsync`, '-exec', 'touch', '-h', '-d', '@1500000000', '{}', '+']);
  execFileSync('rsync', args, { cwd: `${work}/rsync`, stdio: 'ignore' });
  const ran = await cli(t, user, args, { cwd: `${work}/sparsync` });
  t.is(ran.code, 0, `${label}: ${ran.stderr}`);
  const shape = (root: string): string[] =>
    [...walk(root, { content: true })].map(
      ([path, entry]) => `${path} ${entry.kind} ${entry.mode.toString(8)} ${entry.target ?? ''} ${entry.hash ?? ''}`,
    );
  t.deepEqual(shape(`${work}/sparsync`), shape(`${work}/rsync`), label);
}

judged('the slash at the end means what it means in rsync', async (t) => {
  const prepare = (place: string): void => {
    plainTree(`${place}/src`, { directories: 1, files: 2 });
    writeFileSync(`${place}/file`, 'content');
    mkdirSync(`${place}/existing`);
    writeFileSync(`${place}/existing/there`, 'x');
  };
  for (const source of ['src', 'src/', './src/.', 'src/.', 'file', './file']) {
    for (const destination of ['missing', 'missing/', 'existing', 'existing/', './existing/.']) {
      await sameAsRsync(t, prepare, ['-a', source, destination], `${source} ${destination}`);
    }
  }
  await sameAsRsync(t, prepare, ['-a', 'src', 'file', 'existing'], 'two sources');
  await sameAsRsync(t, prepare, ['-a', 'src/', 'file', 'existing/'], 'content and a file');
});

judged('the slash at the end means the same where one end is a server', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  plainTree(`${work}/src`, { directories: 1, files: 2 });
  mkdirSync(`${served}/existing`);
  await quietly(t, user, ['-a', `${work}/src`, url('existing')]);
  assertEqual(t, `${work}/src`, `${served}/existing/src`, { wholeSeconds: true });
  await quietly(t, user, ['-a', `${work}/src`, url('missing')]);
  assertEqual(t, `${work}/src`, `${served}/missing/src`, { wholeSeconds: true });
  await quietly(t, user, ['-a', `${work}/src/`, url('content/')]);
  assertEqual(t, `${work}/src`, `${served}/content`, { wholeSeconds: true });
  await quietly(t, user, ['-a', url('existing/src'), `${work}/back`]);
  assertEqual(t, `${work}/src`, `${work}/back/src`, { wholeSeconds: true });
  await quietly(t, user, ['-a', url('existing/src/'), `${work}/flat`]);
  assertEqual(t, `${work}/src`, `${work}/flat`, { wholeSeconds: true });
});

judged('without -r directories are skipped, and it says so', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  plainTree(`${work}/src`, { directories: 1, files: 2 });
  writeFileSync(`${work}/file`, 'x');
  for (const args of [[`${work}/src/`], [`${work}/src`], ['-lpt', `${work}/src/`]]) {
    const ran = await cli(t, user, [...args, url('tree')]);
    t.is(ran.code, 0, ran.stderr);
    t.regex(`${ran.stdout}${ran.stderr}`, /skipping directory/);
    t.deepEqual(names(served), [], args.join(' '));
  }
  const mixed = await cli(t, user, [`${work}/file`, url('copy')]);
  t.is(mixed.code, 0, mixed.stderr);
  t.deepEqual(names(served), ['copy']);
});

judged('the command compares whole seconds as rsync does, unless told otherwise', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'content');
  execFileSync('touch', ['-d', '@1500000000.123456789', `${source}/file`]);
  await quietly(t, user, ['-a', `${source}/`, url('tree/')]);
  execFileSync('touch', ['-d', '@1500000000.000000000', `${served}/tree/file`]);
  const loose = await cli(t, user, ['-ai', `${source}/`, url('tree/')]);
  t.notRegex(loose.stdout, /file/);
  const exact = await cli(t, user, ['-ai', '--modify-window=-1', `${source}/`, url('tree/')]);
  t.regex(exact.stdout, /file/);
  assertEqual(t, source, `${served}/tree`, { wholeSeconds: true });
  // The short form was unknown.
  execFileSync('touch', ['-d', '@1500000001', `${served}/tree/file`]);
  const told = async (flag: string): Promise<string> =>
    (await cli(t, user, ['-ni', flag, `${source}/`, url('tree/')])).stdout;
  t.deepEqual(
    [await told('-a@1'), await told('-rlpt@0')].map((said) => said.includes('file')),
    [false, true],
  );
});

judged('-c sees an edit that kept size and time, -u leaves newer files alone', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'content');
  utimesSync(`${source}/file`, 1e9, 1e9);
  await quietly(t, user, ['-a', `${source}/`, url('tree/')]);
  writeFileSync(`${served}/tree/file`, 'CONTENT');
  utimesSync(`${served}/tree/file`, 1e9, 1e9);
  await quietly(t, user, ['-a', '-q', `${source}/`, url('tree/')]);
  t.is(readFileSync(`${served}/tree/file`, 'utf8'), 'CONTENT', 'the test is none if the quick check sees the edit');
  await quietly(t, user, ['-ac', '-q', `${source}/`, url('tree/')]);
  assertEqual(t, source, `${served}/tree`, { wholeSeconds: true });
  writeFileSync(`${served}/tree/file`, 'newer');
  await quietly(t, user, ['-au', '-q', `${source}/`, url('tree/')]);
  t.is(readFileSync(`${served}/tree/file`, 'utf8'), 'newer');
});

judged('--json prints one object a line, from start to summary', async (t) => {
  const { work, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 2, files: 5 });
  writeFileSync(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0xff, 0x0a])]), 'x');
  const ran = await cli(t, user, ['-a', '-i', '--json', `${source}/`, url('tree')]);
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  const records = ran.stdout
    .trimEnd()
    .split('\n')
    .map((line): Record<string, unknown> => JSON.parse(line));
  t.true(records.every((record) => typeof record['type'] === 'string'));
  t.is(records[0]?.['type'], 'start');
  t.is(records.at(-1)?.['type'], 'summary');
  t.is(records.at(-1)?.['exitCode'], 0);
  const items = records.filter(({ type }) => type === 'item');
  t.is(items.filter(({ kind }) => kind === 'file').length, 11);
  t.true(
    items.some(
      ({ pathBytes }) =>
        typeof pathBytes === 'string' && Buffer.from(pathBytes, 'base64').equals(Buffer.from([0xff, 0x0a])),
    ),
    'a name that is not UTF-8 has its bytes beside it',
  );

  const failed = await cli(t, user, ['-a', '--json', `${work}/missing/`, url('tree')]);
  t.is(failed.code, exit.partial);
  const last: Record<string, unknown> = JSON.parse(failed.stdout.trimEnd().split('\n').at(-1) ?? '{}');
  t.is(last['type'], 'error');
  t.is(last['code'], 'ERR_SPARSYNC_NOT_FOUND');
  t.is(last['exitCode'], exit.partial);
});

judged('names from a tree cannot write to the terminal', async (t) => {
  const { work, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  writeFileSync(`${source}/\u001b[31mred\u0007`, 'x');
  writeFileSync(`${source}/two\nlines`, 'x');
  writeFileSync(`${source}/\u202egnp.exe`, 'x');
  writeFileSync(`${source}/\u009b31m`, 'x');
  for (const flag of ['-av', '-ai', '-avi', '-ain']) {
    const ran = await cli(t, user, [flag, `${source}/`, url(`tree${flag}`)]);
    t.is(ran.code, 0, ran.stderr);
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    t.notRegex(ran.stdout + ran.stderr, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/, flag);
    t.notRegex(ran.stdout, /^lines/m, flag);
  }
});

judged('arguments are bytes', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const source = Buffer.concat([Buffer.from(`${work}/src`), Buffer.from([0xff])]);
  mkdirSync(source);
  writeFileSync(Buffer.concat([source, Buffer.from('/file')]), 'x');
  const script = 'exec "$1" "$2" -a "$3/src"$\'\\xff\'/ "$3/dst"$\'\\xfe\'';
  const ran = await start(t, 'bash', ['-c', script, 'bash', process.execPath, program, work], { env: user.env }).ended;
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  t.true(names(work).includes('dst\xfe/file'));
});

judged('a reader that goes away ends it without a fuss', async (t) => {
  const { work, url, client: user } = await setup(t);
  plainTree(`${work}/src`, { directories: 20, files: 200 });
  const script = 'set -o pipefail; "$1" "$2" -av "$3/src/" "$4" | head -n 1; echo "${PIPESTATUS[0]}" >&2';
  const ran = await start(t, 'bash', ['-c', script, 'bash', process.execPath, program, work, url('tree')], {
    env: user.env,
  }).ended;
  t.is(ran.stdout.split('\n').length, 2);
  t.notRegex(ran.stderr, /EPIPE|\n\s+at /);
});

judged('keys, trust, verify and doctor do what they say', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const server = await startServer(t, {
    home: work,
    roots: { root: served },
    allow: [`me ${user.publicKey} allow=read,write,delete,owner`],
  });
  plainTree(`${work}/src`, { directories: 2, files: 5 });
  const keys = await cli(t, user, ['keys']);
  t.is(keys.code, 0);
  t.true(keys.stdout.includes(user.publicKey));

  t.is((await cli(t, user, ['-a', `${work}/src/`, server.url('root', 'tree')])).code, exit.hostKey);
  t.is((await cli(t, user, ['trust', `127.0.0.1:${server.port}`, server.pin])).code, 0);
  await quietly(t, user, ['-a', `${work}/src/`, server.url('root', 'tree')]);
  t.true((await cli(t, user, ['trust', `127.0.0.1:${server.port}`])).stdout.includes(server.pin));

  const before = walk(served);
  const equal = await cli(t, user, ['verify', `${work}/src/`, server.url('root', 'tree')]);
  t.deepEqual([equal.code, equal.stderr], [0, '']);
  writeFileSync(`${work}/src/dir0000/file00003`, 'x');
  const differs = await cli(t, user, ['verify', `${work}/src/`, server.url('root', 'tree')]);
  t.is(differs.code, exit.partial);
  t.regex(differs.stdout, /dir0000\/file00003/);
  t.deepEqual(touched(before, walk(served)), [], 'verify wrote');

  const doctor = await cli(t, user, ['doctor', server.url('root')]);
  t.is(doctor.code, 0, doctor.stderr + doctor.stdout);

  t.is((await cli(t, user, ['trust', 'remove', `127.0.0.1:${server.port}`])).code, 0);
  t.is((await cli(t, user, ['-a', `${work}/src/`, server.url('root', 'tree')])).code, exit.hostKey);
  // For once, by the key on the command line.
  await quietly(t, user, ['-a', '--pin', server.pin, `${work}/src/`, server.url('root', 'tree')]);
});

judged('a verb is one only as the exact first word', async (t) => {
  const work = workDir(t);
  const user = client(work);
  mkdirSync(`${work}/serve`);
  writeFileSync(`${work}/serve/file`, 'x');
  const ran = await cli(t, user, ['-a', 'serve', 'copy'], { cwd: work });
  t.is(ran.code, 0, ran.stderr);
  t.true(existsSync(`${work}/copy/serve/file`));
  const explicit = await cli(t, user, ['-a', './serve/', 'other'], { cwd: work });
  t.is(explicit.code, 0, explicit.stderr);
  t.true(existsSync(`${work}/other/file`));
});

judged('--stats, -v and --progress say on stdout what was done', async (t) => {
  const { work, url, client: user } = await setup(t);
  plainTree(`${work}/src`, { directories: 1, files: 3 });
  const verbose = await cli(t, user, ['-av', `${work}/src/`, url('a')]);
  t.regex(verbose.stdout, /^dir0000\/file00002$/m);
  t.is(verbose.stderr, '');
  const stats = await cli(t, user, ['-a', '--stats', `${work}/src/`, url('b')]);
  t.regex(stats.stdout, /files transferred:\s+3/i);
  const progress = await cli(t, user, ['-aP', `${work}/src/`, url('c')]);
  t.is(progress.code, 0);
  t.regex(progress.stdout, /\(xfr#3, to-chk=/);
  t.is(progress.stderr, '');
});

judged('--stats and -v say what was done of a run that ends with 23 too, as with rsync', async (t) => {
  const { work, client: user } = await setup(t);
  plainTree(`${work}/src`, { directories: 1, files: 3 });
  for (const [words, ours, theirs] of [
    [['-a', '--stats'], /files transferred:\s+3/i, /files transferred: 3/],
    [['-av'], /^sent /m, /^sent /m],
  ] as const) {
    const paths = [...words, `${work}/src/`, `${work}/missing`];
    const ran = await cli(t, user, [...paths, `${work}/ours${words.length}`]);
    t.is(ran.code, exit.partial, ran.stderr);
    t.regex(ran.stdout, ours);
    const judge = spawnSync('rsync', [...paths, `${work}/theirs${words.length}`], { encoding: 'utf8' });
    t.is(judge.status, 23);
    t.regex(judge.stdout, theirs);
  }
});

judged('random trees, by the command, equal to what rsync makes of them', async (t) => {
  t.timeout(600_000);
  t.log(`seed ${seed}`);
  const { work, served, url, client: user } = await setup(t);
  const maker = new TreeMaker(new Random(t.title), 1 << 20);
  maker.generate(`${work}/source`, scaled(150, 1000));
  for (let round = 0; round < scaled(5, 40); round += 1) {
    const ran = await cli(t, user, [
      '-a',
      '--modify-window=-1',
      '--delete',
      '--allow-mass-delete',
      `${work}/source/`,
      url('tree/'),
    ]);
    t.deepEqual([ran.code, ran.stderr], [0, ''], `round ${round}, seed ${seed}`);
    assertEqual(t, `${work}/source`, `${served}/tree`, { label: `round ${round}, seed ${seed}` });
    maker.mutate(`${work}/source`, 8);
    maker.mutate(`${served}/tree`, 8);
  }
});

test('knobs: lanes do what they say, those of other programs are refused with what does it here', async (t) => {
  const { client: user, work, url } = await setup(t);
  // A directory's small files take one lane, and directories take turns.
  plainTree(`${work}/src`, { directories: 8, files: 30, size: 2000 });
  const streams = async (name: string, args: readonly string[], env: RunOptions['env'] = {}): Promise<number> => {
    const ran = await cli(t, user, ['-a', '--json', ...args, `${work}/src/`, url(name)], { env });
    t.is(ran.code, 0, ran.stderr);
    const summary = ran.stdout.trimEnd().split('\n').at(-1) ?? '';
    return (JSON.parse(summary) as { stats: { streamsOpened: number } }).stats.streamsOpened;
  };
  // One stream is the control lane's; how many of the others are used depends on which is idle when a directory comes.
  const within = (count: number, least: number, most: number): void => {
    t.true(count >= least && count <= most, `${count}`);
  };
  within(await streams('two', []), 2, 3);
  within(await streams('one', ['--lanes', '1']), 2, 2);
  within(await streams('four', ['--lanes=4']), 3, 5);
  within(await streams('environment', [], { SPARSYNC_BATCH_WRITE_CONCURRENCY: '1' }), 2, 2);
  within(await streams('said', ['--lanes', '4'], { SPARSYNC_BATCH_WRITE_CONCURRENCY: '1' }), 3, 5);
  const refused = async (args: readonly string[], reason: RegExp, env: RunOptions['env'] = {}): Promise<void> => {
    const ran = await cli(t, user, ['-a', ...args, `${work}/src/`, url('none')], { env });
    t.is(ran.code, exit.usage, args.join(' '));
    t.regex(ran.stderr, reason);
  };
  await refused(['--connections', '2'], /--lanes/);
  await refused(['--parallel-files=8'], /--lanes/);
  await refused(['--chunk-size=1M'], /256 KiB/);
  await refused(['--cold-start'], /automatically/);
  await refused(['--lanes', '0'], /--lanes/);
  await refused(['--lanes', '5'], /lanes/);
  for (const wrong of ['0', '5', 'many']) {
    const env = { SPARSYNC_BATCH_WRITE_CONCURRENCY: wrong };
    await refused([], /SPARSYNC_BATCH_WRITE_CONCURRENCY must be a whole number from 1 to 4/, env);
  }
});

test('--help and the documents list every exit code, ours are above 39', async (t) => {
  const { stdout } = await cli(t, client(workDir(t)), ['--help']);
  const [, listed = ''] = stdout.split('Exit codes: ');
  const codes = [...listed.matchAll(/(?:^|,\s+)(\d+) /g)].map((match) => Number(match[1]));
  const documents = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8');
  const tables = [...documents.matchAll(/^\| `ERR_\w+`\s+\| (\d+) |^\| (\d+)\s+\| /gm)];
  const documented = new Set(tables.map((match) => Number(match[1] ?? match[2])));
  t.deepEqual(
    codes,
    [...documented].toSorted((a, b) => a - b),
  );
  const manual = readFileSync(new URL('../docs/man/sparsync.1', import.meta.url), 'utf8');
  const inManual = [...manual.matchAll(/^\\fB(\d+)\\fR$/gm)].map((match) => Number(match[1]));
  t.deepEqual(inManual, codes);
  const variables = [...stdout.matchAll(/^ {2}(SPARSYNC_\w+)/gm)].map(([, name = '']) => name);
  t.true(variables.length > 5);
  // The name of any setting is no word of its own.
  const asWord = (name: string): string => (name === 'SPARSYNC_NAME' ? 'SPARSYNC_' : name);
  for (const name of variables) t.true(manual.includes(`\\fB${asWord(name)}\\fR`), name);
  const asInRsync = [0, 1, 2, 3, 10, 11, 12, 20, 23, 24, 25, 30, 35];
  for (const code of Object.values(exit)) t.true(codes.includes(code) && (asInRsync.includes(code) || code > 39));
});

test('what an error says fits what happened', async (t) => {
  const { work, url, client: user } = await setup(t);
  const error = await rejection(t, sync(`${work}/none`, `${work}/to`));
  t.true(error instanceof NotFoundError && error.message.includes(`${work}/none`), String(error));
  const missing = await cli(t, user, ['-a', `${work}/none/`, `${work}/to/`]);
  t.is(missing.stderr.split(`${work}/none`).length, 2, missing.stderr);

  const wrongPin = await cli(t, user, ['-a', '--pin', `ed25519:${'A'.repeat(43)}=`, url(), `${work}/to`]);
  t.is(wrongPin.code, exit.hostKeyChanged, wrongPin.stderr);
  t.regex(wrongPin.stderr, /help: .*--pin/);
  t.notRegex(wrongPin.stderr, /trust replace/);

  const unresolved = await cli(t, user, ['-a', 'sparsync://no-such-host.invalid/r', `${work}/to`]);
  t.is(unresolved.code, exit.connect, unresolved.stderr);
  t.regex(unresolved.stderr, /help: is the name of the host spelled right/);
  t.notRegex(unresolved.stderr, /firewall/);
});
