// How a stranger becomes a client: invitations and credentials. What is tried against them: attacks.spec.ts.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import {
  AccessError,
  ConfigError,
  ConnectionError,
  connect,
  invite,
  issueCredential,
  join,
  joinViaSsh,
  sync,
} from '../dist/index.js';
import type { ServerEvent } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { start, until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { failure } from './helpers/setup.js';
import { guest, site, source } from './helpers/site.js';
import { overSsh, startSshd } from './helpers/sshd.js';
import { dir, workDir } from './helpers/temp.js';
import { urlAt } from './helpers/url.js';

test('an invitation works once, for its scope, and the guest has the key of the server from it', async (t) => {
  const { work, served, keys, server, address, events, options } = await site(t);
  const { invitation, serverKey } = await invite('alice', { ...options, roots: ['root/alice'], operations: ['write'] });
  t.is(serverKey, server.publicKey);
  const alice = guest(work, 'alice');
  const joined = await join(address, invitation, alice);
  t.like(joined, { name: 'alice', serverKey, roots: ['root/alice'] });
  t.is(readFileSync(keys, 'utf8'), `alice ${joined.key} root=root/alice allow=write\n`);
  t.is(readFileSync(alice.knownHosts, 'utf8'), `${address} ${serverKey}\n`);
  t.is(readFileSync(`${keys}.invitations`, 'utf8'), '');
  const access = { identity: alice.identity, trust: { knownHosts: alice.knownHosts } };
  await sync(source(work), server.url('root/alice').replace('%2F', '/'), access);
  t.is(readFileSync(`${served}/alice/file`, 'utf8'), 'content');
  for (const place of ['root/bob', 'root']) {
    await failure(t, sync(source(work), urlAt(address, place), access), AccessError, place);
  }
  await failure(t, sync(urlAt(address, 'root', 'alice'), `${work}/back`, access), AccessError, 'it may not read');
  await until('the log', () => events.some(({ type }) => type === 'joined'));
  t.like(
    events.find(({ type }) => type === 'joined'),
    { client: 'alice', publicKey: joined.key },
  );
});

// Alone, because its credential is in the environment of this process.
test.serial('a credential is all that a machine needs, for its scope, its server and its time', async (t) => {
  const { work, served, keys, server, address, options } = await site(t);
  const ci = { ...options, roots: ['root/web'], operations: ['write', 'delete'] as const };
  const { credential, key } = await issueCredential('ci', address, ci);
  server.reload();
  t.is(readFileSync(keys, 'utf8'), `ci ${key} root=root/web allow=write,delete\n`);
  const run = async (value: string, ...args: readonly string[]) =>
    start(t, 'env', [
      ...['-i', `PATH=${process.env['PATH'] ?? ''}`, `SPARSYNC_CREDENTIAL=${value}`, 'HOME=/nonexistent'],
      ...[process.execPath, program, ...args],
    ]).ended;
  const pushed = await run(credential, '-rlpt', `${source(work)}/`, urlAt(address, 'root', 'web', ''));
  t.deepEqual([pushed.code, pushed.stderr], [exit.ok, '']);
  t.is(readFileSync(`${served}/web/file`, 'utf8'), 'content');
  // The line that `invite --credential` prints, stored as it is.
  const stored = await run(
    `SPARSYNC_CREDENTIAL=${credential}\n`,
    '-rlpt',
    `${work}/source/`,
    urlAt(address, 'root', 'web', ''),
  );
  t.deepEqual([stored.code, stored.stderr], [exit.ok, '']);
  for (const [args, code] of [
    [[`${work}/source/`, urlAt(address, 'root', '')], exit.unauthorized],
    [[urlAt(address, 'root', 'web', ''), `${work}/back/`], exit.unauthorized],
    [[`${work}/source/`, urlAt('other.example', 'root', 'web', '')], exit.usage],
  ] as const) {
    const refused = await run(credential, '-a', ...args);
    t.is(refused.code, code, refused.stderr);
    t.false(refused.stderr.includes(credential.slice(30, 60)), 'a secret is in no message');
  }
  for (const bad of ['x', credential.slice(0, 60), `${credential.slice(0, 22)}e30`]) {
    const refused = await run(bad, '-a', `${work}/source/`, urlAt(address, 'root', 'web', ''));
    t.is(refused.code, exit.usage, refused.stderr);
    t.regex(refused.stderr, /SPARSYNC_CREDENTIAL/);
  }
  // Its time is over, also for a connection that stands.
  process.env['SPARSYNC_CREDENTIAL'] = credential;
  t.teardown(() => delete process.env['SPARSYNC_CREDENTIAL']);
  const ends = new Date(Date.now() + 3000).toISOString().replace(/\.\d+/, '');
  writeFileSync(keys, `ci ${key} root=root/web allow=write,delete expires=${ends}\n`, { mode: 0o600 });
  server.reload();
  const connection = await connect(urlAt(address, 'root', 'web'));
  await connection.push(source(work), '');
  await until('the end of its time', () => server.stats()['connections_active'] === 0, 8000);
  const over = await failure(t, Promise.resolve(connection.push(source(work), '')), AccessError);
  t.regex(over.message, /has expired/);
  await connection.close();
});

test('the command invites, joins, lists and revokes, without a restart of the server', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const admin = client(work, 'server');
  const server = await startServer(t, { home: work, roots: { root: served } });
  const address = `127.0.0.1:${server.port}`;
  const invited = await cli(t, admin, [
    ...['invite', 'alice', '--root', 'root', '--prefix', 'al ice', '--allow', 'read,write'],
    ...['--address', address, '--expires', '90d'],
  ]);
  t.is(invited.code, exit.ok, invited.stderr);
  t.regex(invited.stdout, /^sparsync-invite-1\.[\w-]+\n$/);
  t.regex(invited.stderr, new RegExp(`sparsync join ${address} `));
  const alice = client(work, 'alice');
  const argv = await cli(t, alice, ['join', address, invited.stdout.trim()]);
  t.is(argv.code, exit.usage, 'a secret does not belong on the command line');
  t.is((await cli(t, alice, ['join', address], { input: '' })).code, exit.usage);
  const joined = await cli(t, alice, ['join', address], { input: invited.stdout });
  t.is(joined.code, exit.ok, joined.stderr);
  t.regex(
    joined.stdout,
    /^joined as alice: server key confirmed by the invitation -> \S+known_hosts\.  Your key ed25519:\S+ \(\S+\)\.\n$/,
  );
  t.regex(joined.stderr, new RegExp(urlAt(address, 'root', 'al%20ice', '')));
  const again = await cli(t, client(work, 'bob'), ['join', address], { env: { SPARSYNC_INVITATION: invited.stdout } });
  t.is(again.code, exit.unauthorized, again.stderr);
  const second = await cli(t, admin, ['invite', 'carol', '--root', 'root', '--address', address]);
  const byVariable = { env: { SPARSYNC_INVITATION: second.stdout }, input: '' };
  const carol = await cli(t, client(work, 'carol'), ['join', address, '--json'], byVariable);
  t.is(carol.code, exit.ok, carol.stderr);
  t.like(JSON.parse(carol.stdout), { type: 'joined', name: 'carol', roots: ['root'] });
  t.is((await cli(t, admin, ['keys', 'revoke', 'carol'])).code, exit.ok);
  const to = urlAt(address, 'root', 'al%20ice', '');
  t.is((await cli(t, alice, ['-a', `${source(work)}/`, to])).code, exit.ok);
  t.is(readFileSync(`${served}/al ice/file`, 'utf8'), 'content');
  const listed = await cli(t, admin, ['keys', 'list']);
  const line = `alice ${alice.publicKey} root=root/al%20ice allow=read,write expires=`;
  t.true(listed.stdout.startsWith(line), listed.stdout);
  t.is((await cli(t, admin, ['keys', 'show', 'alice'])).stdout, listed.stdout);
  t.is((await cli(t, admin, ['keys', 'show', 'bob'])).code, exit.usage);
  const json = await cli(t, admin, ['keys', 'list', '--json']);
  t.like(JSON.parse(json.stdout), { type: 'client', name: 'alice', operations: ['read', 'write'], line: 1 });
  // A connection that stands is ended.
  const connection = await connect(to, { identity: { keyPath: alice.keyPath }, trust: { pin: server.pin } });
  const revoked = await cli(t, admin, ['keys', 'revoke', 'alice']);
  t.deepEqual([revoked.code, revoked.stdout], [exit.ok, listed.stdout]);
  await until('the end of the connection', () => /info revoked client=alice/.test(server.stderr()), 5000);
  await failure(t, connection.list(), AccessError);
  await connection.close();
  t.is((await cli(t, alice, ['-a', `${work}/source/`, to])).code, exit.unauthorized);
  t.not((await cli(t, admin, ['keys', 'revoke', 'alice'])).code, exit.ok);
  // In place of a home folder.
  const issued = await cli(t, admin, ['invite', 'ci', '--root', 'root', '--credential', '--address', address]);
  t.regex(issued.stdout, /^SPARSYNC_CREDENTIAL=sparsync-credential-1\.[\w-]+\n$/);
  for (const bad of [
    ['invite'],
    ['invite', 'a', '--prefix', 'x'],
    ['invite', 'a b'],
    ['invite', 'a', '--allow', 'all'],
    ['invite', 'a', '--expires', '2020-01-01'],
    ['invite', 'a', '--root', 'root', '--prefix', '../x'],
  ]) {
    t.is((await cli(t, admin, bad)).code, exit.usage, bad.join(' '));
  }
});

const hasTerminals = spawnSync('script', ['--version']).error === undefined;

(hasTerminals ? test : test.skip)(
  'on a terminal the invitation is asked for, and not shown (needs script)',
  async (t) => {
    const { work, served, keys, address, options } = await site(t);
    const { invitation } = await invite('alice', { ...options, roots: ['root/alice'] });
    const user = client(work, 'alice');
    const command = [process.execPath, program, 'join', address].map((word) => `'${word}'`).join(' ');
    const terminal = start(t, 'script', ['-qec', command, '/dev/null'], { env: user.env, input: null });
    await until('the question', () => terminal.over() || terminal.stdout().includes('invitation (it is not shown):'));
    terminal.child.stdin?.write(`${invitation}\r`);
    const ended = await terminal.ended;
    t.is(ended.code, exit.ok, ended.stdout);
    t.regex(ended.stdout, /joined as alice/);
    // Its beginning is the server’s key, which is no secret.
    t.false(ended.stdout.includes(invitation.slice(-20)));
    t.true(readFileSync(keys, 'utf8').startsWith('alice ed25519:'));
    const pushed = await cli(t, user, ['-rt', `${source(work)}/`, urlAt(address, 'root', 'alice', '')]);
    t.deepEqual([pushed.code, pushed.stderr], [exit.ok, '']);
    t.is(readFileSync(`${served}/alice/file`, 'utf8'), 'content');
    // Ctrl-C ends the question.
    const asked = start(t, 'script', ['-qec', command, '/dev/null'], { env: client(work, 'bob').env, input: null });
    await until('the question', () => asked.over() || asked.stdout().includes('invitation (it is not shown):'));
    asked.child.stdin?.write('\u0003');
    t.not((await asked.ended).code, exit.ok);
  },
);

test('of two guests with one invitation exactly one gets in', async (t) => {
  const { work, keys, address, options } = await site(t);
  // An address may try five times a minute.
  for (let round = 0; round < 2; round += 1) {
    const { invitation } = await invite(`guest${round}`, options);
    const guests = ['one', 'two'].map((name) => join(address, invitation, guest(work, `${name}${round}`)));
    const ended = await Promise.allSettled(guests);
    t.deepEqual(ended.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
    t.is(readFileSync(keys, 'utf8').split('\n').length, round + 2, 'one line each');
  }
});

/** A guest learns nothing of what is wrong on the server. */
async function cannotTake(t: ExecutionContext, joining: Promise<unknown>): Promise<void> {
  const refused = await failure(t, joining, ConnectionError);
  t.is(refused.code, 'ERR_SPARSYNC_CONNECT');
  t.regex(refused.message, /the server cannot take invitations now/);
  t.is(refused.path, undefined);
}

/** Who runs the server learns it from the log. */
async function untilRefused(events: readonly ServerEvent[], why: RegExp): Promise<ServerEvent | undefined> {
  const found = (): ServerEvent | undefined =>
    events.find((event) => event.type === 'refused' && event.operation === 'join' && why.test(event.message));
  await until(`a refusal for ${why.source}`, () => found() !== undefined);
  return found();
}

test('a file of the server that is broken costs no invitation, and a guest learns nothing of it', async (t) => {
  const { work, keys, server, address, events, options } = await site(t);
  const { invitation } = await invite('alice', options);
  const open = readFileSync(`${keys}.invitations`, 'utf8');
  writeFileSync(`${keys}.invitations`, `${open}a secret word\n`, { mode: 0o600 });
  const bytes = Buffer.from(invitation.replace(/^.*\./, ''), 'base64url').fill(0, 32);
  const guessed = `sparsync-invite-1.${bytes.toString('base64url')}`;
  await cannotTake(t, join(address, guessed, guest(work, 'thief')));
  const told = await untilRefused(events, /^line 2: /);
  t.like(told, { code: 'ERR_SPARSYNC_CONFIG', errorPath: `${keys}.invitations` });
  writeFileSync(`${keys}.invitations`, open);
  chmodSync(`${keys}.invitations`, 0o622);
  await cannotTake(t, join(address, invitation, guest(work, 'alice')));
  await untilRefused(events, /other users can write the file \(mode 0622\)/);
  chmodSync(`${keys}.invitations`, 0o600);
  writeFileSync(keys, 'broken\n', { mode: 0o600 });
  await cannotTake(t, join(address, invitation, guest(work, 'alice')));
  await untilRefused(events, /^line 1: /);
  t.is(readFileSync(`${keys}.invitations`, 'utf8'), open);
  writeFileSync(keys, '');
  await join(address, invitation, guest(work, 'alice'));
  t.is(server.stats()['connections_refused'], 3);
});

test('an invitation gives no second meaning to a key that the server was given', async (t) => {
  const work = workDir(t);
  const laptop = client(work, 'laptop');
  const { keys, server, address, events, options } = await site(t, `laptop ${laptop.publicKey}`);
  const { invitation } = await invite('other', { ...options, operations: ['read'] });
  const own = { identity: { keyPath: laptop.keyPath }, knownHosts: `${work}/laptop/joined` };
  await cannotTake(t, join(address, invitation, own));
  await untilRefused(events, /is already at authorized key 1 of the options/);
  t.false(existsSync(keys));
  server.reload();
  const access = { identity: own.identity, trust: { pin: server.publicKey } };
  await sync(source(work), server.url('root'), access);
  await join(address, invitation, guest(work, 'other'));
});

test('an invitation to a root that is not served lets nobody in, and keeps nobody out', async (t) => {
  const { work, keys, server, address, events, options } = await site(t);
  const good = await invite('good', { ...options, roots: ['root'] });
  const bad = await invite('bad', { ...options, roots: ['roots'] });
  await cannotTake(t, join(address, bad.invitation, guest(work, 'bad')));
  await untilRefused(events, /root=roots/);
  t.false(existsSync(keys));
  await join(address, good.invitation, guest(work, 'good'));
  server.reload();
  t.is(readFileSync(keys, 'utf8').split('\n').length, 2);
});

test('a key comes from standard input or a descriptor, and is written nowhere', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user] });
  const pem = readFileSync(user.keyPath, 'utf8');
  const nobody = { SPARSYNC_CONFIG_DIR: dir(work, 'empty') };
  const push = ['-a', '--pin', server.pin, `${source(work)}/`, `${server.url('root')}/`];
  const ended = await cli(t, user, [...push, '--identity', '-'], { input: pem, env: nobody, cwd: work });
  t.deepEqual([ended.code, ended.stderr], [exit.ok, '']);
  t.is(readFileSync(`${served}/file`, 'utf8'), 'content');
  const shown = await cli(t, user, ['keys', '--identity', '-'], { input: pem, env: nobody });
  t.is(shown.stdout, `${user.publicKey}\n`);
  const script = 'exec "$@" --identity /dev/fd/3 3<"$KEY"';
  const piped = start(
    t,
    'bash',
    ['-c', 'exec "$@" --identity <(cat "$KEY")', 'sh', process.execPath, program, ...push],
    {
      env: { ...nobody, KEY: user.keyPath },
    },
  );
  t.deepEqual([(await piped.ended).code, (await piped.ended).stderr], [exit.ok, '']);
  const opened = start(t, 'bash', ['-c', script, 'sh', process.execPath, program, ...push], {
    env: { ...nobody, KEY: user.keyPath },
  });
  t.deepEqual([(await opened.ended).code, (await opened.ended).stderr], [exit.ok, '']);
  t.false(existsSync(`${work}/-`) || existsSync(`${work}/empty/key.pem`));
  const bad = await cli(t, user, ['keys', '--identity', '-'], { input: 'a secret without its frame', env: nobody });
  t.is(bad.code, exit.usage);
  t.notRegex(bad.stderr, /a secret/);
});

overSsh("by ssh the server makes the invitation itself, and no word of it is the shell's there", async (t) => {
  const work = workDir(t);
  const sshd = await startSshd(t, work);
  const served = dir(work, 'served');
  const server = await startServer(t, { home: work, roots: { backup: served } });
  const alice = client(work, 'alice');
  const at = `127.0.0.1:${server.port}`;
  const join = (...words: string[]) =>
    cli(t, alice, ['join', '-e', sshd.rsh, `--via-ssh=${sshd.user}@box`, ...words, at]);
  const missing = await join('--root', 'backup');
  t.not(missing.code, exit.ok);
  t.true(missing.stderr.includes('--sparsync-path'), missing.stderr);
  writeFileSync(
    `${sshd.bin}/sparsync`,
    `#!/bin/sh\necho 'from a start file {'\nSPARSYNC_CONFIG_DIR=${server.configDir} exec ${process.execPath} ${program} "$@"\n`,
    { mode: 0o755 },
  );
  const done = await join('--root', 'backup', '--prefix', 'alice', '--allow', 'read,write', '--name', 'alice');
  t.is(done.code, exit.ok, done.stderr);
  t.is(
    readFileSync(`${server.configDir}/authorized_keys`, 'utf8'),
    `alice ${alice.publicKey} root=backup/alice allow=read,write\n`,
  );
  t.is(readFileSync(`${alice.configDir}/known_hosts`, 'utf8'), `${at} ${server.pin}\n`);
  t.is((await cli(t, alice, ['-rt', `${source(work)}/`, server.url('backup', 'alice')])).code, exit.ok);
  t.is(readFileSync(`${served}/alice/file`, 'utf8'), 'content');

  // The same by a program.
  const bob = guest(work, 'bob');
  const scope = { roots: ['backup/bob'], operations: ['write'] as const, expires: new Date('2100-01-01T00:00:00Z') };
  const by = { ...bob, ...scope, rsh: sshd.rsh, address: at, name: 'bob' };
  const { key, ...joined } = await joinViaSsh(`${sshd.user}@box`, by);
  t.like(joined, { name: 'bob', serverKey: server.pin, roots: ['backup/bob'] });
  t.regex(
    readFileSync(`${server.configDir}/authorized_keys`, 'utf8'),
    new RegExp(`^bob ${key.replaceAll(/[+/]/g, '.')} root=backup/bob allow=write expires=2100-01-01T00:00:00Z$`, 'm'),
  );
  await failure(t, joinViaSsh('-oProxyCommand=x@box', by), ConfigError);
  await failure(t, joinViaSsh(`${sshd.user}@box`, { ...by, sparsyncPath: 'nowhere' }), ConfigError);

  const ran = `${work}/ran`;
  for (const hostile of [`a';touch\${IFS}${ran};'`, `$(touch\${IFS}${ran})`]) {
    await join('--root', hostile, '--quota', hostile, '--allow', hostile);
    await join('--root', 'backup', '--prefix', hostile, '--name', `x${hostile}`);
  }
  t.regex(readFileSync(`${server.configDir}/authorized_keys`, 'utf8'), /touch/, 'the last ones are names like others');
  for (const bad of [
    [`--via-ssh=-oProxyCommand=touch ${ran}`],
    [`--via-ssh=box;touch ${ran}`],
    [`--via-ssh=-oProxyCommand=x@box`],
    ['--via-ssh='],
    ['--via-ssh=box', '--name=-x'],
    ['--via-ssh=box', '--name', 'a\nb'],
    ['--root', 'backup'],
    ['--via-ssh=box', 'one', 'two'],
  ]) {
    t.is((await cli(t, alice, ['join', ...bad, ...(bad.length < 3 ? [at] : [])])).code, exit.usage, bad.join(' '));
  }
  t.false(existsSync(ran));
});
