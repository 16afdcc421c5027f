import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';

import test, { type ExecutionContext } from 'ava';

import {
  AbortedError,
  ConfigError,
  connect,
  PartialSyncError,
  plan,
  SparsyncError,
  sync,
  verify,
  type SyncEvent,
  type SyncResult,
} from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { certify } from './helpers/certified.js';
import { child } from './helpers/child.js';
import { assertEqual, judged, judgedWhere } from './helpers/judge.js';
import { start, until } from './helpers/process.js';
import { Relay } from './helpers/relay.js';
import { canMount, codeOf, failure, isRoot, mountTmpfs, rejection, type Setup, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';
import { names, walk } from './helpers/walk.js';

/** Calls from JavaScript have no types to hold them back. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- that is what the tests are about
const untyped = (options: unknown): Record<string, never> => options as Record<string, never>;

test('options are checked, and a misspelt one is answered with the nearest known one', async (t) => {
  const work = workDir(t);
  mkdirSync(`${work}/a`);
  const wrong: ReadonlyArray<readonly [unknown, RegExp]> = [
    [{ delet: true }, /delet\b.*\bdelete\b/s],
    [{ compres: 'auto' }, /compres\b.*\bcompression\b/s],
    [{ allowMassDeletes: true }, /allowMassDelete\b/],
    [{ trust: { pins: [] } }, /trust\.pins\b.*\bpin\b/s],
    [{ retry: { attempt: 3 } }, /retry\.attempt\b.*\battempts\b/s],
    [{ delete: 'yes' }, /\bdelete\b.*'yes'|\bdelete\b.*"yes"/s],
    [{ compare: 'quik' }, /compare.*quick/s],
    [{ maxDelete: -1 }, /maxDelete/],
    [{ maxDelete: 1.5 }, /maxDelete/],
    [{ timeoutMs: Number.NaN }, /timeoutMs/],
    [{ lanes: 1000 }, /lanes.*4/s],
    [{ signal: {} }, /signal.*AbortSignal/s],
    [{ trust: { pin: 'sha256:abc' } }, /trust\.pin/],
    ['delete', /options/],
    [null, /options/],
  ];
  for (const [options, message] of wrong) {
    const error = await failure(
      t,
      (async () => sync(`${work}/a`, `${work}/b`, untyped(options)))(),
      ConfigError,
      JSON.stringify(options),
    );
    t.is(error.code, 'ERR_SPARSYNC_CONFIG');
    t.regex(error.message, message);
    t.false(error.retryable);
  }
  t.deepEqual(names(work), ['a'], 'nothing was done');
  // An option that is present without a value is as good as absent.
  await sync(`${work}/a`, `${work}/b`, untyped({ delete: undefined }));
  t.deepEqual(names(work), ['a', 'b']);
});

test('places are checked: two servers, no root, an unknown scheme, a wrong type', async (t) => {
  const work = workDir(t);
  for (const [source, destination] of [
    ['sparsync://127.0.0.1/a', 'sparsync://127.0.0.1/b'],
    [work, 'sparsync://127.0.0.1'],
    [work, 'sparsync:///root'],
    [work, 'sparsync://127.0.0.1:99999/root'],
    [work, 'sparsync://::1/root'],
    [work, 'ftp://127.0.0.1/root'],
    [work, `${work}/nul\0byte`],
    [work, ''],
  ] as const) {
    await failure(t, (async () => sync(source, destination))(), ConfigError, destination);
  }
});

test('a plan has a reason for every path, of those that the engine knows', async (t) => {
  const work = workDir(t);
  mkdirSync(`${work}/a/sub`, { recursive: true });
  writeFileSync(`${work}/a/f`, 'new');
  mkdirSync(`${work}/b`);
  const found: Record<string, readonly string[]> = {};
  for await (const item of plan(`${work}/a`, `${work}/b`, { recursive: false })) found[item.path] = item.reasons;
  t.deepEqual(found['sub'], ['directory']);
  t.deepEqual(found['f'], ['missing']);
  for (const [path, reasons] of Object.entries(found)) t.not(reasons.length, 0, path);
});

test('a signal that was aborted before, and one that is aborted in mid-job, throw their reason itself', async (t) => {
  const { work, url, access, served, server } = await setup(t);
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, certify('large', 1, 64 << 20));
  const reason = { why: 'changed my mind' };
  const before = await rejection(
    t,
    (async () => sync(source, url('early'), { ...access, signal: AbortSignal.abort(reason) }))(),
  );
  t.is(before, reason);
  t.deepEqual(names(served), []);

  // The network is cut in mid-file, so that the job cannot have ended before it is aborted.
  await using relay = await Relay.start({ to: server.port });
  const controller = new AbortController();
  const job = sync(source, relay.url('root', 'tree'), { ...access, signal: controller.signal });
  const error = rejection(t, job);
  await relay.passed('up', 4 << 20);
  relay.cut = true;
  controller.abort(reason);
  t.is(await error, reason);

  // Without a reason of one's own it is the one that the platform gives.
  const plain = new AbortController();
  const second = sync(source, url('tree'), { ...access, signal: plain.signal });
  plain.abort();
  const given = await rejection(t, second);
  t.is(given, plain.signal.reason);
  t.is(given instanceof Error ? given.name : given, 'AbortError');

  // A signal that comes too late changes nothing.
  const late = new AbortController();
  await sync(source, url('tree'), { ...access, signal: late.signal, delete: true });
  late.abort();
  assertEqual(t, source, `${served}/tree`);
});

test('a signal reaches connect, plan and the jobs of a kept connection', async (t) => {
  const { work, url, access, server } = await setup(t);
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, certify('large', 1, 64 << 20));
  const reason = new Error('enough');
  t.is(
    await rejection(
      t,
      (async () => plan(source, url('tree'), { ...access, signal: AbortSignal.abort(reason) }).result)(),
    ),
    reason,
  );
  await using relay = await Relay.start({ to: server.port });
  const connection = await connect(`sparsync://127.0.0.1:${relay.port}`, access);
  const controller = new AbortController();
  const job = connection.push(source, 'root/tree', { signal: controller.signal });
  const error = rejection(t, job);
  await relay.passed('up', 4 << 20);
  relay.cut = true;
  controller.abort(reason);
  t.is(await error, reason);
  relay.cut = false;
  // The connection has outlived its job. What the cut has lost of its end is told again a moment later, and waited for.
  await connection.push(source, 'root/tree');
  await connection.close();
});

test('cancel() ends a job, with the given reason or with an error of its own', async (t) => {
  const { work, url, access } = await setup(t);
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, certify('large', 1, 64 << 20));
  const first = sync(source, url('a'), access);
  first.cancel();
  t.true((await rejection(t, first)) instanceof AbortedError);
  const reason = new Error('mine');
  const second = sync(source, url('b'), access);
  second.cancel(reason);
  second.cancel(new Error('too late'));
  t.is(await rejection(t, second), reason);
  const third = sync(source, url('c'), access);
  await third;
  third.cancel();
  await t.notThrowsAsync(third.result);
});

/** Takes from root what lets it read everything; anyone else is subject to modes already. Null where that fails. */
const subjectToModes: readonly string[] | null = (() => {
  if (!isRoot) return [];
  const drop = [
    'setpriv',
    '--bounding-set=-dac_override,-dac_read_search',
    '--inh-caps=-dac_override,-dac_read_search',
  ];
  return spawnSync('setpriv', [...drop.slice(1), 'true']).status === 0 ? drop : null;
})();

judgedWhere(subjectToModes !== null)(
  'a file and a directory that cannot be read are reported by path, and the rest arrives',
  async (t) => {
    const { work, served, access, url, client: user } = await setup(t);
    const source = dir(work, 'source');
    plainTree(source, { directories: 3, files: 5 });
    chmodSync(`${source}/dir0000/file00002`, 0o000);
    chmodSync(`${source}/dir0001`, 0o000);
    mkdirSync(`${served}/tree/dir0000`, { recursive: true });
    writeFileSync(`${served}/tree/dir0000/file00002`, 'old');
    writeFileSync(`${served}/tree/extra`, 'x');
    const ended = await child(
      t,
      'report',
      { source, destination: url('tree'), options: { ...access, delete: true } },
      subjectToModes ?? [],
    );
    t.is(ended.code, 0, ended.stderr);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is checked field by field below
    const said = JSON.parse(ended.stdout) as {
      code: string;
      failures: Array<{ path: string; code: string; message: string; side: string; oldContentKept: boolean }>;
    };
    t.is(said.code, 'ERR_SPARSYNC_PARTIAL');
    t.deepEqual(said.failures.map(({ path }) => path).sort(), ['dir0000/file00002', 'dir0001']);
    for (const failure of said.failures) {
      t.is(failure.side, 'local', failure.path);
      t.is(failure.code, 'unreadable', failure.path);
      t.regex(failure.message, /Permission denied/, failure.path);
    }
    t.true(said.failures.find(({ path }) => path === 'dir0000/file00002')?.oldContentKept);
    t.is(readFileSync(`${served}/tree/dir0000/file00002`, 'utf8'), 'old');
    t.is(names(`${served}/tree/dir0002`).length, 5);
    t.is(names(`${served}/tree/dir0000`).length, 5);
    t.true(names(`${served}/tree`).includes('extra'), 'nothing is deleted after an error of reading');

    const ran = await start(
      t,
      subjectToModes?.[0] ?? process.execPath,
      [
        ...(subjectToModes?.slice(1) ?? []),
        ...(subjectToModes?.length === 0 ? [] : [process.execPath]),
        fileURLToPath(new URL('../dist/cli/main.js', import.meta.url)),
        '-a',
        `${source}/`,
        url('tree'),
      ],
      { env: user.env },
    ).ended;
    t.is(ran.code, exit.partial);
    t.regex(ran.stderr, /dir0000\/file00002/);
  },
);

judgedWhere(canMount)(
  'a part of the destination that cannot be written is reported, and the rest arrives',
  async (t) => {
    const { work, served, access, url } = await setup(t);
    const source = dir(work, 'source');
    plainTree(source, { directories: 3, files: 5 });
    plainTree(`${served}/tree`, { directories: 3, files: 2, label: 'older' });
    t.true(mountTmpfs(t, `${served}/tree/dir0001`, 'size=1m'));
    plainTree(`${served}/tree`, { directories: 2, files: 2, label: 'older' });
    t.is(spawnSync('mount', ['-o', 'remount,ro', `${served}/tree/dir0001`]).status, 0);
    const { result } = await failure(t, sync(source, url('tree'), access), PartialSyncError);
    t.true(result.failures.length > 0);
    for (const { path, side } of result.failures) {
      t.true(path.startsWith('dir0001'), path);
      t.is(side, 'remote');
    }
    const old = result.failures.find(({ path }) => path === 'dir0001/file00001');
    t.true(old?.oldContentKept);
    t.regex(readFileSync(`${served}/tree/dir0001/file00001`, 'utf8'), /^older/);
    t.is(names(`${served}/tree`).length, 3 + 5 + 2 + 5);
  },
);

judged('a file that goes on changing while it is read is reported, and what has its name is no mixture', async (t) => {
  t.timeout(120_000);
  const { work, served, access, url } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 1, files: 5 });
  writeFileSync(`${source}/changing`, certify('changing', 1, 48 << 20));
  mkdirSync(`${served}/tree`);
  writeFileSync(`${served}/tree/changing`, 'old');
  const begun = statSync(`${source}/changing`, { bigint: true }).mtimeNs;
  const writer = start(t, process.execPath, [
    '-e',
    `const fs = require('node:fs'); const fd = fs.openSync(process.argv[1], 'r+'); let i = 0;
     (function write() { fs.writeSync(fd, String(i++), 1e6); setImmediate(write); })()`,
    `${source}/changing`,
  ]);
  await until('the writer', () => statSync(`${source}/changing`, { bigint: true }).mtimeNs !== begun);
  const error = await failure(t, sync(source, url('tree'), access), PartialSyncError);
  writer.kill('SIGKILL');
  await writer.ended;
  t.deepEqual(
    error.result.failures.map(({ path, oldContentKept }) => [path, oldContentKept]),
    [['changing', true]],
  );
  t.is(readFileSync(`${served}/tree/changing`, 'utf8'), 'old');
  t.is(names(`${served}/tree/dir0000`).length, 5);
  await sync(source, url('tree'), access);
  assertEqual(t, source, `${served}/tree`);
});

/** A push in whose middle, after its walk and before it may send, something is done to the source. */
async function afterTheWalk<T>(
  t: ExecutionContext,
  { work, server, access }: Setup,
  meddle: (source: string) => void,
  use: (run: Promise<SyncResult>) => Promise<T>,
): Promise<T> {
  const source = dir(work, 'source');
  plainTree(source, { directories: 3, files: 10 });
  // The root itself is no entry.
  const entries = walk(source).size - 1;
  const relay = await Relay.start({ to: server.port });
  const connection = await connect(`sparsync://127.0.0.1:${relay.port}`, access);
  t.teardown(async () => {
    await connection.close();
    await relay.close();
  });
  relay.cut = true;
  const job = connection.push(source, 'root/tree');
  const used = use(job.result);
  // The top itself is counted when the walk is over.
  await until('the end of the walk', () => job.stats().entriesSource >= entries - 1);
  meddle(source);
  relay.cut = false;
  return used;
}

judged('files that vanish during the run alone do not reject: they are listed', async (t) => {
  const made = await setup(t);
  const result = await afterTheWalk(
    t,
    made,
    (source) => {
      rmSync(`${source}/dir0001/file00003`);
      rmSync(`${source}/dir0002`, { recursive: true });
    },
    async (run) => run,
  );
  t.true(result.vanishedOnly);
  t.true(result.failures.length > 0);
  for (const failure of result.failures) {
    t.is(failure.code, 'vanished', failure.path);
    t.is(failure.side, 'local');
  }
  t.true(result.failures.some(({ path }) => path === 'dir0001/file00003'));
  t.is(names(`${made.served}/tree/dir0000`).length, 10);
  t.false(names(`${made.served}/tree`).includes('dir0001/file00003'));
});

judged(
  'a file that was written to between the walk and the read arrives as a whole version, never as a mixture',
  async (t) => {
    const made = await setup(t);
    const source = `${made.work}/source`;
    await afterTheWalk(
      t,
      made,
      () => {
        appendFileSync(`${source}/dir0001/file00003`, 'appended');
        const fd = openSync(`${source}/dir0000/file00003`, 'r+');
        writeSync(fd, 'CONTENT');
        closeSync(fd);
      },
      async (run) =>
        run.then(
          () => assertEqual(t, source, `${made.served}/tree`, { times: false }),
          (error: unknown) => {
            if (!(error instanceof PartialSyncError)) throw error;
            for (const { path } of error.result.failures) t.regex(path, /^dir000[01]\/file00003$/);
          },
        ),
    );
    await sync(source, made.url('tree'), made.access);
    assertEqual(t, source, `${made.served}/tree`);
  },
);

judged('a reader that reads nothing does not hold the job up, and is told what it missed', async (t) => {
  const { work, served, access, url } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 40, files: 500 });
  const job = sync(source, url('tree'), { ...access, events: { items: true } });
  const events = job[Symbol.asyncIterator]();
  const first = await events.next();
  t.false(first.done ?? false);
  // Nobody reads from here on. Were the job to wait for its reader, it would wait for ever.
  const result = await job.result;
  t.is(result.stats.filesTransferred, 20_000);
  t.is(walk(`${served}/tree`).size, 20_041);

  const rest: SyncEvent[] = first.done === true ? [] : [first.value];
  for (let next = await events.next(); next.done !== true; next = await events.next()) rest.push(next.value);
  const items = rest.filter(({ type }) => type === 'item').length;
  const dropped = rest.reduce((sum, event) => (event.type === 'dropped' ? sum + event.count : sum), 0);
  t.log(`${items} items read, ${dropped} dropped`);
  t.is(items + dropped, 20_041 - (items + dropped === 20_040 ? 1 : 0));
  t.true(dropped > 0, 'twenty thousand events cannot all be kept for a reader that does not read');
  t.is(rest.at(-1)?.type, 'done');
});

judged('a reader that reads gets every item, in a closed set of types, and the result last', async (t) => {
  const { work, access, url } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 5, files: 50 });
  const types = new Set<string>();
  const paths = new Set<string>();
  let last: SyncEvent | undefined;
  for await (const event of sync(source, url('tree'), { ...access, events: { items: true, whenFull: 'wait' } })) {
    types.add(event.type);
    if (event.type === 'item') paths.add(event.path);
    last = event;
  }
  for (const path of names(source)) t.true(paths.has(path), path);
  for (const type of types) {
    t.true(['connected', 'item', 'failure', 'warning', 'progress', 'retry', 'dropped', 'done'].includes(type), type);
  }
  t.is(last?.type, 'done');
  t.is(last?.type === 'done' ? last.result.stats.filesTransferred : 0, 250);
});

judged('leaving the loop early ends neither the job nor the process', async (t) => {
  const { work, served, access, url } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 5, files: 50 });
  const job = sync(source, url('tree'), access);
  for await (const event of job) if (event.type !== 'connected') break;
  await job.result.catch((error: unknown) => t.true(error instanceof AbortedError, String(error)));
  await sync(source, url('tree'), access);
  assertEqual(t, source, `${served}/tree`);
});

test('an error has its class, code, side and the stack of the call', async (t) => {
  const { work, url, access } = await setup(t);
  async function theCallThatFails(): Promise<void> {
    await sync(`${work}/is not here`, url('tree'), access);
  }
  const error = await failure(t, theCallThatFails(), SparsyncError);
  t.true(error instanceof Error);
  const failed = error;
  t.is(failed.code, 'ERR_SPARSYNC_NOT_FOUND');
  t.is(failed.name, 'NotFoundError');
  t.is(failed.side, 'local');
  t.regex(failed.path ?? '', /is not here/);
  t.regex(failed.stack ?? '', /theCallThatFails/);
  t.regex(failed.stack ?? '', /api\.spec/);

  async function theConnectThatFails(): Promise<void> {
    await connect('sparsync://127.0.0.1:9/root', { ...access, connectTimeoutMs: 500 });
  }
  const refused = await failure(t, theConnectThatFails(), SparsyncError);
  t.true(['ERR_SPARSYNC_CONNECT', 'ERR_SPARSYNC_TIMEOUT'].includes(refused.code));
  t.true(refused.retryable);
  t.regex(refused.stack ?? '', /theConnectThatFails/);
});

test('a rejection that nobody waits for in time is no unhandled one if it is awaited later', async (t) => {
  const { work, url, access } = await setup(t);
  const job = sync(`${work}/missing`, url('tree'), access);
  await until('the rejection', () => inspect(job.result).includes('<rejected>'));
  t.is(codeOf(await rejection(t, job)), 'ERR_SPARSYNC_NOT_FOUND');
});

test('progress only grows, and its totals are absent first and fixed then', async (t) => {
  const { work, url, access } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 20, files: 100 });
  for (let i = 0; i < 8; i += 1) writeFileSync(`${source}/large${i}`, certify(`large${i}`, 1, 8 << 20));
  let bytes = 0;
  let total: number | undefined;
  let seen = 0;
  for await (const event of sync(source, url('tree'), access)) {
    if (event.type !== 'progress') continue;
    seen += 1;
    t.true(event.stats.bytesTransferred >= bytes);
    bytes = event.stats.bytesTransferred;
    if (total !== undefined) t.is(event.stats.bytesTotal, total);
    total = event.stats.bytesTotal;
  }
  t.true(seen > 0);
});

judged('verify says whether content is equal, path by path, and writes nothing', async (t) => {
  const { work, served, access, url } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 2, files: 5 });
  await sync(source, url('tree'), access);
  const equal = await verify(source, url('tree'), access);
  t.true(equal.equal);
  writeFileSync(`${served}/tree/dir0000/file00001`, 'other');
  rmSync(`${served}/tree/dir0001/file00001`);
  writeFileSync(`${served}/tree/extra`, 'x');
  const before = walk(`${served}/tree`);
  const differs = verify(source, url('tree'), access);
  const found: string[] = [];
  for await (const difference of differs) if (difference.kind === 'file') found.push(difference.path);
  const summary = await differs;
  t.false(summary.equal);
  t.true(summary.differences >= 3);
  t.deepEqual(found.sort(), ['dir0000/file00001', 'dir0001/file00001', 'extra']);
  t.deepEqual([...walk(`${served}/tree`)], [...before]);
});

judged('most files with one and the same time are pointed out, with the compare that helps', async (t) => {
  const { work, access, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 2, files: 100 });
  spawnSync('sh', ['-c', 'find "$1" -type f -exec touch -d @1000000000 {} +', 'touch', source]);
  const result = await sync(source, url('tree'), access);
  t.true(
    result.warnings.some(({ message }) => /content/.test(message)),
    JSON.stringify(result.warnings),
  );
  t.is((await cli(t, user, ['-a', `${source}/`, url('cli')])).code, 0);
});
