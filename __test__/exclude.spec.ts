// What is left out of a run, on both sides: what rsync leaves alone with the same --exclude.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';

import { ConfigError, connect, sync, verify } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { judged, judgedWhere, rsync } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { Relay } from './helpers/relay.js';
import { failure, scaled, setup } from './helpers/setup.js';
import { attach, hasStrace, straced } from './helpers/strace.js';
import { dir } from './helpers/temp.js';
import { differences, touched, walk } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

const NAMES = ['a', 'b', 'c', 'build', '.git', 'ü'];

/** A tree of few names, so that what one side excludes, the other has. */
function grow(random: Random, root: string, depth: number): void {
  mkdirSync(root, { recursive: true });
  for (const name of NAMES) {
    if (random.oneIn(2)) continue;
    if (depth > 0 && random.oneIn(2)) grow(random, `${root}/${name}`, depth - 1);
    else writeFileSync(`${root}/${name}`, random.bytes(random.below(40)));
  }
}

/** Whether `path` is a file in one tree and a directory in the other: there rsync removes half of the directory. */
function hasClash(a: string, b: string): boolean {
  const [left, right] = [walk(a), walk(b)];
  return [...left].some(([path, entry]) => {
    const other = right.get(path);
    return other !== undefined && (entry.kind === 'directory') !== (other.kind === 'directory');
  });
}

/**
 * Gives one time to the directories that only the destinations have. They stay for what is excluded in them, and their
 * times are those of the removals in them.
 */
function ageKept(source: string, ...trees: readonly string[]): void {
  const wanted = walk(source);
  for (const tree of trees) {
    for (const [path, { kind }] of walk(tree)) {
      if (kind !== 'directory' || wanted.has(path)) continue;
      utimesSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from(path, 'latin1')]), 1e9, 1e9);
    }
  }
}

// Seen red with a removal that asks nobody, and with a destination's walk that takes everything.
judgedEachWay(
  'random trees with excluded names: here, pushed and pulled as rsync does, and nothing to do after it',
  async (t, { work, served, access, address, named }) => {
    t.timeout(scaled(300_000, 3_600_000));
    t.log(`seed ${seed}`);
    const random = new Random(t.title);
    const connection = await connect(address, access);
    let compared = 0;
    for (let round = 0; round < scaled(30, 400); round += 1) {
      const exclude = NAMES.filter(() => random.oneIn(3));
      const source = `${served}/source`;
      const [judge, local, pulled] = [`${work}/judge`, `${work}/local`, `${work}/pulled`];
      const pushed = `${served}/pushed`;
      for (const tree of [source, judge, local, pulled, pushed]) rmSync(tree, { recursive: true, force: true });
      grow(random, source, 3);
      grow(random, judge, 3);
      if (hasClash(source, judge)) continue;
      compared += 1;
      // What was made within one second is the same to rsync.
      spawnSync('find', [judge, '-exec', 'touch', '-h', '-d', '@1500000000', '{}', '+']);
      for (const tree of [local, pulled, pushed]) rsync('-a', `${judge}/`, `${tree}/`);
      const label = `round ${round}, seed ${seed}, without ${exclude.join(' ')}`;
      rsync('-a', '--delete', ...exclude.map((name) => `--exclude=${name}`), `${source}/`, `${judge}/`);
      const options = { delete: true, allowMassDelete: true, filter: exclude.map((name) => ({ exclude: name })) };
      await sync(source, local, options);
      await connection.push(source, named('pushed'), options);
      await connection.pull(named('source'), pulled, options);
      for (const tree of [local, pushed, pulled]) {
        ageKept(source, judge, tree);
        const found = differences(walk(judge, { content: true }), walk(tree, { content: true }), {
          wholeSeconds: true,
        });
        t.deepEqual(found, [], `${label}: ${tree}`);
      }
      const before = walk(local);
      const again = await sync(source, local, options);
      t.deepEqual([again.stats.bytesTransferred, touched(before, walk(local))], [0, []], label);
    }
    t.true(compared > 3, `${compared} rounds were compared`);
    await connection.close();
  },
);

judged('a run without a change takes one round trip with excluded names on both sides', async (t) => {
  const { work, served, server, access } = await setup(t);
  const source = dir(work, 'source');
  for (let at = 0; at < 40; at += 1) {
    mkdirSync(`${source}/d${at}/skip`, { recursive: true });
    writeFileSync(`${source}/d${at}/skip/only-here`, 'x');
    writeFileSync(`${source}/d${at}/f`, 'x');
  }
  await using relay = await Relay.start({ to: server.port, delayMs: 25 });
  const connection = await connect(`sparsync://127.0.0.1:${relay.port}`, access);
  const options = { delete: true, filter: [{ exclude: 'skip' }] };
  await connection.push(source, 'root/tree', options);
  mkdirSync(`${served}/tree/d7/skip`);
  writeFileSync(`${served}/tree/d7/skip/only-there`, 'y');
  // The directory's own time has changed.
  await connection.push(source, 'root/tree', options);
  const roundTrips = await relay.fewestRoundTrips(() => connection.push(source, 'root/tree', options));
  t.true(roundTrips <= 1.5, `${roundTrips} round trips`);
  t.is(readFileSync(`${served}/tree/d7/skip/only-there`, 'utf8'), 'y');
  await connection.close();
});

judgedWhere(hasStrace)('what is excluded is not even looked at', async (t) => {
  const { work, client: user } = await setup(t);
  for (const tree of ['source', 'target']) mkdirSync(`${work}/${tree}/secret/below`, { recursive: true });
  const trace = `${work}/trace`;
  const [strace = '', ...words] = straced(trace, ['-s', '4096', '-e', 'trace=openat,openat2,statx,newfstatat']);
  const args = [program, '-a', '--delete', '--exclude=secret', `${work}/source/`, `${work}/target`];
  const ran = await start(t, strace, [...words, process.execPath, ...args], { env: user.env }).ended;
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  const seen = readFileSync(trace, 'latin1').split('\n');
  t.true(
    seen.some((line) => line.includes(`${work}/source`)),
    'the trace has calls',
  );
  t.deepEqual(
    seen.filter((line) => line.includes('secret') && !line.includes('execve')),
    [],
  );
});

judgedWhere(hasStrace)('a directory that one of 50 rules excludes is looked at by neither end', async (t) => {
  const { work, served, server, client: user, url } = await setup(t);
  const rules = [...Array.from({ length: 49 }, (_, at) => `--exclude=*.no${at}`), '--exclude=/secret-?/'];
  for (const tree of [`${work}/tree`, `${served}/tree`]) {
    mkdirSync(`${tree}/secret-1/below`, { recursive: true });
    mkdirSync(`${tree}/open`);
  }
  const options = ['-s', '4096', '-e', 'trace=openat,openat2,statx,newfstatat'];
  const places = [`${work}/tree/`, url('tree/')] as const;
  for (const [direction, ends] of [
    ['push', places],
    ['pull', places.toReversed()],
  ] as const) {
    const traces = ['near', 'far'].map((end) => `${work}/${direction}-${end}`) as [string, string];
    const far = await attach(t, server.pid, traces[1], options);
    const [strace = '', ...words] = straced(traces[0], options);
    const args = [program, '-a', '--delete', '--pin', server.pin, ...rules, ...ends];
    const ran = await start(t, strace, [...words, process.execPath, ...args], { env: user.env }).ended;
    await far.stop();
    t.deepEqual([ran.code, ran.stderr], [0, ''], direction);
    for (const trace of traces) {
      const seen = readFileSync(trace, 'latin1').split('\n');
      t.true(
        seen.some((line) => line.includes('"open"')),
        `${trace} has calls`,
      );
      t.deepEqual(
        seen.filter((line) => line.includes('secret')),
        [],
        trace,
      );
    }
  }
});

judged('a directory that holds what is excluded stays, and is told of', async (t) => {
  const { work, client: user } = await setup(t);
  const [source, target] = [dir(work, 'source'), dir(work, 'target')];
  mkdirSync(`${target}/extra/keep/deep`, { recursive: true });
  mkdirSync(`${target}/extra/gone`);
  writeFileSync(`${source}/f`, 'now a file');
  mkdirSync(`${target}/f/keep`, { recursive: true });
  const args = ['-ai', '--delete', '--exclude', 'keep', `${source}/`, `${target}/`];
  const ran = await cli(t, user, args);
  t.is(ran.code, exit.partial, ran.stderr);
  t.regex(ran.stderr, /^f: a directory is in its place, and holds excluded entries/m);
  t.regex(ran.stderr, /^warning: extra: the directory is not deleted/m);
  t.regex(ran.stdout, /^\*deleting {3}extra\/gone\/$/m);
  t.deepEqual([...walk(target).keys()].sort(), ['', 'extra', 'extra/keep', 'extra/keep/deep', 'f', 'f/keep']);
});

judged('a source that lies in its destination is safe where its name is excluded, as with rsync', async (t) => {
  const { work, client: user } = await setup(t);
  const [ours, theirs] = ['ours', 'theirs'].map((name) => `${work}/${name}`) as [string, string];
  for (const tree of [ours, theirs]) {
    mkdirSync(`${tree}/sub`, { recursive: true });
    writeFileSync(`${tree}/sub/s`, 's');
    writeFileSync(`${tree}/old`, 'o');
  }
  rsync('-a', '--delete', '--exclude=sub', `${theirs}/sub/`, `${theirs}/`);
  await quietly(t, user, ['-a', '--delete', '--exclude=sub', `${ours}/sub/`, `${ours}/`]);
  t.deepEqual(differences(walk(theirs, { content: true }), walk(ours, { content: true }), { wholeSeconds: true }), []);
  t.is(
    (await cli(t, user, ['-a', '--delete', '--exclude=other', `${ours}/sub/`, `${ours}/`])).code,
    exit.deleteRefused,
  );
});

judged('a source that holds nothing but what is excluded is not taken for an empty one', async (t) => {
  const { work, client: user } = await setup(t);
  const [source, target] = [dir(work, 'source'), dir(work, 'target')];
  const fill = (): void => {
    for (let at = 0; at < 20; at += 1) writeFileSync(`${target}/${at}`, 'x');
  };
  fill();
  const args = ['-a', '--delete', '--exclude=skip', `${source}/`, `${target}/`];
  t.is((await cli(t, user, args)).code, exit.deleteRefused, 'an empty source');
  writeFileSync(`${source}/skip`, 'x');
  await quietly(t, user, args);
  t.deepEqual([...walk(target).keys()], ['']);
});

judged('a file that is excluded itself is not sent, whatever its name becomes', async (t) => {
  const { work, client: user } = await setup(t);
  writeFileSync(`${work}/f`, 'content');
  for (const [exclude, target, arrives] of [
    ['f', 'new', false],
    ['new', 'new', true],
  ] as const) {
    const ran = spawnSync('rsync', [`--exclude=${exclude}`, `${work}/f`, `${work}/theirs-${exclude}`]);
    t.is(ran.status, 0);
    const [ours, theirs] = [`${work}/${target}-${exclude}`, `${work}/theirs-${exclude}`];
    await quietly(t, user, ['-a', `--exclude=${exclude}`, `${work}/f`, ours]);
    const exists = (path: string): boolean => walk(work).has(path.slice(work.length + 1));
    t.deepEqual([exists(theirs), exists(ours)], [arrives, arrives], exclude);
  }
  // A directory is left out in the same way, unless its contents are meant.
  mkdirSync(`${work}/d/d`, { recursive: true });
  writeFileSync(`${work}/d/x`, 'x');
  for (const source of ['d', 'd/']) {
    const [ours, theirs] = [dir(work, `ours-${source}`), dir(work, `theirs-${source}`)];
    rsync('-a', '--exclude=d', `${work}/${source}`, `${theirs}/`);
    await quietly(t, user, ['-a', '--exclude=d', `${work}/${source}`, `${ours}/`]);
    t.deepEqual([...walk(ours).keys()], [...walk(theirs).keys()], source);
  }
});

judged('rules that are none are refused, and verify follows rules as well', async (t) => {
  const { work } = await setup(t);
  const [source, target] = [dir(work, 'source'), dir(work, 'target')];
  writeFileSync(`${source}/x`, 'x');
  for (const bad of [
    '',
    '-',
    '- ',
    '-q x',
    'x',
    'Hs x',
    ': x',
    '! x',
    { exclude: '' },
    {},
    { exclude: 'a', hide: 'b' },
    5,
  ]) {
    await failure(t, sync(source, target, { filter: [bad as string] }), ConfigError, JSON.stringify(bad));
  }
  t.true((await verify(source, target, { filter: [{ exclude: Buffer.from('x') }] })).equal);
  t.false((await verify(source, target)).equal);
});
