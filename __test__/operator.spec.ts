// What the operator of a server hides is not listed, read, written, deleted or told of; what he refuses is refused.
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { ConfigError, PartialSyncError, SparsyncError, connect, explain, plan, serve, sync } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { failure, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { walk } from './helpers/walk.js';

const HIDDEN = ['--exclude=/private/', '--exclude=+ open.key', '--exclude=*.key', '--exclude=.hid'];

/** A root in which some paths are hidden. */
function grow(root: string): void {
  for (const path of ['private/deep/a', 'sub/x.key', 'sub/open.key', 'sub/b', 'only/hid.key', 'c']) {
    mkdirSync(`${root}/${path}/..`.replace(/[^/]+\/\.\.$/, ''), { recursive: true });
    writeFileSync(`${root}/${path}`, `secret ${path}`);
  }
}

test('no client lists, reads, writes, deletes or asks about what is hidden', async (t) => {
  const { work, served, access, server } = await setup(t, { args: HIDDEN });
  grow(`${served}/tree`);
  mkdirSync(`${served}/private`);
  writeFileSync(`${served}/private/top`, 'secret');
  const connection = await connect(server.url(), access);
  const names = async (path: string): Promise<string[]> =>
    (await connection.list(path)).map(({ name }) => name).sort((a, b) => (a < b ? -1 : 1));
  t.deepEqual(await names('root'), ['tree']);
  t.deepEqual(await names('root/tree/sub'), ['b', 'open.key']);
  // Nothing tells what is there from what is not.
  for (const path of [
    'root/private',
    'root/private/none',
    'root/tree/sub/x.key',
    'root/none.key',
    'root/private/deep',
  ]) {
    const messages = await Promise.all(
      [connection.stat(path), connection.list(path), connection.pull(path, `${work}/pulled`)].map(async (asked) => {
        const error = await failure(t, Promise.resolve(asked), SparsyncError, path);
        t.is(error.code, 'ERR_SPARSYNC_SCOPE', path);
        return error.message.replace(path, '');
      }),
    );
    t.is(new Set(messages).size, 1, messages.join('\n'));
    const run = connection.push(dir(work, 'none'), path);
    t.is((await failure(t, run, SparsyncError, path)).code, 'ERR_SPARSYNC_SCOPE');
  }
  // A pull.
  await connection.pull('root/tree', `${work}/pulled`, { allowMassDelete: true });
  t.deepEqual(
    ['sub/b', 'sub/open.key', 'sub/x.key', 'only/hid.key', 'private/deep/a'].map((path) =>
      existsSync(`${work}/pulled/${path}`),
    ),
    [true, true, false, false, true],
    'a pattern with a slash at its start begins at the root',
  );
  await connection.pull('root', `${work}/all`);
  t.deepEqual([existsSync(`${work}/all/private`), existsSync(`${work}/all/tree/c`)], [false, true]);
  // A push: what is hidden stays, and nothing is put there.
  const source = dir(work, 'source');
  for (const path of ['private/deep', 'tree/sub']) mkdirSync(`${source}/${path}`, { recursive: true });
  for (const path of ['private/top', 'private/deep/new', 'tree/sub/x.key', 'tree/sub/b', 'tree/new.key']) {
    writeFileSync(`${source}/${path}`, 'mine');
  }
  for (const grant of [false, true]) {
    const to = grant ? 'root/fresh' : 'root';
    const run = connection.push(source, to, { delete: true, allowMassDelete: true, compare: 'content' });
    const { result } = await failure(t, run, PartialSyncError);
    const expected = ['tree/new.key', 'tree/sub/x.key'].concat(
      grant ? [] : ['private', 'private/deep', 'private/deep/new', 'private/top'],
    );
    const told = result.failures.filter(({ code }) => code === 'scope').map(({ path }) => path);
    t.deepEqual(told.sort(), expected.sort());
  }
  t.is(readFileSync(`${served}/private/top`, 'utf8'), 'secret');
  t.is(readFileSync(`${served}/tree/sub/x.key`, 'utf8'), 'secret sub/x.key');
  t.is(readFileSync(`${served}/tree/sub/b`, 'utf8'), 'mine');
  t.is(readFileSync(`${served}/tree/only/hid.key`, 'utf8'), 'secret only/hid.key', 'its directory stays for it');
  t.deepEqual(
    ['private/deep', 'tree/new.key', 'tree/c', 'fresh/tree/new.key', 'fresh/tree/sub/b', 'fresh/private/top'].map(
      (path) => existsSync(`${served}/${path}`),
    ),
    [false, false, false, false, true, true],
  );
  // A single file, under its own name and under another.
  for (const to of ['root/tree/new.key', 'root/private/file']) {
    const run = sync(`${source}/tree/sub/b`, server.url(to), access);
    t.is((await failure(t, run, SparsyncError, to)).code, 'ERR_SPARSYNC_SCOPE');
  }
  const keyed = sync(`${source}/tree/new.key`, server.url('root/tree'), { ...access, into: true });
  t.is((await failure(t, keyed, SparsyncError)).code, 'ERR_SPARSYNC_SCOPE');
  t.false(existsSync(`${served}/tree/new.key`));
  // A file of rules is not read where it is hidden, and neither through a symlink or by another file.
  writeFileSync(`${served}/tree/.hid`, '- b\nbroken rule\n');
  symlinkSync('.hid', `${served}/tree/.f`);
  writeFileSync(`${served}/tree/sub/.g`, '. ../.hid\n');
  await connection.pull('root/tree', `${work}/rules`, { filter: [': .hid', ': .f'] });
  t.true(existsSync(`${work}/rules/sub/b`));
  const merged = connection.pull('root/tree', `${work}/rules2`, { filter: [': .g'] });
  const error = await failure(t, merged, ConfigError);
  t.regex(error.message, /line 1/);
  t.notRegex(error.message, /broken/);
  const [told] = await explain(server.url('root/tree'), `${work}/rules`, 'sub/x.key', access);
  t.deepEqual([told.exists, told.included, told.rule], [false, false, '']);
  await connection.close();
});

test('no form of an operand brings what is hidden', async (t) => {
  const { work, served, server, client: user, url } = await setup(t, { args: ['--exclude=/h/real/secret/'] });
  for (const path of ['h/real/secret', 'top/p']) mkdirSync(`${served}/${path}`, { recursive: true });
  for (const path of ['h/real/secret/k', 'h/real/f', 'top/p/f']) writeFileSync(`${served}/${path}`, path);
  symlinkSync('real', `${served}/h/ln`);
  writeFileSync(`${work}/list`, 'h/real\ntop/p/./f\n');
  for (const [at, [sources, arrives]] of (
    [
      [['h/real'], 'h/real/f'],
      [['h/real/'], 'h/real/f'],
      [['h/./real'], 'real/f'],
      [['h/./real/'], 'real/f'],
      [['h/ln/'], 'h/ln/f'],
      [['h/./ln/'], 'ln/f'],
      [['./h/real', 'top/./p'], 'h/real/f'],
      [['--files-from', `${work}/list`, ''], 'h/real/f'],
    ] as const
  ).entries()) {
    const to = `${work}/out${at}`;
    const words = sources.map((word) => (word.startsWith('-') || word.startsWith('/') ? word : url(word)));
    const ran = await cli(t, user, ['-aR', '-r', '--pin', server.pin, ...words, `${to}/`]);
    t.is(ran.code, 0, `${sources.join(' ')}: ${ran.stderr}`);
    const paths = [...walk(to).keys()];
    t.true(paths.includes(arrives), `${sources.join(' ')}: ${paths.join(' ')}`);
    t.deepEqual(
      paths.filter((path) => path.includes('secret')),
      [],
      sources.join(' '),
    );
  }
});

test('what is told of a run does not tell what is hidden', async (t) => {
  const { work, served, access, server } = await setup(t, { args: HIDDEN });
  mkdirSync(`${served}/tree/only`, { recursive: true });
  writeFileSync(`${served}/tree/only/a.key`, '');
  mkdirSync(`${served}/tree/empty`);
  const told: string[] = [];
  for await (const event of sync(server.url('root/tree'), `${work}/out`, { ...access, events: { items: true } })) {
    told.push(JSON.stringify(event));
  }
  t.notRegex(told.join('\n'), /a\.key|left-out/);
  for await (const item of plan(server.url('root/tree'), `${work}/out2`, access)) t.notRegex(item.path, /key/);
});

test('an option that the operator refuses is refused by its name, whatever it is called', async (t) => {
  const { work, access, server, client, url } = await setup(t, { args: ['--refuse=delete', '--refuse=checksum'] });
  const source = dir(work, 'source');
  writeFileSync(`${source}/a`, '');
  const run = sync(source, server.url('root/to'), { ...access, delete: true });
  const error = await failure(t, run, SparsyncError);
  t.is(error.code, 'ERR_SPARSYNC_SCOPE');
  t.regex(error.message, /"delete"/);
  const compared = sync(source, server.url('root/to'), { ...access, compare: 'content' });
  t.regex((await failure(t, compared, SparsyncError)).message, /"checksum"/);
  const ran = await cli(t, client, ['-a', '--delete', `${source}/`, `${url('to')}/`]);
  t.not(ran.code, exit.ok);
  t.regex(ran.stderr, /refuses the option "delete"/);
  await sync(source, server.url('root/to'), access);
  const unknown = serve({ roots: { root: work }, anonymous: true, refuse: ['deleet'] });
  t.regex((await failure(t, unknown, ConfigError)).message, /deleet/);
  const bad = serve({ roots: { root: { path: work, exclude: [''] } }, anonymous: true });
  await failure(t, bad, ConfigError);
});

test('what a run has without a word is not refused, nor what is said of the same by another name', async (t) => {
  const refused = ['checksum', 'modify-window', 'timeout', 'compress', 'partial', 'lanes', 'ignore-missing-args'];
  const { work, served, client, url } = await setup(t, { args: refused.map((name) => `--refuse=${name}`) });
  const source = dir(work, 'source');
  writeFileSync(`${source}/a`, 'a');
  const run = (...flags: string[]) => cli(t, client, ['-a', ...flags, `${source}/`, `${url('to')}/`]);
  for (const flags of [[], ['--size-only'], ['-I'], ['--no-compress'], ['--delete-missing-args', `${work}/none`]]) {
    const ran = await run(...flags);
    t.is(ran.code, exit.ok, `${flags.join(' ')}: ${ran.stderr}`);
  }
  t.is(readFileSync(`${served}/to/a`, 'utf8'), 'a');
  for (const [flag, name] of [
    ['-c', 'checksum'],
    ['--modify-window=2', 'modify-window'],
    ['--timeout=9', 'timeout'],
    ['-z', 'compress'],
    ['--partial-dir=x', 'partial'],
    ['--lanes=4', 'lanes'],
    ['--ignore-missing-args', 'ignore-missing-args'],
  ] as const) {
    const ran = await run(flag);
    t.is(ran.code, exit.unauthorized, `${flag}: ${ran.stderr}`);
    t.regex(ran.stderr, new RegExp(`refuses the option "${name}"`));
  }
});
