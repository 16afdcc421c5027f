// What a run costs that has nothing to do: round trips, system calls, writes.
import { execFileSync, spawnSync } from 'node:child_process';
import { linkSync, readFileSync, writeFileSync } from 'node:fs';

import { connect, type Connection, type TransferOptions } from '../dist/index.js';
import { make } from './helpers/beside.js';
import { cli } from './helpers/cli.js';
import { judged, judgedWhere, rsync } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Relay } from './helpers/relay.js';
import { scaled, setup } from './helpers/setup.js';
import { attach, hasStrace, straced } from './helpers/strace.js';
import { dir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';
import { touched, walk } from './helpers/walk.js';
import { hasAcls } from './helpers/xattrs.js';

/**
 * One way, in ms: by this a relay tells an answer from what was on its way already. It is long, since a walk that takes
 * more than two round trips is told while it goes on.
 */
const oneWayMs = 100;

const hasXattrs = spawnSync('setfattr', ['--version']).status === 0;

/** There and back, and the end of the run told. */
const promised = 1.5;

/**
 * The least of some runs that each find nothing to do. What disturbs a run makes the relay see more answers than there
 * are, never less.
 */
async function leastRoundTrips(
  connection: Connection,
  source: string,
  relay: Relay,
  { pull, ...options }: { pull: boolean } & TransferOptions,
): Promise<number> {
  const run = async (): Promise<void> => {
    const result = await (pull
      ? connection.pull('root/tree', source, { delete: true, ...options })
      : connection.push(source, 'root/tree', { delete: true, ...options }));
    if (result.stats.bytesTransferred > 0) throw new Error('there was something to do');
  };
  return relay.fewestRoundTrips(run, 20, promised);
}

// Seen red with one more question and answer before each run.
for (const direction of ['push', 'pull'] as const) {
  judged(`a ${direction} without a change takes at most 1.5 round trips on a kept connection`, async (t) => {
    t.timeout(120_000);
    const { work, served, server, access } = await setup(t);
    const source = dir(work, 'source');
    plainTree(source, { directories: scaled(60, 700), files: 30 });

    await using relay = await Relay.start({ to: server.port, delayMs: oneWayMs });
    const connection = await connect(`sparsync://127.0.0.1:${relay.port}`, access);
    await connection.push(source, 'root/tree');
    const before = walk(`${served}/tree`);
    const roundTrips = await leastRoundTrips(connection, source, relay, { pull: direction === 'pull' });
    t.log(`${walk(source).size} entries: ${roundTrips} round trips`);
    t.true(roundTrips <= promised, `${roundTrips} round trips`);
    t.deepEqual(touched(before, walk(`${served}/tree`)), []);
    await connection.close();
  });
}

for (const direction of ['push', 'pull'] as const) {
  judgedWhere(hasAcls && hasXattrs)(
    `so does a ${direction} with rules of every kind, hard links, ACLs and extended attributes together`,
    async (t) => {
      t.timeout(120_000);
      const rights = 'read,write,delete,owner,special,xattrs,acls';
      const { work, served, server, access } = await setup(t, { rights });
      const source = dir(work, 'source');
      plainTree(source, { directories: 30, files: 10 });
      for (const at of ['one', 'two']) {
        make(`${source}/${at}`, { f: at, 'left.o': 'object', '.rules': '- left.*\n', 'deep/left.tmp': 'temporary' });
        linkSync(`${source}/${at}/f`, `${source}/${at}/linked`);
        execFileSync('setfacl', ['-m', 'u:7:r', `${source}/${at}/f`]);
        execFileSync('setfacl', ['-d', '-m', 'g:7:rx', `${source}/${at}/deep`]);
        execFileSync('setfattr', ['-n', 'user.own', '-v', at, `${source}/${at}/f`]);
      }
      writeFileSync(`${work}/words`, '*.o\n');
      const options: TransferOptions = {
        ...{ hardLinks: true, acls: true, xattrs: true, owner: true, group: true, devices: true, specials: true },
        filter: [{ dirMerge: '.rules' }, { excludeFrom: `${work}/words` }, '- *.tmp', 'P kept', '-C'],
      };
      await using relay = await Relay.start({ to: server.port, delayMs: oneWayMs });
      const connection = await connect(`sparsync://127.0.0.1:${relay.port}`, access);
      await connection.push(source, 'root/tree', options);
      t.deepEqual(
        [...walk(`${served}/tree/one`).keys()].toSorted(),
        ['', '.rules', 'deep', 'f', 'linked'],
        'rules leave out what they are to',
      );
      const judged = ['-aHAXinc', '--exclude=*.o', '--exclude=left.*', '--exclude=*.tmp'];
      t.is(rsync(...judged, `${source}/`, `${served}/tree/`), '');
      const before = walk(`${served}/tree`);
      const roundTrips = await leastRoundTrips(connection, source, relay, { pull: direction === 'pull', ...options });
      t.true(roundTrips <= promised, `${roundTrips} round trips`);
      t.deepEqual(touched(before, walk(`${served}/tree`)), []);
      await connection.close();
    },
  );
}

/** Which of some names a trace looked at with a stat of any kind, and how many such calls there were. */
function stats(
  trace: string,
  wanted: ReadonlySet<string>,
): { readonly calls: number; readonly seen: ReadonlySet<string> } {
  let calls = 0;
  const seen = new Set<string>();
  for (const line of readFileSync(trace, 'latin1').split('\n')) {
    if (!/\b(statx|newfstatat|fstatat64|fstat|lstat|stat)\(/.test(line) || line.includes(' resumed>')) continue;
    calls += 1;
    const name = /"([^"]*)"/.exec(line)?.[1]?.split('/').at(-1);
    if (name !== undefined && wanted.has(name)) seen.add(name);
  }
  return { calls, seen };
}

// Seen red with a server that let a program of its own look.
judgedWhere(hasStrace)('a run without a change looks at every entry on both ends', async (t) => {
  t.timeout(300_000);
  const { work, server, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 20, files: scaled(30, 1000) });
  // Names that are unique in the tree, so that a trace tells them apart.
  spawnSync('bash', [
    '-c',
    'cd "$1" && for d in dir*; do for f in "$d"/*; do mv "$f" "$f-$d"; done; done',
    'rename',
    source,
  ]);
  const entries = [...walk(source).keys()].filter((path) => path !== '');
  const files = new Set(entries.filter((path) => path.includes('/')).map((path) => path.split('/').at(-1) ?? ''));
  t.is((await cli(t, user, ['-a', `${source}/`, url('tree')])).code, 0);

  const options = ['-s', '4096', '-e', 'trace=statx,newfstatat,fstat'];
  const serverTrace = `${work}/server.trace`;
  const attached = await attach(t, server.pid, serverTrace, options);
  const clientTrace = `${work}/client.trace`;
  const [strace = '', ...words] = straced(clientTrace, options);
  const ran = await start(t, strace, [...words, process.execPath, program, '-a', `${source}/`, url('tree')], {
    env: user.env,
  }).ended;
  t.deepEqual([ran.code, ran.stdout, ran.stderr], [0, '', '']);
  await attached.stop();

  for (const [end, trace] of [
    ['client', clientTrace],
    ['server', serverTrace],
  ] as const) {
    const found = stats(trace, files);
    t.log(
      `${end}: ${found.calls} calls for ${entries.length} entries, ${found.seen.size} of ${files.size} files by name`,
    );
    t.true(found.calls >= entries.length, end);
    t.is(found.seen.size, files.size, `${end}: every file is looked at`);
  }
});

judgedWhere(hasStrace)('a run without a change calls nothing that writes below the destination', async (t) => {
  t.timeout(300_000);
  const { work, served, server, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 5, files: 20 });
  t.is((await cli(t, user, ['-a', `${source}/`, url('tree')])).code, 0);
  const before = walk(`${served}/tree`);
  const trace = `${work}/server.trace`;
  const writing =
    'trace=utimensat,fchmod,fchmodat,fchown,fchownat,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir,symlinkat,linkat,ftruncate,fallocate,fsetxattr';
  const attached = await attach(t, server.pid, trace, ['-y', '-s', '4096', '-e', writing]);
  t.is((await cli(t, user, ['-a', '--delete', `${source}/`, url('tree')])).code, 0);
  await attached.stop();
  const wrote = readFileSync(trace, 'latin1')
    .split('\n')
    .filter((line) => line.includes(served));
  t.deepEqual(wrote, []);
  t.deepEqual(touched(before, walk(`${served}/tree`)), []);
});
