import { writeFileSync } from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { exit } from './helpers/cli.js';
import { type Ended, type Running, start, until } from './helpers/process.js';
import { type Client, client, program } from './helpers/product.js';
import { dir, workDir } from './helpers/temp.js';
import { names } from './helpers/walk.js';
import { plainTree } from './helpers/tree.js';

/** Starts the command with its streams redirected by a shell, as in `>/dev/full`. */
function redirected(t: ExecutionContext, user: Client, redirection: string, args: readonly string[]): Running {
  const script = `exec "$@" ${redirection}`;
  return start(t, 'sh', ['-c', script, 'sh', process.execPath, program, ...args], { env: user.env });
}

function run(t: ExecutionContext, user: Client, redirection: string, args: readonly string[]): Promise<Ended> {
  return redirected(t, user, redirection, args).ended;
}

const LOST = /^error: cannot write to stdout: ENOSPC: no space left on device$/gm;

/** One line about the lost output, a code of its own, no stack. */
function assertToldOnce(t: ExecutionContext, ended: Ended, label: string): void {
  t.is(ended.code, exit.output, `${label}: ${ended.stderr}`);
  t.is(ended.stderr.match(LOST)?.length, 1, `${label}: ${ended.stderr}`);
  t.notRegex(ended.stderr, /\n\s+at /, label);
}

/** What each verb prints something for, and succeeds. */
function commands(work: string): readonly (readonly string[])[] {
  const source = dir(work, 'source');
  plainTree(source, { directories: 3, files: 30 });
  return [
    ['--version'],
    ['--help'],
    ['-av', `${source}/`, `${work}/verbose/`],
    ['-a', '--json', `${source}/`, `${work}/json/`],
    ['-ain', '--stats', `${source}/`, `${work}/planned/`],
    ['verify', '--json', `${source}/`, `${source}/`],
    ['keys'],
    ['keys', '--json'],
    ['doctor'],
    ['doctor', '--json'],
    ['trust', '--help'],
    ['profile', '--help'],
    ['serve', '--help'],
  ];
}

test('a full disk under stdout is told once, has its own exit code, and cuts no work off', async (t) => {
  const work = workDir(t);
  const user = client(work);
  for (const args of commands(work)) assertToldOnce(t, await run(t, user, '>/dev/full', args), args.join(' '));
  t.deepEqual(names(`${work}/verbose`), names(`${work}/source`));
  t.deepEqual(names(`${work}/json`), names(`${work}/source`));
});

test('a full disk under stderr, or under both, cuts no work off either', async (t) => {
  const work = workDir(t);
  const user = client(work);
  for (const args of commands(work)) {
    const ended = await run(t, user, '2>/dev/full', args);
    t.is(ended.code, exit.ok, args.join(' '));
    t.not(ended.stdout, '', args.join(' '));
    t.is((await run(t, user, '>/dev/full 2>&1', args)).code, exit.output, args.join(' '));
  }
  t.deepEqual(names(`${work}/verbose`), names(`${work}/source`));
  const failed = await run(t, user, '2>/dev/full', ['-a', `${work}/none/`, `${work}/to/`]);
  t.is(failed.code, exit.partial, 'what went wrong counts more than that nobody could be told');
  const warned = await run(t, user, '2>/dev/full', ['keys', '--identity', `${work}/new.pem`]);
  t.is(warned.code, exit.output, 'a note was lost');
});

test('closed streams and readers that have gone are no reason for noise', async (t) => {
  const work = workDir(t);
  const user = client(work);
  for (const args of commands(work).filter((words) => !words.includes('--help'))) {
    for (const redirection of ['>&- 2>&-', '| true']) {
      const ended = await run(t, user, redirection, args);
      t.is(ended.stderr, '', `${args.join(' ')} ${redirection}`);
      t.is(ended.code, exit.ok, `${args.join(' ')} ${redirection}`);
    }
  }
});

test('a server goes on serving when nobody could read where', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const args = ['serve', '--root', `r=${work}`, '--listen', '127.0.0.1:0', '--allow', `me ${user.publicKey}`];
  for (const more of [[], ['--json']]) {
    const server = redirected(t, user, '>/dev/full', [...args, ...more]);
    await until('a word from the server', () => server.stderr().includes('\n') || server.over());
    t.false(server.over());
    server.kill('SIGTERM');
    assertToldOnce(t, await server.ended, 'serve');
  }
});

test('a profile that cannot be written is told once, and the other sources are synced', async (t) => {
  const work = workDir(t);
  const user = client(work);
  for (const name of ['one', 'two']) writeFileSync(`${dir(work, name)}/file`, name);
  const args = ['-a', '--profile', '/dev/full', `${work}/one`, `${work}/two`, dir(work, 'to')];
  const ended = await run(t, user, '', args);
  t.is(ended.code, exit.output, ended.stderr);
  t.is(
    ended.stderr,
    'error[ERR_SPARSYNC_IO]: cannot write the profile: ENOSPC: no space left on device, write (/dev/full)\n',
  );
  t.deepEqual(names(`${work}/to`), ['one', 'one/file', 'two', 'two/file']);
});
