// It is the user's own ssh: a connection that others share, a host that is reached by way of another.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { cli, startCli } from './helpers/cli.js';
import { assertEqual } from './helpers/judge.js';
import { wired } from './helpers/networks.js';
import { start, until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { isAlive } from './helpers/remote.js';
import { canMount } from './helpers/setup.js';
import { overSsh, type Sshd, startSshd } from './helpers/sshd.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';

/** Who logs in at `host`, and what else stands in the configuration of the client. */
function stanza(host: string, address: string, { port, identity }: Sshd, ...more: readonly string[]): string {
  const lines = [`HostName ${address}`, `Port ${port}`, `IdentityFile ${identity}`, ...more];
  return [`Host ${host}`, ...lines.map((line) => `  ${line}`), ''].join('\n');
}

function everywhere(work: string): string {
  const lines = ['IdentitiesOnly yes', `UserKnownHostsFile ${work}/known`, 'StrictHostKeyChecking accept-new'];
  return ['Host *', ...lines.map((line) => `  ${line}`), '  LogLevel ERROR', ''].join('\n');
}

const logins = ({ log }: Sshd): number => (log().match(/Accepted publickey/g) ?? []).length;

overSsh('a connection that ssh shares carries every run, and outlives those that are killed', async (t) => {
  const work = workDir(t);
  const [user, sshd] = [client(work), await startSshd(t, work)];
  const shared = ['ControlMaster auto', `ControlPath ${work}/shared`, 'ControlPersist 60'];
  writeFileSync(`${work}/config`, stanza('box', '127.0.0.1', sshd, ...shared) + everywhere(work));
  const ask = (what: string): number | null => spawnSync('ssh', ['-F', `${work}/config`, '-O', what, 'box']).status;
  t.teardown(() => ask('exit'));
  const source = dir(work, 'source');
  plainTree(source, { directories: 3, files: 20 });
  const flags = ['-a', '--delete', '-e', `ssh -F ${work}/config`];
  // Of other lengths, since times of one second are alike, as with rsync.
  for (const round of ['first', 'again, too', 'changed']) {
    writeFileSync(`${source}/file`, round);
    const ran = await cli(t, user, [...flags, `${source}/`, `box:${work}/there/`]);
    t.deepEqual([ran.code, ran.stdout, ran.stderr], [0, '', ''], round);
    assertEqual(t, source, `${work}/there`, { label: round });
    t.is(ask('check'), 0, round);
  }
  t.is(logins(sshd), 1);
  writeFileSync(`${source}/large`, new Random(t.title).bytes(20_000_000));
  writeFileSync(`${sshd.bin}/told`, `#!/bin/sh\necho $$ > '${work}/pid'\nexec sparsync-remote "$@"\n`, { mode: 0o755 });
  const slow = ['--rsync-path=told', '--bwlimit=1000', `${source}/`, `box:${work}/there/`];
  const running = startCli(t, user, [...flags, ...slow]);
  await until(
    'the run',
    () => existsSync(`${work}/pid`) && readdirSync(`${work}/there`).some((n) => n.startsWith('.')),
  );
  running.kill('SIGKILL');
  await running.ended;
  const pid = Number(readFileSync(`${work}/pid`, 'utf8'));
  await until('the other end to end', () => !isAlive(pid));
  t.is(ask('check'), 0, 'others go on');
  t.is((await cli(t, user, [...flags, `${source}/`, `box:${work}/there/`])).code, 0);
  assertEqual(t, source, `${work}/there`);
  t.is(logins(sshd), 1);
});

overSsh('a host that is reached by way of another, by its configuration and by -J', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const [jump, sshd] = [await startSshd(t, dir(work, 'j')), await startSshd(t, dir(work, 'b'), { bare: true })];
  const file = (name: string, ...more: string[]): string => {
    const both = stanza('jump', '127.0.0.1', jump) + stanza('box', '127.0.0.1', sshd, ...more);
    writeFileSync(`${work}/${name}`, both + everywhere(work));
    return `${work}/${name}`;
  };
  const source = dir(work, 'source');
  plainTree(source, { directories: 3, files: 20 });
  for (const [at, rsh] of [`ssh -F ${file('by', 'ProxyJump jump')}`, `ssh -F ${file('plain')} -J jump`].entries()) {
    writeFileSync(`${source}/file`, 'x'.repeat(at + 1));
    const there = `box:${work}/there/`;
    const ran = await cli(t, user, ['-a', '--delete', '--bootstrap', '-e', rsh, `${source}/`, there]);
    t.deepEqual([ran.code, ran.stdout, ran.stderr], [0, '', ''], rsh);
    assertEqual(t, source, `${work}/there`, { label: rsh });
    t.deepEqual([logins(jump), logins(sshd)], [at + 1, at + 1], rsh);
  }
  t.deepEqual(readdirSync(`${work}/j/sshd`).includes('cache'), false, 'nothing is put where it is only led through');
});

const overSshElsewhere = canMount ? overSsh : test.serial.skip;

overSshElsewhere('behind a host that alone can reach it, the pipe goes on carrying what QUIC cannot', async (t) => {
  const { near, far, farAddress, inside } = wired(t, 'spjump', '10.213.14');
  const work = workDir(t);
  const user = client(work);
  const jump = await startSshd(t, dir(work, 'j'), { elsewhere: { address: farAddress, inside: inside(far) } });
  const sshd = await startSshd(t, dir(work, 'b'), { elsewhere: { address: '127.0.0.1', inside: inside(far) } });
  const config = stanza('jump', farAddress, jump) + stanza('box', '127.0.0.1', sshd, 'ProxyJump jump');
  writeFileSync(`${work}/config`, config + everywhere(work));
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, new Random(t.title).bytes(8_000_000));
  const words = [program, '-a', '-vv', '--bwlimit=4000k', '-e', `ssh -F ${work}/config`, `${source}/`];
  const [first, ...rest] = [...inside(near), process.execPath, ...words, `box:${work}/there/`];
  const ran = await start(t, first, rest, { env: { ...user.env, SPARSYNC_STATE_DIR: `${work}/state` } }).ended;
  t.is(ran.code, 0, ran.stderr);
  t.regex(ran.stderr, /transport: pipe \(box; UDP: \w+\)/);
  assertEqual(t, source, `${work}/there`);
  t.deepEqual([logins(jump), logins(sshd)], [1, 1]);
});
