// What the log of a server says, line by line, against what was done to it.
import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import test from 'ava';

import {
  AccessError,
  ConnectionError,
  LimitError,
  NoSpaceError,
  PartialSyncError,
  connect,
  invite,
  join,
  serve,
  sync,
} from '../dist/index.js';
import type { ServerEvent } from '../dist/index.js';
import { cli, exit, startCli } from './helpers/cli.js';
import { until } from './helpers/process.js';
import { type Client, client } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { accessOf, canMount, failure, mountTmpfs } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

type Line = Readonly<Record<string, unknown>>;

/** The lines of a log in JSON, those of `types` alone. */
function lines(path: string, ...types: readonly string[]): Line[] {
  const all: Line[] = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Line => JSON.parse(line));
  return types.length === 0 ? all : all.filter(({ type }) => types.includes(String(type)));
}

/** Waits for so many lines of some types. */
async function awaitLines(path: string, count: number, ...types: readonly string[]): Promise<Line[]> {
  await until(`${count} lines of ${types.join(', ')}`, () => lines(path, ...types).length >= count);
  return lines(path, ...types);
}

/** A line without what differs from day to day. */
function steady({ time, schema, address, publicKey, durationMs, message, errorPath, ...rest }: Line): Line {
  void [time, schema, address, publicKey, durationMs, message, errorPath];
  return rest;
}

function files(folder: string, sizes: Readonly<Record<string, number>>): string {
  for (const [name, size] of Object.entries(sizes)) writeFileSync(`${folder}/${name}`, 'x'.repeat(size));
  return folder;
}

test('a day of a server: each line of its log is what was done, and nothing that was done is missing', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  dir(served, 'alice');
  const [alice, reader, stranger] = [client(work, 'alice'), client(work, 'reader'), client(work, 'stranger')];
  const keys = `${dir(work, 'server.config')}/authorized_keys`;
  const write = (...more: readonly string[]): void =>
    writeFileSync(keys, [`reader ${reader.publicKey} allow=read`, ...more, ''].join('\n'), { mode: 0o600 });
  write(`alice ${alice.publicKey} root=root/alice`);
  const log = `${work}/log`;
  const server = await startServer(t, {
    home: work,
    roots: { root: served },
    // A machine that is slow for a moment would take TCP instead.
    args: ['--log-file', log, '--log-format', 'json', '--no-tcp'],
  });
  for (const user of [alice, reader, stranger]) user.trust(server.port, server.pin);
  let expected = 0;
  const run = async (user: Client, code: number, ...args: readonly string[]): Promise<void> => {
    const ended = await cli(t, user, args);
    t.is(ended.code, code, `${args.join(' ')}: ${ended.stderr}`);
    // A client may know of its end before the server has written it down.
    expected += 1;
    await awaitLines(log, expected, 'session', 'refused');
  };
  const source = files(dir(work, 'source'), { a: 10, b: 200, c: 3000 });
  const odd = 'odd\u001b[31m\u202e';

  // A push, the same without a change, one that deletes, a dry run, a pull.
  await run(alice, exit.ok, '-a', `${source}/`, server.url('root', 'alice', 'd'));
  await run(alice, exit.ok, '-a', `${source}/`, server.url('root', 'alice', 'd'));
  rmSync(`${source}/a`);
  await run(alice, exit.ok, '-a', '--delete', `${source}/`, server.url('root', 'alice', 'd'));
  await run(alice, exit.ok, '-an', `${dir(work, 'none')}/`, server.url('root', 'alice', 'd'));
  await run(reader, exit.ok, '-a', server.url('root', 'alice', 'd', ''), `${work}/pulled/`);
  await run(alice, exit.ok, '-a', `${source}/`, server.url('root', 'alice', odd));
  await run(alice, exit.ok, '-a', '--remove-source-files', server.url('root', 'alice', odd, ''), `${work}/moved/`);
  // What is refused: writing without the right, a path of somebody else, an unknown root, a stranger.
  await run(reader, exit.unauthorized, '-a', `${source}/`, server.url('root', 'alice', 'd'));
  await run(alice, exit.unauthorized, '-a', `${source}/`, server.url('root', 'bob'));
  await run(alice, exit.unauthorized, '-a', `${source}/`, server.url('other', 'x'));
  await run(stranger, exit.unauthorized, '-a', `${source}/`, server.url('root', 'alice'));

  const done = lines(log, 'session', 'refused');
  const of = (name: string): object => ({ client: name, transport: 'quic' });
  const session = (name: string, operation: string, path: string, figures: object): object => ({
    level: 'info',
    type: 'session',
    ...of(name),
    operation,
    root: 'root',
    path,
    dryRun: false,
    files: 0,
    bytes: 0,
    deletes: 0,
    failed: 0,
    result: 'ok',
    ...figures,
  });
  const refused = (name: string | undefined, code: string, request: object): object => ({
    level: 'warn',
    type: 'refused',
    ...(name === undefined ? { transport: 'quic' } : of(name)),
    ...request,
    code: `ERR_SPARSYNC_${code}`,
  });
  t.deepEqual(
    done.map(steady).filter(({ operation }) => operation !== 'stat'),
    [
      session('alice', 'push', 'alice/d', { files: 3, bytes: 3210 }),
      session('alice', 'push', 'alice/d', {}),
      session('alice', 'push', 'alice/d', { deletes: 1 }),
      session('alice', 'push', 'alice/d', { dryRun: true }),
      session('reader', 'pull', 'alice/d', { files: 2, bytes: 3200 }),
      session('alice', 'push', `alice/${odd}`, { files: 2, bytes: 3200 }),
      session('alice', 'pull', `alice/${odd}`, { files: 2, bytes: 3200, deletes: 2 }),
      refused('reader', 'SCOPE', { operation: 'push', root: 'root', path: 'alice/d' }),
      refused('alice', 'SCOPE', { operation: 'push', root: 'root', path: 'bob' }),
      refused('alice', 'SCOPE', { operation: 'push', root: 'other', path: 'x' }),
      refused(undefined, 'UNAUTHORIZED', {}),
    ],
  );
  for (const line of done) {
    t.regex(String(line['address']), /^127\.0\.0\.1:\d+$/);
    t.regex(String(line['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  }
  t.is(done.at(-1)?.['publicKey'], stranger.publicKey);
  t.regex(String(done.at(-1)?.['message']), /does not know/);
  t.notRegex(
    readFileSync(log, 'utf8'),
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u0009\u000b-\u001f\u007f\u202e]/u,
    'a name writes nothing of its own',
  );

  // Keys that cannot be read, and are then put right without alice; a connection of hers is open.
  const connection = await connect(server.url(), accessOf(alice, server));
  write('alice');
  const [broken] = await awaitLines(log, 1, 'keys-unreadable');
  t.like(broken, { level: 'error', code: 'ERR_SPARSYNC_CONFIG', errorPath: keys });
  t.regex(String(broken?.['message']), /^line 2: no key follows the name "alice"$/);
  await run(reader, exit.unauthorized, '-a', server.url('root', 'alice', 'd', ''), `${work}/pulled/`);
  t.like(lines(log, 'session', 'refused').at(-1), {
    message: 'the server cannot read its authorized keys',
  });
  write();
  t.like((await awaitLines(log, 1, 'revoked')).at(0), { level: 'info', client: 'alice', publicKey: alice.publicKey });
  t.like(lines(log, 'keys').at(-1), { count: 1 });
  await failure(t, connection.list('root'), AccessError);
  await run(alice, exit.unauthorized, '-a', `${source}/`, server.url('root', 'alice', 'd'));
  // A root that is not served is told when it is written down, and not when somebody comes.
  write(`alice ${alice.publicKey} root=roots`);
  const told = await awaitLines(log, 2, 'keys-unreadable');
  t.is(told.at(-1)?.['message'], 'line 2: root=roots: this server has no such root; it serves root');
  write();
  await awaitLines(log, 2, 'keys');

  // The log is moved away, and SIGHUP begins another.
  renameSync(log, `${log}.1`);
  server.kill('SIGHUP');
  await until('the log to be there again', () => {
    try {
      return lines(log, 'keys').length === 1;
    } catch {
      return false;
    }
  });
  t.deepEqual(lines(log).map(steady), [
    { level: 'info', type: 'reload' },
    { level: 'info', type: 'keys', count: 1 },
  ]);
  const ended = await server.stop();
  t.deepEqual([ended.code, ended.stderr], [0, '']);
  t.deepEqual(lines(log).slice(2).map(steady), [
    { level: 'info', type: 'closing', signal: 'SIGTERM', sessions: 0, graceMs: 10_000 },
    { level: 'info', type: 'closed' },
  ]);
  t.deepEqual(
    lines(`${log}.1`)
      .map(({ type }) => type)
      .filter((type) => type !== 'session' && type !== 'refused'),
    ['listening', 'keys-unreadable', 'keys', 'revoked', 'keys-unreadable', 'keys'],
  );
});

test('another day: somebody joins, limits are met, something is left, a key goes in the middle, a pull counts first', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const keys = `${dir(work, 'server.config')}/authorized_keys`;
  const users = { small: client(work, 'small'), adder: client(work, 'adder'), gone: client(work, 'gone') };
  const line = (name: keyof typeof users, more: string): string => `${name} ${users[name].publicKey} ${more}`;
  const write = (...lines: readonly string[]): void => writeFileSync(keys, [...lines, ''].join('\n'), { mode: 0o600 });
  const [small, adder] = [line('small', 'allow=read,write quota=1000'), line('adder', 'allow=append')];
  write(small, adder, line('gone', 'allow=write'));
  const log = `${work}/log`;
  const args = ['--log-file', log, '--log-format', 'json', '--no-tcp', '--max-sessions', '1'];
  const server = await startServer(t, { home: work, roots: { root: served }, args });
  for (const user of Object.values(users)) user.trust(server.port, server.pin);
  const source = files(dir(work, 'source'), { a: 10 });
  // Not compressible: a path on which a busy machine sees a long round trip is compressed for.
  writeFileSync(`${source}/b`, randomBytes(900_000));
  const little = files(dir(work, 'little'), { a: 10 });
  const ended = async (count: number): Promise<Line[]> => awaitLines(log, count, 'session', 'refused', 'joined');

  // Somebody is invited, and comes.
  const { invitation } = await invite('guest', { authorizedKeysPath: keys, keyPath: `${work}/server.config/key.pem` });
  const guest = await join(`127.0.0.1:${server.port}`, invitation, {
    identity: { keyPath: `${work}/guest.pem` },
    knownHosts: `${work}/guest.hosts`,
  });
  await ended(1);
  // More than a key may have.
  const full = await failure(t, sync(source, server.url('root', 'small'), accessOf(users.small, server)), LimitError);
  t.is(full.code, 'ERR_SPARSYNC_LIMIT');
  await ended(2);
  // A name that is taken stays as it is.
  await sync(little, server.url('root', 'added'), accessOf(users.adder, server));
  await ended(3);
  files(little, { a: 20 });
  await failure(t, sync(little, server.url('root', 'added'), accessOf(users.adder, server)), PartialSyncError);
  await ended(4);
  // A second transfer while there is one, and the key of the first goes.
  const slow = sync(source, server.url('root', 'gone'), { ...accessOf(users.gone, server), bwlimit: 20_000 });
  await until('it to begin', () => slow.stats().bytesTransferred > 0);
  await failure(t, sync(little, server.url('root', 'added'), accessOf(users.adder, server)), ConnectionError);
  await ended(5);
  write(small, adder);
  await failure(t, slow, AccessError);
  await ended(6);
  await awaitLines(log, 1, 'revoked');

  const who = (name: string): object => ({ client: name, transport: 'quic' });
  const session = (name: string, path: string, figures: object): object => ({
    type: 'session',
    ...who(name),
    operation: 'push',
    root: 'root',
    path,
    dryRun: false,
    deletes: 0,
    ...figures,
  });
  const all = lines(log, 'session', 'refused', 'joined', 'revoked').map(steady);
  const expected: object[] = [
    { level: 'info', type: 'joined', ...who('guest') },
    { level: 'warn', ...session('small', 'small', { failed: 0, result: 'error', code: 'ERR_SPARSYNC_LIMIT' }) },
    { level: 'info', ...session('adder', 'added', { files: 1, bytes: 10, failed: 0, result: 'ok' }) },
    { level: 'warn', ...session('adder', 'added', { files: 0, bytes: 0, failed: 1, result: 'partial' }) },
    { level: 'warn', type: 'refused', ...who('adder'), operation: 'push', path: 'added', code: 'ERR_SPARSYNC_CONNECT' },
    { level: 'info', type: 'revoked', ...who('gone') },
    { level: 'warn', ...session('gone', 'gone', { result: 'error', code: 'ERR_SPARSYNC_UNAUTHORIZED' }) },
  ];
  t.is(all.length, expected.length, JSON.stringify(all));
  const key = (each: object): string =>
    ['type', 'client', 'result'].map((name) => Reflect.get(each, name) ?? '').join();
  for (const each of expected) {
    const { level, ...rest } = each as Line;
    const found = all.find((found) => key(found) === key(each));
    t.like(found, rest, JSON.stringify(found));
    t.true(found?.['level'] === level || found?.['level'] === 'error', `${String(found?.['level'])} of ${key(each)}`);
  }
  t.is(lines(log, 'joined')[0]?.['publicKey'], guest.key);
});

(canMount ? test : test.skip)(
  'a pull that counts first what it needs is one that read names, and then one that reads',
  async (t) => {
    const work = workDir(t);
    const served = dir(work, 'served');
    const user = client(work);
    files(served, { a: 10 });
    const log = `${work}/log`;
    const args = ['--log-file', log, '--log-format', 'json', '--no-tcp'];
    const server = await startServer(t, { home: work, roots: { root: served }, clients: [user], args });
    // Smaller than what is used where the source is, so that it has to be counted.
    files(work, { beside: 2 << 20 });
    t.true(mountTmpfs(t, `${work}/small`, 'size=1m'));
    await sync(server.url('root', ''), `${work}/small`, accessOf(user, server));
    const runs = await awaitLines(log, 3, 'session');
    t.deepEqual(new Set(runs.map(({ result }) => result)), new Set(['ok']));
    // Their ends are told in any order.
    t.true(runs.some(({ dryRun, files }) => dryRun === false && files === 1));
    t.true(runs.every(({ dryRun, bytes }) => dryRun === false || bytes === 0));
  },
);

(canMount ? test : test.skip)(
  'a push that does not fit is one line with the reason, and one that fits after it was counted is one too',
  async (t) => {
    const work = workDir(t);
    const served = `${work}/served`;
    t.true(mountTmpfs(t, served, 'size=4m'));
    const user = client(work);
    const [large, small] = [files(dir(work, 'large'), { a: 8 << 20 }), files(dir(work, 'small'), { a: 1 << 20 })];
    const log = `${work}/log`;
    const args = ['--log-file', log, '--log-format', 'json'];
    const server = await startServer(t, { home: work, roots: { root: served }, clients: [user], args });
    const access = accessOf(user, server);
    await failure(t, sync(large, server.url('root', 'large'), access), NoSpaceError);
    const [refused] = await awaitLines(log, 1, 'session', 'refused');
    t.like(refused, {
      type: 'refused',
      level: 'warn',
      operation: 'push',
      path: 'large',
      code: 'ERR_SPARSYNC_NO_SPACE',
    });
    t.regex(
      String(refused?.['message']),
      /^the destination has \d+ bytes .* free, the run needs 8388608 and 1; nothing was/,
    );
    // Where the source is more is used than is free here, so that this is counted as well.
    await sync(small, server.url('root', 'small'), access);
    await awaitLines(log, 2, 'session', 'refused');
    const connection = await connect(server.url(), access);
    await failure(t, Promise.resolve(connection.push(large, 'root/large')), NoSpaceError);
    await connection.push(small, 'root/smaller', { dryRun: true });
    await connection.close();
    const all = await awaitLines(log, 4, 'session', 'refused');
    t.deepEqual(
      all.map(({ type, path, dryRun }) => [type, path, dryRun]),
      [
        ['refused', 'large', undefined],
        ['session', 'small', false],
        ['session', 'smaller', true],
        ['refused', 'large', undefined],
      ],
    );
  },
);

test('without flags the log is text on stderr; -v tells more of it and -q less', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const source = files(dir(work, 'source'), { a: 1 });
  const said = async (...args: readonly string[]): Promise<string[]> => {
    const server = await startServer(t, {
      home: work,
      roots: { root: served },
      allow: [`me ${user.publicKey} allow=read,write`],
      args: ['--no-tcp', ...args],
    });
    const access = accessOf(user, server);
    const connection = await connect(server.url(), access);
    await connection.push(source, `root/with space="\n`);
    await connection.stat('root/a').catch(() => undefined);
    await until('the session', () => args.includes('-q') || server.stderr().includes(' session '));
    await failure(
      t,
      Promise.resolve(connection.push(source, 'root/to', { delete: true, allowMassDelete: true })),
      AccessError,
    );
    await connection.close();
    const { stderr } = await server.stop();
    return stderr
      .split('\n')
      .filter((line) => line !== '' && !/^(on the client|then, for|\(without)/.test(line))
      .map((line) =>
        line
          .replace(/^\S+ /, '')
          .replace(/ publicKey=\S+/, '')
          .replace(/ address=127\.0\.0\.1:\d+/, ' address=HERE')
          .replace(/ durationMs=\d+/, ' durationMs=N'),
      );
  };
  const session = String.raw`info session client=me address=HERE transport=quic operation=push root=root path="with space=\#042\#012" dryRun=false files=1 bytes=1 deletes=0 failed=0 result=ok durationMs=N`;
  const refused =
    'warn refused client=me address=HERE transport=quic operation=push root=root path=to code=ERR_SPARSYNC_SCOPE message="the key \\#042me\\#042 may not delete"';
  const closing = ['info closing signal=SIGTERM sessions=0 graceMs=10000', 'info closed'];
  const plain = await said();
  t.deepEqual(plain, [session, refused, ...closing]);
  t.deepEqual(await said('-q'), [refused]);
  const verbose = await said('-v');
  t.is(verbose[0], 'debug connected client=me address=HERE transport=quic');
  t.true(
    verbose.some((line) =>
      line.startsWith(
        'debug answered client=me address=HERE transport=quic operation=stat root=root path=a code=ERR_SPARSYNC_NOT_FOUND ',
      ),
    ),
  );
  t.true(verbose.includes('debug disconnected client=me address=HERE transport=quic durationMs=N'));
  const json = ['-v', '--log-format', 'json'];
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user], args: json });
  const { stderr } = await server.stop();
  for (const line of stderr.trimEnd().split('\n')) t.notThrows(() => void JSON.parse(line), line);
  t.deepEqual(
    verbose.filter((line) => !line.startsWith('debug ')).map((line) => line.split(' ')[1]),
    ['session', 'refused', 'closing', 'closed'],
  );
});

test('a log that cannot be written is refused at the start, and later told on stderr with what it lost', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const args = ['serve', '--root', `r=${work}`, '--listen', '127.0.0.1:0', '--allow', `me ${user.publicKey}`];
  const refused = await cli(t, user, [...args, '--log-file', `${work}/none/log`]);
  t.is(refused.code, exit.io, refused.stderr);
  t.regex(refused.stderr, /cannot write the log: .*none\/log/);
  t.is((await cli(t, user, [...args, '--log-format', 'xml'])).code, exit.usage);
  const server = startCli(t, user, [...args, '--log-file', '/dev/full']);
  await until('the server', () => server.stdout() !== '' || server.over());
  server.kill('SIGTERM');
  const ended = await server.ended;
  t.is(ended.stderr.match(/cannot write the log: ENOSPC/g)?.length, 1, ended.stderr);
  for (const type of ['listening', 'closing', 'closed']) t.regex(ended.stderr, new RegExp(`info ${type}`));
});

test('a program is told the same by serve(), and of keys when it asks for them', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const source = files(dir(work, 'source'), { a: 5 });
  const events: ServerEvent[] = [];
  const server = await serve({
    roots: { root: dir(work, 'served') },
    allow: [{ name: 'me', key: user.publicKey, operations: ['write'] }],
    identity: { keyPath: `${work}/server.pem` },
    log: (event) => events.push(event),
  });
  const access = { identity: { keyPath: user.keyPath }, trust: { pin: server.publicKey } };
  await sync(source, server.url('root'), access);
  await failure(t, sync(server.url('root'), `${work}/back`, access), AccessError);
  server.reload();
  await server.close();
  t.deepEqual(
    events
      .filter(({ type }) => type !== 'answered')
      .map(({ type }) => type)
      .toSorted(),
    ['connected', 'connected', 'disconnected', 'disconnected', 'keys', 'refused', 'session'],
  );
  const session = events.find((event) => event.type === 'session');
  t.like(session, { client: 'me', operation: 'push', root: 'root', path: '', files: 1, bytes: 5, result: 'ok' });
  t.true(session?.at instanceof Date);
  t.like(
    events.find((event) => event.type === 'refused'),
    { client: 'me', operation: 'pull', code: 'ERR_SPARSYNC_SCOPE' },
  );
});
