import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';

import test from 'ava';

import { cli, exit } from './helpers/cli.js';
import { make } from './helpers/beside.js';
import { STATES, comparable, figures, logged, makeSource } from './helpers/output-corpus.js';
import { judged } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { client } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

judged('no option that rsync lists is unknown: it does something, or a sentence says why not', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const help = spawnSync('rsync', ['--help'], { encoding: 'utf8' }).stdout;
  const names = [...help.matchAll(/^--([\w-]+)/gm)].map(([, name = '']) => ({ name }));
  t.true(names.length > 130, `${names.length} options`);
  const ours = (await cli(t, user, ['--help'])).stdout;
  const others = names.filter(({ name }) => {
    const bare = name.replace(/^no-/, '');
    return !['inc-recursive', 'i-r', 'debug', 'OPTION'].includes(bare) && !ours.includes(`--${bare}`);
  });
  t.true(others.length > 20, `${others.length} of them`);
  await Promise.all(
    others.map(async ({ name }) => {
      const ended = await cli(t, user, [`--${name}`, `${work}/a`, `${work}/b`]);
      t.notRegex(ended.stderr, /unknown flag/, name);
    }),
  );
  for (const [words, told] of [
    [['--iconv=utf8,latin1'], /--iconv=utf8,latin1 is not supported: names are bytes/],
    [['--cc=md5'], /--checksum-choice must be auto, not "md5": both ends hash content with BLAKE3/],
    [['--crtimes'], /--crtimes is not supported: Linux cannot/],
    [['-aN?9'], /-N is not supported: .*; unknown flag -\?; unknown flag -9/],
    [['-aN?'], /-N is not supported: .*; unknown flag -\?/],
  ] as const) {
    const ended = await cli(t, user, [...words, `${work}/a`, `${work}/b`]);
    t.is(ended.code, exit.usage, words.join(' '));
    t.regex(ended.stderr, told);
  }
});

judged('options that can change nothing are taken, and their values looked at, as rsync does', async (t) => {
  const work = workDir(t);
  const user = client(work);
  makeSource(`${work}/s`);
  const lines =
    `-B8192,--block-size=131072,--block-size=131073,--block-size=x,-sv,--no-s,--protect-args,--old-args,--old-args -s,--trust-sender
    --max-alloc=1G,--max-alloc=0,--max-alloc=1023K,--max-alloc=x,--outbuf=L,--outbuf=none,--outbuf=x,--no-motd,--blocking-io
    --compress-threads=2,--zt=x,--checksum-seed=-1,--checksum-seed=1x,--iconv=.,--iconv=-,--no-iconv,--iconv=utf-8+UTF-8,--cc=auto
    --checksum-choice=auto+auto,--debug=all,--debug=nothing,--stderr=errors,--stderr=c,--stderr=x,--msgs2stderr,--no-msgs2stderr
    --modify-window=100000,--modify-window=-2,--stop-after=999999999999,--bwlimit=0.1,--bwlimit=511b,--bwlimit=0K,--bwlimit=0.0001,--debug=help`.split(
      /[,\n] */,
    );
  for (const line of lines) {
    const words = ['-a', ...line.replace('+', ',').split(' '), 's/'];
    const expected = await start(t, 'rsync', [...words, 'theirs/'], { cwd: work }).ended;
    const found = await cli(t, user, [...words, 'ours/'], { cwd: work });
    t.is(found.code, expected.code, `${line}: ${found.stderr}`);
  }
});

judged('-VV has rsync’s keys, and no capability but those whose options work', async (t) => {
  const work = workDir(t);
  const user = client(work);
  makeSource(`${work}/s`);
  const of = (text: string) => (JSON.parse(text) as { capabilities: Record<string, unknown> }).capabilities;
  const ours = of((await cli(t, user, ['-VV'])).stdout);
  t.deepEqual(Object.keys(ours), Object.keys(of(spawnSync('rsync', ['-VV'], { encoding: 'utf8' }).stdout)));
  for (const [name, words] of [
    ['symlinks', ['-l']],
    ['symtimes', ['-lt']],
    ['hardlinks', ['-H']],
    ['atimes', ['-U']],
    ['batchfiles', ['--only-write-batch=batch']],
    ['inplace', ['--inplace']],
    ['append', ['--append']],
    ['ACLs', ['-A']],
    ['xattrs', ['-X']],
    ['secluded_args', ['-s']],
    ['iconv', ['--iconv=utf8,latin1']],
    ['prealloc', ['--preallocate']],
    ['stop_at', ['--stop-after=60']],
    ['crtimes', ['-N']],
  ] as const) {
    const ended = await cli(t, user, ['-r', ...words, 's/', name], { cwd: work });
    t.is(ended.code === 0, ours[name] !== false, `${name}: ${ended.stderr}`);
  }
});

test('-4, -6, --address and --port choose the way to a server', async (t) => {
  const work = workDir(t);
  const user = client(work);
  makeSource(`${work}/s`);
  const roots = { m: dir(work, 'served') };
  const server = await startServer(t, { home: work, roots, clients: [user], args: ['-v'] });
  const url = server.url('m', 'd/');
  const bare = 'sparsync://127.0.0.1/m/d/';
  for (const transport of ['quic', 'tcp']) {
    const over = async (...words: string[]) =>
      cli(t, user, ['-a', `--transport=${transport}`, ...words], { cwd: work });
    for (const words of [['-4'], ['--ipv4', '--address=127.0.0.1']]) {
      const ran = await over(...words, 's/', url);
      t.is(ran.code, 0, `${words.join(' ')}: ${ran.stderr}`);
    }
    for (const [words, told] of [
      [['-6'], /no address of the family/],
      [['--address=::1'], /no address of the family/],
      [['--address=192.0.2.1'], /annot assign requested address|EADDRNOTAVAIL/],
    ] as const) {
      const ran = await over(...words, 's/', url);
      t.is(ran.code, exit.connect, `${words.join(' ')}: ${ran.stderr}`);
      t.regex(ran.stderr, told);
    }
    const own = await over('--address=127.0.0.2', 's/', url);
    t.is(own.code, 0, own.stderr);
    t.is((await over(`--port=${server.port}`, 's/', bare)).code, 0);
    t.is((await over('--port=70000', 's/', bare)).code, exit.usage);
    t.is((await over('--port=1', 's/', url)).code, 0, 'a port in the URL wins');
  }
  t.is((await cli(t, user, ['-a', '-46', 's/', url], { cwd: work })).code, exit.usage);
  t.is((await cli(t, user, ['-a', '--address=here', 's/', url], { cwd: work })).code, exit.usage);
  await server.stop();
  t.regex(server.stderr(), /127\.0\.0\.2/);
  const shell = '#!/bin/sh\nprintf "%s\\n" "$@" > words\nexit 1\n';
  writeFileSync(`${work}/ssh`, shell, { mode: 0o755 });
  await cli(t, user, ['-a', '-4', '--address=127.0.0.2', '-e', `${work}/ssh`, 's/', 'box:d/'], { cwd: work });
  t.deepEqual(readFileSync(`${work}/words`, 'utf8').split('\n').slice(0, 4), ['-4', '-b', '127.0.0.2', 'box']);
  const other = await cli(t, user, ['-a', '-4', '-e', 'rsh', 's/', 'box:d/'], { cwd: work });
  t.regex(other.stderr, /an address family works with ssh only/);
});

judged('--stderr=all leaves stdout empty, as with rsync', async (t) => {
  const work = workDir(t);
  const user = client(work);
  makeSource(`${work}/s`);
  const env = { LC_ALL: 'C.UTF-8', TZ: 'UTC' };
  const masks = figures();
  for (const options of ['-av', '-ai --stats', '-a --progress', '-8av -n']) {
    const words = [...options.split(' '), '--stderr=all', 's/'];
    const expected = await start(t, 'rsync', [...words, 'theirs/'], { cwd: work, env }).ended;
    const found = await cli(t, user, [...words, 'ours/'], { cwd: work, env });
    t.deepEqual([found.code, found.stdout, expected.stdout], [0, '', ''], options);
    const told = (text: string): string[] => comparable(text.replaceAll('theirs', 'ours'), masks, options);
    t.deepEqual(told(found.stderr), told(expected.stderr), options);
  }
  const json = await cli(t, user, ['-a', '--json', '--stderr=all', 's/', 'ours/'], { cwd: work });
  t.regex(json.stdout, /"type":"summary"/);
});

judged('a list is rsync’s list, of folders here and on a server', async (t) => {
  const work = workDir(t);
  const user = client(work);
  makeSource(`${work}/s`);
  mkdirSync(`${work}/s/pipe`);
  writeFileSync(`${work}/s/pipe/1234567`, Buffer.alloc(1_234_567));
  symlinkSync('nowhere', `${work}/s/pipe/dangling`);
  const env = { LC_ALL: 'C.UTF-8', TZ: 'UTC' };
  const masks = figures();
  for (const options of ['--list-only', '-r', '-rv', '-al --list-only', '-rh', '-r --no-h', '-d', '-r --exclude=d']) {
    for (const source of ['s/', 's', 's/a', 's/d']) {
      const words = [...options.split(' '), source];
      const theirs = await start(t, 'rsync', words, { cwd: work, env }).ended;
      const ours = await cli(t, user, words, { cwd: work, env });
      t.is(ours.code, theirs.code, `${words.join(' ')}: ${ours.stderr}`);
      const told = ({ stdout }: { stdout: string }): string[] => comparable(stdout, masks, options);
      t.deepEqual(told(ours), told(theirs), words.join(' '));
    }
  }
  const server = await startServer(t, { home: work, roots: { m: work }, clients: [user], rights: 'read' });
  const theirs = await start(t, 'rsync', ['-al', 's/'], { cwd: work, env }).ended;
  const ours = await cli(t, user, ['-al', server.url('m', 's/')], { env });
  // Sizes of directories are not told.
  const files = (text: string): string[] => text.split('\n').filter((line) => !line.startsWith('d'));
  t.deepEqual(files(ours.stdout), files(theirs.stdout));
});

judged('the exit code is rsync’s', async (t) => {
  const work = workDir(t);
  const user = client(work);
  for (const words of [
    ['-a', 's/', 'd'],
    ['-a', 's/', 'no/such/place/'],
    ['-a', 's/', 'file'],
    ['-a', 's/', 'file/'],
    ['-a', 's/a', 's/d', 'file'],
    ['-a', 'nothing', 'd'],
    ['-a', 'nothing', 's/a', 'd'],
    ['-a', '--files-from=nothing', 's', 'd'],
    ['-a', '--exclude-from=nothing', 's/', 'd'],
    ['-a', '--no-such-flag', 's/', 'd'],
    ['-a', '--info=nothing', 's/', 'd'],
    ['-a', '--max-size=x', 's/', 'd'],
    ['--delete', 's/', 'd'],
    ['-a', '--delete', '--max-delete=0', 's/', 'full'],
  ]) {
    const env = { SPARSYNC_GUARDS: 'off' };
    const name = `${words.join('').replaceAll(/\W/g, '')}${words.join('').length}`;
    const [theirs, ours] = [dir(work, `by-rsync-${name}`), dir(work, `by-us-${name}`)];
    for (const place of [theirs, ours]) {
      makeSource(`${place}/s`);
      writeFileSync(`${place}/file`, '');
      mkdirSync(`${place}/full/sub`, { recursive: true });
    }
    const expected = await start(t, 'rsync', words, { cwd: theirs, env }).ended;
    const found = await cli(t, user, words, { cwd: ours, env });
    t.is(found.code, expected.code, `${words.join(' ')}: ${found.stderr} | ${expected.stderr}`);
  }
});

judged('--log-file has what is said besides, as rsync has it, and errors in our own words', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const masks = figures();
  for (const [at, options] of [
    '-avv',
    '-avvi',
    '-avvu --max-size=20 --safe-links',
    '-av --existing --ignore-existing --info=skip',
    '-dlv',
    '-a --stats',
    '-avn',
    '-aq',
    '-av --remove-source-files --info=remove',
    '-avb --info=backup --delete-before',
  ].entries()) {
    for (const who of ['theirs', 'ours']) {
      const base = dir(work, `${who}${at}`);
      makeSource(`${base}/s`);
      STATES.changed(`${base}/s`, `${base}/d`);
      if (!options.includes('--existing')) spawnSync('mkfifo', [`${base}/s/fifo`]);
      writeFileSync(`${base}/d/extra`, 'x');
    }
    const words = [...options.split(' '), '--no-specials', '--log-file=log', 's/', 'd/'];
    const expected = await start(t, 'rsync', words, { cwd: `${work}/theirs${at}` }).ended;
    const env = { SPARSYNC_GUARDS: 'off' };
    const found = await cli(t, user, words, { cwd: `${work}/ours${at}`, env });
    t.is(found.code, expected.code, `${options}: ${found.stderr}`);
    const [ours, theirs] = ['ours', 'theirs'].map((who) => {
      const text = logged(`${work}/${who}${at}/log`).map((line) => line.replace(/^(sent|total size is) .*$/, '$1'));
      return comparable(text.join('\n'), masks, options).toSorted();
    });
    t.deepEqual(ours, theirs, options);
  }
  const base = make(`${work}/wrong`, { 's/a': 'a', 's/blocked': 'x', 'd/blocked/full': 'y' });
  const partly = await cli(t, user, ['-a', '--log-file=log', 's/', 'd/'], { cwd: base, env: { FORCE_COLOR: '1' } });
  t.is(partly.code, exit.partial);
  const told = logged(`${base}/log`);
  t.regex(told.find((line) => line.startsWith('blocked: ')) ?? '', /not empty/);
  const [sent = -1, end] = [/^sent /, /^error\[ERR_SPARSYNC_PARTIAL\]: /].map((line) =>
    told.findIndex((each) => line.test(each)),
  );
  t.true(sent !== -1 && end === told.length - 2, `what the run ended with comes last, as in rsync: ${told.join('\n')}`);
  t.is(told.at(-1), '  help: correct what is named above and run it again');
  const quiet = await cli(t, user, ['-aq', '--log-file=log2', 'none/', 'd/'], { cwd: base });
  t.is(quiet.code, exit.partial);
  t.regex(logged(`${base}/log2`).join('\n'), /^error\[/m);
});

judged('%C is there as in rsync with -c: the digest of what a file holds, and blanks for what is none', async (t) => {
  const work = workDir(t);
  const user = client(work);
  for (const who of ['theirs', 'ours']) {
    const base = dir(work, who);
    makeSource(`${base}/s`);
    STATES.changed(`${base}/s`, `${base}/d`);
  }
  writeFileSync(`${work}/ours/s/a`, 'abc');
  writeFileSync(`${work}/theirs/s/a`, 'abc');
  const words = ['-acii', '--out-format=[%C] %n', 's/', 'd/'];
  const expected = await start(t, 'rsync', words, { cwd: `${work}/theirs` }).ended;
  const found = await cli(t, user, words, { cwd: `${work}/ours` });
  t.is(found.code, exit.ok, found.stderr);
  const shape = (text: string): string[] =>
    text
      .replaceAll(/\[[0-9a-f]+\]/g, '[digest]')
      .replaceAll(/\[ +\]/g, '[]')
      .split('\n');
  t.deepEqual(shape(found.stdout), shape(expected.stdout));
  // The digest of these three bytes as the reference of BLAKE3 has it.
  t.regex(found.stdout, /^\[6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\] a$/m);
  const unread = await cli(t, user, ['-a', '--out-format=[%-70C]%n', 's/', 'other/'], { cwd: `${work}/ours` });
  t.regex(unread.stdout, /^\[ {70}\]a$/m, 'without -c no digest is made ahead');
});

test('-M takes for the other side what one role alone looks at, and says why it does not take the rest', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(work, { 's/a': 'a' });
  dir(served, 'tmp');
  const pushed = await cli(t, user, ['-a', '-M--temp-dir=/tmp', '-M-K', '-M--no-super', `${work}/s/`, url('d/')]);
  t.is(pushed.code, exit.ok, pushed.stderr);
  // The directory is looked for where the receiver is.
  const missing = await cli(t, user, ['-a', '-M--temp-dir=/none', `${work}/s/`, url('e/')]);
  t.regex(missing.stderr, /tempDir: .* \(\/none\) \[on the server\]/);
  const pulled = await cli(t, user, ['-a', '-M--bwlimit=100m', '-M--fake-super', url('d/'), `${work}/back`]);
  t.is(pulled.code, exit.ok, pulled.stderr);
  for (const [words, message] of [
    [['-M--super', url('d/'), `${work}/back`], /does not take --super: only a receiver looks at it/],
    [['-M--bwlimit=1m', `${work}/s/`, url('d/')], /does not take --bwlimit: only a sender looks at it/],
    [['-M--delete', `${work}/s/`, url('d/')], /does not take --delete: it is not an option of one side alone/],
    [['-M-Kz', `${work}/s/`, url('d/')], /does not take --compress/],
    [['-M--log-file=x', `${work}/s/`, url('d/')], /a server writes a log of its own/],
    [['-M--crtimes', `${work}/s/`, url('d/')], /--crtimes is not supported: Linux/],
    [['-M--nonsense', `${work}/s/`, url('d/')], /unknown flag --nonsense/],
    [['-Msuper', `${work}/s/`, url('d/')], /begins with a dash/],
    [['-M--super', `${work}/s/`, `${work}/here/`], /needs a remote side/],
  ] as const) {
    const ended = await cli(t, user, ['-a', ...words]);
    t.is(ended.code, exit.usage, words.join(' '));
    t.regex(ended.stderr, message);
  }
});

test('--log-file has a line for each change, with the time', async (t) => {
  const work = workDir(t);
  const user = client(work);
  makeSource(`${work}/s`);
  const ran = await cli(t, user, ['-a', '--log-file=log', 's/', 'd'], { cwd: work });
  t.deepEqual([ran.code, ran.stdout, ran.stderr], [0, '', '']);
  const lines = readFileSync(`${work}/log`, 'utf8').trimEnd().split('\n');
  t.true(
    lines.every((line) => /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d \[\d+\] ./.test(line)),
    lines.join('\n'),
  );
  const told = lines.map((line) => line.replace(/^.*?\] /, ''));
  t.is(told[0], 'building file list');
  t.true(told.includes('cL+++++++++ link -> a') && told.includes('cd+++++++++ d-1/'));
  t.regex(told.at(-1) ?? '', /^sent \d+ bytes {2}received \d+ bytes {2}total size 70173$/);
  const lost = await cli(t, user, ['-a', '--log-file=no/such/log', 's/', 'other'], { cwd: work });
  t.is(lost.code, exit.output);
  t.regex(lost.stderr, /cannot write the log/);
});
