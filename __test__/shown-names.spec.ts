import { existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { make } from './helpers/beside.js';
import { cli } from './helpers/cli.js';
import { judged } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** Names that rsync shows in a way of its own. */
const NAMES = [
  bytes('new\nline'),
  bytes('esc\x1b[1m'),
  bytes('tab\there'),
  bytes('back\\slash'),
  bytes('like\\#012'),
  bytes('like\\#12'),
  bytes('like\\#9999'),
  bytes('latin\xe9'),
  bytes('cut\xe2\x82'),
  bytes('mixed\xff\xc3\xa9'),
  bytes('surrogate\xed\xa0\x80'),
  Buffer.from('\u00E9'),
  Buffer.from('\u{1F600}'),
];

function tree(work: string): string {
  const source = dir(work, 'source');
  for (const name of NAMES) writeFileSync(Buffer.concat([Buffer.from(`${source}/`), name]), 'x');
  return source;
}

/** The lines that name something. */
const named = (stdout: string): string[] => stdout.split('\n').filter((line) => line.startsWith('>f'));

/** The bytes that a name stands for, as docs/rsync.md says. */
const readBack = (shown: string): Buffer =>
  bytes(
    Buffer.from(shown)
      .toString('latin1')
      .replaceAll(/\\#(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
  );

judged('names are shown as by rsync, in a locale with UTF-8, in one without, and with -8', async (t) => {
  const work = workDir(t);
  const source = tree(work);
  const user = client(work);
  for (const locale of ['C.UTF-8', 'C']) {
    const env = { LC_ALL: locale };
    const theirs = await start(t, 'rsync', ['-ain', `${source}/`, `${work}/none/`], { env }).ended;
    const ours = await cli(t, user, ['-ain', `${source}/`, `${work}/none/`], { env });
    t.is(named(theirs.stdout).length, NAMES.length);
    t.deepEqual(named(ours.stdout), named(theirs.stdout), locale);
  }
  const raw = ['-c', '"$@" | od -An -c -v', 'sh'];
  const theirs = await start(
    t,
    'sh',
    [...raw, 'rsync', '-a8n', '--out-format=%i %n', `${source}/`, `${work}/none/`],
    {},
  ).ended;
  const args = [...raw, process.execPath, program, '-ai8n', `${source}/`];
  const ours = await start(t, 'sh', [...args, `${work}/none/`], { env: user.env }).ended;
  const od = (text: string): string => text.replaceAll(/\s+/g, '').replaceAll(/^.*?>f/g, '>f');
  t.is(od(ours.stdout), od(theirs.stdout));
});

test('what is shown of a name can be read back, also of what would fool a reader', async (t) => {
  const work = workDir(t);
  const source = dir(work, 'source');
  const names = [...NAMES, bytes('\x7f'), Buffer.from('\u0085'), Buffer.from('\u202Etxt.exe'), Buffer.from('\u2066')];
  for (const name of names) writeFileSync(Buffer.concat([Buffer.from(`${source}/`), name]), 'x');
  const user = client(work);
  const ended = await cli(t, user, ['-ain', `${source}/`, `${work}/none/`], { env: { LC_ALL: 'C.UTF-8' } });
  const shown = named(ended.stdout).map((line) => line.slice('>f+++++++++ '.length));
  t.deepEqual(
    shown.map((line) => readBack(line).toString('hex')).toSorted(),
    names.map((name) => name.toString('hex')).toSorted(),
  );
  // oxlint-disable-next-line no-control-regex
  t.notRegex(ended.stdout, /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202E\u2066]/);
  const json = await cli(t, user, ['-an', '--json', `${source}/`, `${work}/none/`]);
  // oxlint-disable-next-line no-control-regex
  t.notRegex(json.stdout, /[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u202E\u2066]/);
  const paths = json.stdout
    .trim()
    .split('\n')
    .map((line): { path?: string } => JSON.parse(line));
  t.true(paths.some(({ path }) => path === '\u202Etxt.exe'));
});

judged('what a source that is a symlink to a directory leads to is named as by rsync', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(served, { 'real/f': 'a', 'real/sub/g': 'b' });
  make(work, { 'o/old': 'old' });
  for (const [name, target] of [
    ['ln', 'real'],
    ['out', '../served/real'],
  ] as const)
    symlinkSync(target, `${served}/${name}`);
  const lines = ({ stdout }: { stdout: string }): string[] =>
    stdout
      .split('\n')
      .map((line) =>
        line
          .replaceAll(`${served}/`, '')
          .replace(/^<f/, '>f')
          .replace(/^[-d]\S+ +[\d,]+/, '')
          .trim(),
      )
      .toSorted();
  for (const [flags, name, to] of [
    ['-ain --delete', 'ln/', 'o/'],
    ['-avn --info=flist0,stats0', 'ln/', 'o/'],
    ['-an --out-format=%n', 'ln/', 'o/'],
    ['-r --list-only', 'ln/', ''],
    ['-aikn', 'ln', 'o/'],
    ['-aikn', 'ln', 'new'],
    ['-aiLn', 'ln', 'o/'],
    ['-ain --copy-unsafe-links', 'out', 'o/'],
    ['-rk --list-only', 'ln', ''],
  ] as const) {
    const words = (source: string): string[] => [...flags.split(' '), source, ...(to === '' ? [] : [`${work}/${to}`])];
    const expected = lines(await start(t, 'rsync', words(`${served}/${name}`)).ended);
    t.true(
      expected.some((line) => line.endsWith('sub/g')),
      flags,
    );
    // No server follows what may lead out of its root.
    for (const source of [`${served}/${name}`, ...(name === 'out' ? [] : [url(name)])])
      t.deepEqual(lines(await cli(t, user, words(source))), expected, words(source).join(' '));
  }
  for (const flags of ['-aikn', '-aiknR']) {
    const words = [flags, flags.endsWith('R') ? `${served}/./ln` : `${served}/ln`];
    const expected = lines(await start(t, 'rsync', [...words, `${work}/o/`]).ended);
    for (const to of [`${work}/o/`, url()]) t.deepEqual(lines(await cli(t, user, [...words, to])), expected, flags);
  }
  const deep = `${work}/deep/x`;
  const made = async (ended: Promise<{ stdout: string }>): Promise<string[]> => {
    const said = lines(await ended);
    rmSync(`${work}/deep`, { recursive: true });
    return said;
  };
  const expected = await made(start(t, 'rsync', ['-ai', '--mkpath', `${served}/ln/`, deep]).ended);
  t.true(expected.includes(`created 2 directories for ${deep}`));
  t.deepEqual(await made(cli(t, user, ['-ai', '--mkpath', url('ln/'), deep])), expected);
  const counted = async (ended: Promise<{ stdout: string }>): Promise<string | undefined> =>
    (await ended).stdout.split('\n').find((line) => line.startsWith('Number of files:'));
  const words = ['-akn', '--stats', `${served}/ln`, `${work}/o/`];
  t.is(await counted(cli(t, user, words)), await counted(start(t, 'rsync', words).ended));
});

judged('what was made for the destination is said when it was made, and only then, as by rsync', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(served, { 'real/f': 'f', 'real/sub/g': 'g' });
  const said = ({ stdout }: { stdout: string }): string[] =>
    stdout.split('\n').filter((line) => line.startsWith('created '));
  const ran = async (flags: string, from: string, to: string, top: string): Promise<string[]> => {
    rmSync(top, { recursive: true, force: true });
    const lines = said(await cli(t, user, [...flags.split(' '), from, to]));
    const shown = to.includes('://') ? lines.map((line) => line.replace(/ (\S+)$/, ` ${served}/$1`)) : lines;
    t.is(shown.length > 0, existsSync(top) || flags.includes('n'), `${flags} ${from} ${to}`);
    return shown;
  };
  const judge = async (flags: string, from: string, to: string, top: string): Promise<string[]> => {
    rmSync(top, { recursive: true, force: true });
    return said(await start(t, 'rsync', [...flags.split(' '), from, to]).ended);
  };
  for (const [flags, source, to] of [
    ['-ai', 'real/', 'new/x/y/'],
    ['-ai', 'real/', 'new/'],
    ['-vv', 'real/f', 'new/'],
    ['-ain', 'real', 'new'],
    ['-ai --exclude=*', 'real/', 'new/'],
    ['-ai --link-dest=../real', 'real/', 'new/'],
    ['-ai --mkpath', 'real/f', 'new/x/'],
  ] as const) {
    const top = to.slice(0, 3);
    const expected = await judge(flags, `${served}/${source}`, `${work}/${to}`, `${work}/${top}`);
    for (const from of [`${served}/${source}`, url(source)])
      t.deepEqual(await ran(flags, from, `${work}/${to}`, `${work}/${top}`), expected, `${flags} ${from} ${to}`);
    const pushed = await judge(flags, `${served}/${source}`, `${served}/${to}`, `${served}/${top}`);
    t.deepEqual(await ran(flags, `${served}/${source}`, url(to), `${served}/${top}`), pushed, `${flags} push ${to}`);
  }
  t.deepEqual(await ran('-ai', url('missing'), `${work}/new/`, `${work}/new`), []);
});
