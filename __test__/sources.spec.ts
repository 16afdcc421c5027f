// Several sources of one run, seen as one tree: what rsync makes of the same ones.
import { spawnSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import type { ExecutionContext } from 'ava';

import { ConfigError, NotFoundError, connect, plan, sync, verify } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { judged, rsync, rsyncSays } from './helpers/judge.js';
import { Random, seed } from './helpers/random.js';
import { Relay } from './helpers/relay.js';
import { failure, scaled, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { urlAt } from './helpers/url.js';
import { differences, touched, walk } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

const NAMES = ['a', 'b', 'c', 'ü'];

/** A tree of few names, so that sources clash, in kind too. */
function grow(random: Random, root: string, depth: number): void {
  mkdirSync(root, { recursive: true });
  for (const name of NAMES) {
    const path = `${root}/${name}`;
    const kind = random.below(5);
    if (kind === 0) continue;
    if (kind < 3 && depth > 0) grow(random, path, depth - 1);
    else if (kind === 4) symlinkSync(random.pick(['a', 'nowhere', '../b']), path);
    else writeFileSync(path, random.bytes(random.below(40)));
    if (kind !== 4) utimesSync(path, 1, random.below(1e9));
  }
  utimesSync(root, 1, random.below(1e9));
}

/** Sources below `root`, as rsync takes them. */
function choose(random: Random, root: string): string[] {
  return Array.from({ length: random.between(2, 4) }, (_, at) => {
    grow(random, `${root}/${at}`, 2);
    const entries = readdirSync(`${root}/${at}`, { withFileTypes: true });
    const entry = entries[random.below(entries.length + 1)];
    if (entry === undefined) return random.oneIn(4) ? `${at}` : `${at}/`;
    return `${at}/${entry.name}${entry.isDirectory() && random.oneIn(2) ? '/' : ''}`;
  });
}

function assertAlike(t: ExecutionContext, judge: string, tree: string, label: string): void {
  // The top's own time is that of the run where no source has one for it.
  const of = (root: string): ReturnType<typeof walk> => {
    const found = walk(root, { content: true });
    found.delete('');
    return found;
  };
  t.deepEqual(differences(of(judge), of(tree), { wholeSeconds: true }), [], `${label}: ${tree}`);
}

// Seen red with the last source that has a name before the first, and with files before directories.
judgedEachWay(
  'random sources that clash: here, pushed and pulled as rsync does, with --delete and without',
  async (t, { work, served, client: user, url }) => {
    t.timeout(scaled(300_000, 7_200_000));
    t.log(`seed ${seed}`);
    const random = new Random(t.title);
    for (let round = 0; round < scaled(8, 150); round += 1) {
      const trees = {
        judge: `${work}/judge`,
        local: `${work}/local`,
        pulled: `${work}/pulled`,
        pushed: `${served}/pushed`,
      };
      for (const tree of [...Object.values(trees), `${served}/s`]) rmSync(tree, { recursive: true, force: true });
      const sources = choose(random, `${served}/s`);
      grow(random, trees.judge, 2);
      for (const tree of [trees.local, trees.pulled, trees.pushed]) rsync('-a', `${trees.judge}/`, `${tree}/`);
      const options = ['-a', ...random.pick([['--delete'], ['--delete'], ['--force'], []])];
      const label = `round ${round}, seed ${seed}: ${options.join(' ')} ${sources.join(' ')}`;
      const here = sources.map((source) => `${served}/s/${source}`);
      const there = sources.map((source) => url(`s/${source}`));
      const ran = spawnSync('rsync', [...options, ...here, `${trees.judge}/`], { encoding: 'utf8' });
      const env = { env: { SPARSYNC_GUARDS: 'off' } };
      for (const [tree, ends] of [
        [trees.local, [...here, trees.local]],
        [trees.pushed, [...here, url('pushed')]],
        [trees.pulled, [...there, trees.pulled]],
      ] as const) {
        const ended = await cli(t, user, [...options, ...ends], env);
        t.is(ended.code, ran.status ?? -1, `${label}: ${tree}: ${ended.stderr}`);
        assertAlike(t, trees.judge, tree, label);
        if (ran.status !== 0) continue;
        t.is(rsync('-aHAXinc', ...options.slice(1), ...here, `${tree}/`), '', `${label}: ${tree}: rsync`);
        const before = walk(tree);
        await quietly(t, user, [...options, ...ends], env);
        t.deepEqual(touched(before, walk(tree)), [], `${label}: ${tree}: a second run wrote`);
      }
    }
  },
);

judged('a run of several sources without a change takes one round trip, by name and by content', async (t) => {
  const { work, served, server, access } = await setup(t);
  for (const name of ['one', 'two']) {
    for (let at = 0; at < 30; at += 1) {
      mkdirSync(`${work}/${name}/d${at}`, { recursive: true });
      writeFileSync(`${work}/${name}/d${at}/${name}`, 'x');
    }
  }
  await using relay = await Relay.start({ to: server.port, delayMs: 25 });
  const connection = await connect(`sparsync://127.0.0.1:${relay.port}`, access);
  const [one, two] = [`${work}/one`, `${work}/two`];
  for (const [what, run] of [
    ['contents', () => connection.push([one, two], 'root/contents', { delete: true })],
    ['entries', () => connection.push([one, two], 'root/entries', { delete: true, into: true })],
    [
      'pulled contents',
      () => connection.pull(['root/entries/one', 'root/entries/two'], `${work}/contents`, { delete: true }),
    ],
    [
      'pulled entries',
      () => connection.pull(['root/entries/one', 'root/entries/two'], `${work}/entries`, { into: true }),
    ],
  ] as const) {
    await run();
    const roundTrips = await relay.fewestRoundTrips(async () => {
      t.is((await run()).stats.bytesTransferred, 0);
    });
    t.true(roundTrips <= 1.5, `${what}: ${roundTrips} round trips`);
  }
  t.deepEqual(readdirSync(`${served}/entries`).sort(), ['one', 'two']);
  t.deepEqual(readdirSync(`${served}/contents/d0`).sort(), ['one', 'two']);
  await connection.close();
});

// Seen red with directories before files whatever rules say.
judgedEachWay(
  'a directory that rules leave out gives its name to a file or symlink of another source',
  async (t, { work, served, client: user, url }) => {
    for (const [at, below] of ['', 'deep/'].entries()) {
      mkdirSync(`${served}/s/with/${below}file/in`, { recursive: true });
      mkdirSync(`${served}/s/with/${below}link`, { recursive: true });
      mkdirSync(`${served}/s/without/${below}`, { recursive: true });
      writeFileSync(`${served}/s/without/${below}file`, `${at}`);
      symlinkSync('file', `${served}/s/without/${below}link`);
    }
    for (const [round, names] of [
      ['with/', 'without/'],
      ['without/', 'with/'],
    ].entries()) {
      const options = ['-a', '--exclude=file/', '--exclude=link/'];
      const here = names.map((name) => `${served}/s/${name}`);
      const [judge, local, pulled] = [`${work}/judge${round}`, `${work}/local${round}`, `${work}/pulled${round}`];
      rsync(...options, ...here, `${judge}/`);
      t.deepEqual(readdirSync(judge).sort(), ['deep', 'file', 'link']);
      await quietly(t, user, [...options, ...here, `${local}/`]);
      await quietly(t, user, [...options, ...here, url(`pushed${round}/`)]);
      await quietly(t, user, [...options, ...names.map((name) => url(`s/${name}`)), `${pulled}/`]);
      for (const tree of [local, pulled, `${served}/pushed${round}`]) assertAlike(t, judge, tree, names.join(' '));
    }
  },
);

judgedEachWay(
  'what lies beside named sources at the destination stays, whatever is deleted',
  async (t, { work, served, client: user, url }) => {
    for (const name of ['one', 'two']) mkdirSync(`${work}/${name}`);
    mkdirSync(`${served}/t/one/extra`, { recursive: true });
    mkdirSync(`${served}/t/beside`);
    await quietly(t, user, ['-a', '--delete', `${work}/one`, `${work}/two`, url('t')]);
    t.deepEqual([...walk(`${served}/t`).keys()].sort(), ['', 'beside', 'one', 'two']);
  },
);

judged('a source that is not there costs itself: the rest arrives, nothing is deleted', async (t) => {
  const { work, served, client: user, url, access, server } = await setup(t);
  const source = dir(served, 'source');
  writeFileSync(`${source}/f`, 'f');
  const none = `${served}/none`;
  const connection = await connect(server.url(), access);
  for (const [what, target, run] of [
    ['local', `${work}/l`, () => sync([none, source], `${work}/l`, { delete: true })],
    ['push', `${served}/p`, () => connection.push([source, none], 'root/p', { delete: true })],
    ['pull', `${work}/q`, () => connection.pull(['root/none', 'root/source'], `${work}/q`, { delete: true })],
  ] as const) {
    mkdirSync(target);
    writeFileSync(`${target}/old`, 'old');
    const error = await failure(t, run(), NotFoundError, what);
    t.deepEqual(
      [error.end, error.side, error.result?.stats.filesTransferred],
      ['source', what === 'pull' ? 'remote' : 'local', 1],
    );
    t.true(error.path?.endsWith('none'), error.path);
    t.deepEqual(readdirSync(target).sort(), ['f', 'old'], what);
  }
  await connection.close();
  const rsyncs = spawnSync('rsync', ['-a', none, `${source}/`, `${work}/r/`]);
  const ours = await cli(t, user, ['-a', '--delete', none, `${source}/`, `${work}/l`]);
  t.deepEqual([ours.code, ours.code], [rsyncs.status ?? -1, exit.partial]);
  t.true(ours.stderr.startsWith(`${none}: the source does not exist\n`), ours.stderr);
  for (const ends of [
    [none, `${work}/l`],
    [none, `${none}/`, `${work}/l`],
    [url('none'), `${work}/l`],
    [url('none'), url('no'), `${work}/l`],
  ]) {
    t.is((await cli(t, user, ['-a', '--delete', ...ends])).code, exit.partial, ends.join(' '));
  }
  t.deepEqual(readdirSync(`${work}/l`).sort(), ['f', 'old']);
  t.is((await cli(t, user, ['-a', `${source}/`, `${work}/no/such/place`])).code, exit.io);
});

judged('several sources: what would delete one, or copy it into itself, is refused', async (t) => {
  const { work, client: user } = await setup(t);
  const fill = (): void => {
    rmSync(`${work}/p`, { recursive: true, force: true });
    for (const name of ['a', 'b', 'c']) {
      mkdirSync(`${work}/p/${name}/a`, { recursive: true });
      writeFileSync(`${work}/p/${name}/f`, name);
    }
  };
  const p = `${work}/p`;
  for (const [args, code] of [
    [['--delete', `${p}/a/`, `${p}/b/`, p], exit.deleteRefused],
    [['--delete', `${p}/b/a`, `${p}/a/a`, p], exit.deleteRefused],
    [['--delete', `${p}/a`, `${p}/b`, p], exit.ok],
    [['--delete', `${p}/a/`, `${p}/`, p], exit.ok],
    [['--delete', '--exclude=b', '--exclude=a', `${p}/a/`, `${p}/b/`, p], exit.ok],
    [[p, `${p}/a`, p], exit.usage],
    [[`${p}/a/`, p, `${p}/a/new`], exit.usage],
  ] as const) {
    fill();
    const label = args.join(' ');
    const ended = await cli(t, user, ['-a', ...args]);
    t.is(ended.code, code, `${label}: ${ended.stderr}`);
    for (const name of ['a', 'b']) t.is(readFileSync(`${p}/${name}/f`, 'utf8'), name, label);
  }
});

judged('sources that no one run can serve are refused, by name', async (t) => {
  const { work, url } = await setup(t);
  const a = dir(work, 'a');
  for (const bad of [
    [],
    [a, url('x')],
    [a, ''],
    [a, 5],
    [url('x'), urlAt('127.0.0.1:1', 'root', 'x')],
    [url('x'), url('x').replace('root', 'other')],
  ]) {
    await failure(t, sync(bad as string[], `${work}/t`), ConfigError, JSON.stringify(bad));
  }
  const remote = Array.from({ length: 129 }, () => url('x'));
  await failure(t, sync(remote, `${work}/t`), ConfigError);
});

judged('a plan, a comparison and a count of files among the sources see the same tree', async (t) => {
  const { work } = await setup(t);
  const [a, b] = [dir(work, 'a'), dir(work, 'b')];
  writeFileSync(`${a}/x`, 'first');
  writeFileSync(`${b}/x`, 'second, longer');
  writeFileSync(`${work}/file`, 'alone');
  const sources = [a, b, `${work}/file`];
  const planned: string[] = [];
  for await (const item of plan(sources, `${work}/t`)) planned.push(`${item.action} ${item.path}`);
  t.deepEqual(planned.sort(), ['create ', 'create file', 'create x']);
  const { stats } = await sync(sources, `${work}/t`);
  t.deepEqual([stats.filesTransferred, stats.bytesTransferred], [2, 10]);
  t.is(readFileSync(`${work}/t/x`, 'utf8'), 'first');
  t.true((await verify(sources, `${work}/t`)).equal);
  t.false((await verify([b, a], `${work}/t`)).equal);
});

judgedEachWay(
  'a directory that is a source takes the place of a symlink of its name, and nothing goes through it',
  async (t, { work, served, url, rsh, client: user }) => {
    for (const root of [work, served]) {
      mkdirSync(`${root}/source/sub`, { recursive: true });
      writeFileSync(`${root}/source/sub/new`, 'new');
      mkdirSync(`${root}/elsewhere`);
      writeFileSync(`${root}/elsewhere/precious`, 'precious');
    }
    const made = (root: string, name: string): string => {
      symlinkSync('../elsewhere', `${dir(root, name)}/source`);
      return `${root}/${name}`;
    };
    const [judge, local, pulled] = ['judge', 'local', 'pulled'].map((name) => made(work, name)) as [
      string,
      string,
      string,
    ];
    rsync('-a', '--delete', `${work}/source`, `${judge}/`);
    for (const [destination, from] of [
      [local, `${work}/source`],
      [pulled, url('source')],
    ] as const) {
      t.is((await cli(t, user, ['-a', '--delete', from, `${destination}/`])).code, exit.ok);
      t.is(rsyncSays(`${judge}/source`, `${destination}/source`), '', from);
      t.deepEqual(readdirSync(destination), ['source']);
    }
    const pushed = made(served, 'pushed');
    const ran = await cli(t, user, ['-a', '--delete', `${work}/source`, url('pushed/')]);
    if (rsh === undefined) {
      // What a path of a server leads to is its operator's.
      t.is(ran.code, exit.unauthorized);
      t.true(lstatSync(`${pushed}/source`).isSymbolicLink());
    } else {
      t.is(ran.code, exit.ok, ran.stderr);
      t.is(rsyncSays(`${judge}/source`, `${pushed}/source`), '');
    }
    for (const root of [work, served]) t.deepEqual(readdirSync(`${root}/elsewhere`), ['precious']);
  },
);
