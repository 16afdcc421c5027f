// Users that a container has: without a home folder, without an entry in the list of users. A run needs neither, and
// what does need a file of its own says how to name it. Locks are the machine's, whoever runs and wherever home is.
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { certify } from './helpers/certified.js';
import { client, program } from './helpers/product.js';
import { exit } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { type Ended, type Running, start, until } from './helpers/process.js';
import { Relay } from './helpers/relay.js';
import { startServer } from './helpers/server.js';
import { isRoot } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { urlAt } from './helpers/url.js';

/** A number that no list of users has. */
const NOBODY = 54_321;

/** Takes name, groups and rights from root; anybody else stays who they are. */
const asNobody = isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : [];

/** What a user without a home folder may find in the environment. */
const homes: Readonly<Record<string, readonly string[]>> = {
  'without HOME': [],
  'with a HOME that does not exist': ['HOME=/nonexistent'],
  'with a HOME that is no folder': ['HOME=/dev/null'],
};

/** Runs a command in an environment that holds nothing but what is given. */
function bare(t: ExecutionContext, env: readonly string[], args: readonly string[]): Promise<Ended> {
  const path = `PATH=${process.env['PATH'] ?? ''}`;
  return start(t, 'env', ['-i', path, ...env, ...asNobody, process.execPath, program, ...args]).ended;
}

/** A work folder that others may reach. */
function publicDir(t: ExecutionContext): string {
  const path = workDir(t);
  for (const each of [path, dirname(path)]) chmodSync(each, 0o755);
  return path;
}

/** A folder that the user without a name may write to. */
function own(parent: string, name: string): string {
  const path = dir(parent, name);
  if (isRoot) chownSync(path, NOBODY, NOBODY);
  return path;
}

function readable(parent: string): string {
  const source = dir(parent, 'source');
  mkdirSync(`${source}/below`);
  writeFileSync(`${source}/below/file`, 'content');
  writeFileSync(`${source}/one`, 'one file');
  return source;
}

for (const [how, env] of Object.entries(homes)) {
  // Who has an entry in the list of users has a home by it, and a test must not write there.
  const declare = judgedWhere(isRoot);

  declare(`${how}: a copy on one machine works, again, and of one file`, async (t) => {
    const work = publicDir(t);
    const source = readable(work);
    const to = own(work, 'to');
    for (let run = 0; run < 2; run += 1) {
      const ended = await bare(t, env, ['-rlpt', '--delete', `${source}/`, to]);
      t.deepEqual([ended.code, ended.stdout, ended.stderr], [0, '', '']);
    }
    t.deepEqual(readdirSync(to), readdirSync(source));
    t.is(readFileSync(`${to}/below/file`, 'utf8'), 'content');
    const single = await bare(t, env, ['-t', `${source}/one`, `${to}/another`]);
    t.deepEqual([single.code, single.stderr], [0, '']);
    t.is(readFileSync(`${to}/another`, 'utf8'), 'one file');
  });

  declare(`${how}: a push and a server work with files that are named`, async (t) => {
    const work = publicDir(t);
    const source = readable(work);
    const served = own(work, 'served');
    const keys = own(work, 'keys');
    const key = await bare(t, env, ['keys', '--identity', `${keys}/client.pem`]);
    t.is(key.code, 0, key.stderr);
    const args = ['--identity', `${keys}/server.pem`, '--allow', `me ${key.stdout.trim()}`];
    const path = `PATH=${process.env['PATH'] ?? ''}`;
    const serve = ['serve', '--listen', '127.0.0.1:0', '--root', `root=${served}`, ...args];
    const server = start(t, 'env', ['-i', path, ...env, ...asNobody, process.execPath, program, ...serve]);
    const listening = (): RegExpExecArray | null => / on udp\+tcp (\S+)\.  Server key (\S+) /.exec(server.stdout());
    await until('the server', () => server.over() || listening() !== null);
    const [, address = '', pin = ''] = listening() ?? [];
    t.not(address, '', server.stderr());
    const push = [
      '-rlpt',
      '--identity',
      `${keys}/client.pem`,
      '--pin',
      pin,
      `${source}/`,
      `${urlAt(address, 'root')}/`,
    ];
    const ended = await bare(t, env, push);
    t.deepEqual([ended.code, ended.stdout, ended.stderr], [0, '', '']);
    t.is(readFileSync(`${served}/below/file`, 'utf8'), 'content');
  });

  declare(`${how}: what needs a file of its own says how to name one`, async (t) => {
    const work = publicDir(t);
    const source = readable(work);
    for (const args of [
      ['keys'],
      ['serve', '--listen', '127.0.0.1:0', '--root', `root=${source}`, '--anonymous'],
      ['-a', `${source}/`, `${urlAt('127.0.0.1:1', 'root')}/`],
      ['trust', '127.0.0.1'],
    ]) {
      const ended = await bare(t, env, args);
      const label = `${args.join(' ')}: ${ended.stderr}`;
      // Without a pin there is nothing to show, which needs no folder.
      if (args[0] === 'trust' && env.length > 0) continue;
      t.true(ended.code === exit.usage || ended.code === exit.io, label);
      t.regex(ended.stderr, /SPARSYNC_CONFIG_DIR/, label);
      t.regex(ended.stderr, /--identity/, label);
      t.notRegex(ended.stderr, /INTERNAL|homedir/, label);
    }
    const doctor = await bare(t, env, ['doctor']);
    t.regex(doctor.stdout, /key: .*\n.*SPARSYNC_CONFIG_DIR|key: .*SPARSYNC_CONFIG_DIR/, doctor.stdout + doctor.stderr);
    t.regex(doctor.stdout, /warning\s+state: .*\n.*SPARSYNC_STATE_DIR/);
  });
}

test('--help names the variables of the environment', async (t) => {
  const help = await start(t, process.execPath, [program, '--help']).ended;
  for (const name of ['CONFIG_DIR', 'STATE_DIR', 'GUARDS', 'PROFILE', 'BATCH_WRITE_CONCURRENCY'])
    t.regex(help.stdout, new RegExp(`SPARSYNC_${name}`));
});

judgedWhere(isRoot)(
  'users and home folders of one machine exclude each other, and nobody sweeps what is alive',
  async (t) => {
    const work = publicDir(t);
    const served = own(work, 'served');
    // The user without a name reaches his own folder through one that he may only search.
    const hidden = dir(served, 'hidden');
    chmodSync(hidden, 0o711);
    const mine = own(hidden, 'mine');
    const source = dir(work, 'source');
    writeFileSync(`${source}/large`, certify('large', 1, 32 << 20));

    const user = client(work, 'user');
    own(work, 'server.config');
    const server = await startServer(t, {
      home: work,
      roots: { open: served, mine },
      clients: [user],
      under: ['env', '-u', 'HOME', ...asNobody],
    });
    await using relay = await Relay.start({ to: server.port });
    user.trust(relay.port, server.pin);
    const root = (args: readonly string[]): Promise<Ended> =>
      start(t, process.execPath, [program, ...args], { env: { HOME: work, SPARSYNC_STATE_DIR: undefined } }).ended;
    /** Begins a push that stands still at a quarter, until the relay lets it go on. */
    const stalled = async (...to: readonly string[]): Promise<Running> => {
      relay.cut = false;
      const running = start(t, process.execPath, [program, '-a', `${source}/`, relay.url(...to)], { env: user.env });
      await Promise.race([relay.passed('up', 8 << 20), running.ended]);
      relay.cut = true;
      t.false(running.over(), running.stderr());
      return running;
    };
    const unfinished = (folder: string): string[] => readdirSync(folder).filter((name) => name.startsWith('.sps-'));

    const small = dir(work, 'small');
    writeFileSync(`${small}/file`, 'small');
    let first = await stalled('open', 'tree');
    await until(
      'the first file',
      () => readdirSync(served).includes('tree') && unfinished(`${served}/tree`).length > 0,
    );
    for (const [to, what] of [
      ['tree', 'the destination'],
      ['tree/below', 'a directory above the destination'],
      ['', 'something in the destination'],
    ] as const) {
      const ended = await root(['-a', `${small}/`, `${served}/${to}`]);
      t.is(ended.code, exit.busy, ended.stderr);
      t.true(ended.stderr.includes(`${what} is being written by process ${server.pid} (`), ended.stderr);
    }
    t.is(unfinished(`${served}/tree`).length, 1);
    relay.cut = false;
    t.is((await first.ended).code, 0);
    t.is((await root(['-a', `${small}/`, `${served}/tree`])).code, 0);

    // Here the lock above could not be taken. What is alive below is seen on the way down to it.
    first = await stalled('mine');
    await until('the second file', () => unfinished(mine).length > 0);
    mkdirSync(`${small}/mine`);
    writeFileSync(`${small}/mine/beside`, 'beside');
    const over = await root(['-rt', `${small}/`, hidden]);
    t.deepEqual([over.code, over.stderr], [0, '']);
    t.is(unfinished(mine).length, 1);
    relay.cut = false;
    t.is((await first.ended).code, 0);
    t.true(readFileSync(`${mine}/large`).equals(readFileSync(`${source}/large`)));
    t.deepEqual(unfinished(mine), []);
  },
);
