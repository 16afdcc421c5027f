// The server without Node: `sparsync-remote serve` has the flags and files of the command's.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { AccessError, connect, sync } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { assertEqual, judged } from './helpers/judge.js';
import { until } from './helpers/process.js';
import { client } from './helpers/product.js';
import { remote } from './helpers/remote.js';
import { startServer } from './helpers/server.js';
import { accessOf, codeOf, failure, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';

/** Runs it to its end, without a home folder, where it can leave nothing behind. */
function serve(...words: readonly string[]): { code: number | null; said: string } {
  const options = { encoding: 'utf8', timeout: 20_000, env: {}, cwd: '/proc' } as const;
  const { status, stdout, stderr } = spawnSync(remote, ['serve', ...words], options);
  return { code: status, said: stdout + stderr };
}

judged('a push, no change, a change and a pull, over QUIC and over TCP', async (t) => {
  const { work, served, url, client: user } = await setup(t, { program: [remote], args: ['--exclude=hidden'] });
  const source = dir(work, 'source');
  plainTree(source, { directories: 5, files: 20 });
  writeFileSync(`${source}/large`, Buffer.alloc(4_000_000, 'large'));
  for (const transport of ['quic', 'tcp']) {
    const run = (...args: string[]): Promise<void> =>
      quietly(t, user, ['-aHAX', '--delete', `--transport=${transport}`, ...args]);
    await run(`${source}/`, url(`${transport}/`));
    await run(`${source}/`, url(`${transport}/`));
    writeFileSync(`${source}/new`, transport);
    await run(`${source}/`, url(`${transport}/`));
    assertEqual(t, source, `${served}/${transport}`);
    await run(url(`${transport}/`), `${work}/back/`);
    assertEqual(t, source, `${work}/back`);
  }
  writeFileSync(`${source}/hidden`, '');
  t.not((await cli(t, user, ['-a', `${source}/`, url('other/')])).code, 0);
  t.false(existsSync(`${served}/other/hidden`));
});

test('keys are those of the same files, read again when they change and at SIGHUP', async (t) => {
  const work = workDir(t);
  const [one, two] = [client(work, 'one'), client(work, 'two')];
  const keys = `${dir(work, 'server.config')}/authorized_keys`;
  writeFileSync(keys, `one ${one.publicKey} root=root allow=read\n`, { mode: 0o600 });
  const options = { home: work, roots: { root: dir(work, 'served') } };
  const server = await startServer(t, { ...options, program: [remote] });
  const open = async (who: typeof one): Promise<string> => {
    const connection = await connect(server.url(), accessOf(who, server));
    return connection.list().then(
      () => 'let in',
      (error: unknown) => codeOf(error) ?? '',
    );
  };
  t.is(await open(one), 'let in');
  const push = sync(dir(work, 'source'), server.url('root', 'x'), accessOf(one, server));
  t.is((await failure(t, push, AccessError)).code, 'ERR_SPARSYNC_SCOPE');
  writeFileSync(keys, `two ${two.publicKey}\n`, { mode: 0o600 });
  server.kill('SIGHUP');
  let seen = '';
  await until('the other client to be let in', () => {
    void open(two).then(
      (found) => (seen = found),
      () => undefined,
    );
    return seen === 'let in';
  });
  await server.stop();
  // It is the same server when the command serves there.
  const again = await startServer(t, options);
  t.is(again.pin, server.pin);
});

test('its log has the lines of the command, in both forms', async (t) => {
  const work = workDir(t);
  const [writer, reader, stranger] = [client(work, 'writer'), client(work, 'reader'), client(work, 'stranger')];
  const source = dir(work, 'source');
  writeFileSync(`${source}/a`, 'content');
  const day = async (format: 'text' | 'json', program?: readonly string[]): Promise<string[]> => {
    const name = `${format}-${program === undefined ? 'command' : 'remote'}`;
    const log = `${work}/${name}.log`;
    const server = await startServer(t, {
      home: work,
      roots: { root: dir(work, `${name}.served`), other: dir(work, 'other') },
      allow: [`writer ${writer.publicKey} allow=write`, `reader ${reader.publicKey} allow=read`],
      args: ['--no-tcp', '--log-file', log, '--log-format', format, '--verbose'],
      ...(program === undefined ? {} : { program }),
    });
    const odd = Buffer.concat([Buffer.from('root/odd\u001b[31m\u202e" \\#033'), Buffer.from([0xff])]);
    for (const [who, path, ends] of [
      [writer, odd, 1],
      [reader, 'root/x', 3],
      [stranger, 'root/x', 4],
    ] as const) {
      const opened = connect(server.url(), accessOf(who, server));
      await opened
        .then(async (connection) => {
          await connection.push(source, path).then(
            () => undefined,
            () => undefined,
          );
          await connection.close();
        })
        .catch(() => undefined);
      await until('the log', () => readFileSync(log, 'utf8').split(/refused|disconnected/).length > ends);
    }
    server.kill('SIGHUP');
    await until('the reload', () => /keys/.test(readFileSync(log, 'utf8').replaceAll('keys-', '')));
    const ended = await server.stop();
    t.is(ended.stderr.replaceAll(/^(on the client|then, for|\(without).*\n/gm, ''), '');
    // What differs from one to another, and the order of what two threads say.
    return `${ended.stdout.replace(/ \(.*\)\.$/m, ' (WHERE).').replaceAll(name, 'NAME')}${readFileSync(log, 'utf8')}`
      .split('\n')
      .map((line) =>
        line
          .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
          .replaceAll(/127\.0\.0\.1:\d+/g, 'HERE')
          .replaceAll(/durationMs("?[:=])\d+/g, 'durationMs$1N'),
      )
      .toSorted();
  };
  for (const format of ['text', 'json'] as const) {
    const [command, without] = [await day(format), await day(format, [remote])];
    t.true(command.length > 8, command.join('\n'));
    t.deepEqual(without, command, format);
  }
});

test('it takes each flag of the command, or says by its name that it does not', async (t) => {
  const user = client(workDir(t));
  const help = (await cli(t, user, ['serve', '--help'])).stdout;
  const flags = [...help.matchAll(/^ +(?:-\w, )?--([\w-]+)/gm)].map(([, name = '']) => name);
  t.true(flags.length > 25, flags.join(' '));
  const own = serve('--help').said;
  for (const name of flags) {
    const { code, said } = serve(`--${name}`, '--nothing');
    t.is(code, name === 'help' ? 0 : exit.usage, name);
    t.is(own.includes(`  --${name}`), !said.includes(`--${name} works with "sparsync serve" only`), `${name}: ${said}`);
    t.false(said.includes(`unknown argument --${name}`), said);
  }
});

test('what cannot be served is told', (t) => {
  const work = workDir(t);
  const root = ['--root', `root=${work}`, '--listen', '127.0.0.1:0'];
  for (const [words, told] of [
    [['folder'], /takes no folder/],
    [['--nothing'], /unknown argument --nothing/],
    [['--root'], /--root needs a value/],
    [['--root', 'nothing'], /must be NAME=PATH/],
    [['--anonymous=yes'], /takes no value/],
    [[...root, '--listen', 'localhost:0'], /numeric address/],
    [[...root, '--refuse=nothing'], /it is not an option that a client asks a server for/],
    [[...root, '--max-sessions=0'], /whole number from 1/],
    [[...root, '--durability=much'], /no --durability=much/],
    [[...root, '--anonymous', '--listen', '0.0.0.0:0', '--identity', `${work}/key`], /open to everybody/],
    [['--listen', '127.0.0.1:0', '--anonymous', '--identity', `${work}/key`], /nothing to serve/],
    [[...root, '--allow', 'x nonsense', '--identity', `${work}/key`], /is not a key/],
  ] as const) {
    const { code, said } = serve(...words);
    t.is(code, exit.usage, said);
    t.regex(said, told);
  }
  t.is(readFileSync(`${work}/key`, 'utf8').includes('PRIVATE KEY'), true);
});

test('variables of the environment say what no flag says, as to the command', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const [named, more] = [dir(work, 'named'), dir(work, 'more')];
  for (const each of ['kept', 'hidden']) writeFileSync(`${more}/${each}`, each);
  const env = {
    SPARSYNC_SERVE_ROOT: `more=${more}\nagain=${named}`,
    SPARSYNC_SERVE_ALLOW: `user ${user.publicKey}`,
    SPARSYNC_SERVE_EXCLUDE: 'hidden\nnothing',
    SPARSYNC_SERVE_READ_ONLY: 'on',
    SPARSYNC_SERVE_NO_TCP: 'false',
    SPARSYNC_SERVE_LOG_FORMAT: 'json',
    SPARSYNC_SERVE_LOG_FILE: `${work}/other.log`,
    SPARSYNC_SERVE_DURABILITY: '',
    SPARSYNC_SERVE_PORT_8080_TCP: 'tcp://10.0.0.1:8080',
    SPARSYNC_BWLIMIT: '1M',
  };
  for (const program of [undefined, [remote]]) {
    const log = `${work}/${program === undefined ? 'command' : 'remote'}.log`;
    const args = ['--log-file', log];
    const of = program === undefined ? {} : { program };
    const server = await startServer(t, { home: work, roots: { root: named }, env, args, ...of });
    const connection = await connect(server.url(), accessOf(user, server));
    const names = async (path: string): Promise<string[]> =>
      (await connection.list(path)).map(({ name }) => name).toSorted();
    t.deepEqual(await names(''), ['again', 'more', 'root']);
    t.deepEqual(await names('more'), ['kept']);
    const push = connection.push(more, 'root/x');
    t.is((await failure(t, push, AccessError)).code, 'ERR_SPARSYNC_SCOPE');
    await connection.close();
    t.is(connection.transport, 'quic');
    await sync(server.url('more'), `${work}/back`, { ...accessOf(user, server), transport: 'tcp', delete: true });
    await server.stop();
    t.regex(readFileSync(log, 'utf8'), /^\{/);
    t.false(existsSync(`${work}/other.log`));
  }
});

test('a secret that a system manager hands over is the key', async (t) => {
  const work = workDir(t);
  const options = { home: work, roots: { root: dir(work, 'served') }, args: ['--anonymous'] };
  const first = await startServer(t, { ...options, program: [remote] });
  await first.stop();
  const handed = dir(work, 'handed');
  writeFileSync(`${handed}/sparsync-key`, readFileSync(`${first.configDir}/key.pem`));
  const env = { CREDENTIALS_DIRECTORY: handed };
  const second = await startServer(t, { ...options, home: dir(work, 'elsewhere'), env, program: [remote] });
  t.is(second.pin, first.pin);
  t.false(existsSync(`${second.configDir}/key.pem`));
});

test('a variable that cannot be taken is refused by its name', (t) => {
  for (const [name, value, told] of [
    ['MAX_SESSONS', '8', /unknown variable/],
    ['max_sessions', '8', /unknown variable/],
    ['HELP', 'true', /unknown variable/],
    ['PORT', '8080', /unknown variable/],
    ['MAX_SESSIONS', 'many', /whole number from 1/],
    ['ANONYMOUS', 'yes', /true or false/],
    ['LOG_FORMAT', 'xml', /no --log-format=xml/],
    ['REFUSE', 'delete\nnothing', /it is not an option that a client asks a server for/],
    ['IDENTITY', '-----BEGIN PRIVATE KEY-----', /a secret/],
    ['PID_FILE', '/run/pid', /works with "sparsync serve" only/],
  ] as const) {
    const env = { [`SPARSYNC_SERVE_${name}`]: value };
    const options = { encoding: 'utf8', timeout: 20_000, env, cwd: '/proc' } as const;
    const { status, stderr } = spawnSync(remote, ['serve', '--root', 'root=/proc'], options);
    t.is(status, exit.usage, stderr);
    t.regex(stderr, told);
    t.true(stderr.includes(`SPARSYNC_SERVE_${name}: `), stderr);
    t.false(stderr.includes('PRIVATE'), stderr);
  }
});
