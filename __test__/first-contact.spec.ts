// First contact, as two people have it with two machines that share nothing, typed at terminals; and as a job has it in a
// container that has nothing.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { ExecutionContext } from 'ava';

import { exit } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { type Wired, wired } from './helpers/networks.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { type Ended, start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { canMount } from './helpers/setup.js';
import { hasSsh, startSshd } from './helpers/sshd.js';
import { dir, workDir } from './helpers/temp.js';
import { hasTerminals, Terminal } from './helpers/terminal.js';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));

/** The name of the server, which the other machine alone has an address for. */
const NAS = 'nas.example.net';

/** A number that no list of users has. */
const NOBODY = 54_321;

type Machine = 'nas' | 'alice' | 'bob';

interface Place {
  readonly work: string;
  readonly net: Wired;
  /** A terminal on one of the machines. */
  readonly terminal: (machine: Machine) => Promise<Terminal>;
  /** Runs a program on the other machine in a container without home, name, or place to write. */
  readonly contained: (credential: string, ...words: readonly string[]) => Promise<Ended>;
}

/** Makes every file system read-only, then becomes somebody who is in no list, with nothing but a credential. */
const CONTAINER = `set -e
mount --make-rprivate /
while read -r _ place _; do mount -o remount,bind,ro "$place" 2>/dev/null || :; done < /proc/self/mounts
exec env -i PATH="$PATH" SPARSYNC_CREDENTIAL="$CREDENTIAL" setpriv ${becoming(NOBODY).join(' ')} "$@"`;

function place(t: ExecutionContext): Place {
  const work = workDir(t);
  for (const each of [work, dirname(work)]) chmodSync(each, 0o755);
  const net = wired(t, 'spsfc', '10.213.12');
  const names = `/etc/netns/${net.near}`;
  mkdirSync(names, { recursive: true });
  t.teardown(() => rmSync(names, { recursive: true }));
  writeFileSync(`${names}/hosts`, `127.0.0.1 localhost\n${net.farAddress} ${NAS}\n`);
  writeFileSync(`${dir(work, 'bin')}/sparsync`, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`, {
    mode: 0o755,
  });
  mkdirSync(`${work}/node_modules`);
  symlinkSync(PACKAGE, `${work}/node_modules/sparsync-native`);
  const nothing = {
    SPARSYNC_CONFIG_DIR: undefined,
    SPARSYNC_STATE_DIR: undefined,
    XDG_CONFIG_HOME: undefined,
    XDG_STATE_HOME: undefined,
    NO_COLOR: '1',
    LC_ALL: 'C.UTF-8',
    PATH: `${work}/bin:${process.env['PATH'] ?? ''}`,
  };
  const terminal = async (machine: Machine): Promise<Terminal> => {
    const home = dir(work, machine);
    const net1 = machine === 'nas' ? net.far : net.near;
    const under = [...net.inside(net1), 'env', '-C', home];
    const made = new Terminal(t, `${machine}> `, { under, env: { ...nothing, HOME: home } });
    await made.ready();
    return made;
  };
  const contained = (credential: string, ...words: readonly string[]): Promise<Ended> => {
    const [first = '', ...rest] = [...net.inside(net.near), 'unshare', '-m', 'sh', '-c', CONTAINER, 'sh', ...words];
    return start(t, first, rest, { env: { ...nothing, CREDENTIAL: credential }, cwd: work }).ended;
  };
  return { work, net, terminal, contained };
}

judgedWhere(canMount && canBecome && hasTerminals)(
  'from nothing to a first sync, at terminals; then a job with a credential alone (needs script)',
  async (t) => {
    const { work, net, terminal, contained } = place(t);
    const backup = dir(work, 'srv/backup');
    const [nas, admin, alice] = await Promise.all([terminal('nas'), terminal('nas'), terminal('alice')]);

    nas.type(`sparsync serve --root backup=${backup}`);
    const [, key = ''] =
      /^serving backup -> (?:\S+) on udp\+tcp \[::\]:28792\. {2}Server key (ed25519:\S+) \(created, 0600\)\. {2}Nobody may connect yet: {2}sparsync invite NAME --root backup$/m.exec(
        await nas.sees(/--root backup\n/),
      ) ?? [];
    t.not(key, '', nas.shown);

    const invited = await admin.runs(
      `sparsync invite alice --root backup --prefix alice --allow read,write --address ${NAS}`,
    );
    t.is(invited.code, exit.ok, invited.shown);
    t.regex(
      invited.shown,
      /^one use, ends in 15 min\. {2}On alice's machine: {2}sparsync join nas\.example\.net {5}then paste$/m,
    );
    const secret = /^sparsync-invite-\S+$/m.exec(invited.shown)?.[0] ?? '';

    alice.type(`sparsync join ${NAS}; echo "=$?="`);
    await alice.sees(/invitation \(it is not shown\): /);
    alice.type(secret);
    const joined = await alice.ends();
    t.is(joined.code, exit.ok, joined.shown);
    t.false(joined.shown.includes(secret.slice(-20)), 'it is not shown');
    const pins = `${work}/alice/.config/sparsync/known_hosts`;
    t.true(joined.shown.includes(`server key confirmed by the invitation -> ${pins}. `), joined.shown);
    t.regex(joined.shown, /Your key ed25519:\S+ \(created, 0600\)\.$/m);
    t.is(readFileSync(pins, 'utf8'), `${NAS}:28792 ${key}\n`);
    t.is(statSync(`${work}/alice/.config/sparsync/key.pem`).mode & 0o777, 0o600);

    // What it says to try, in the words that it says.
    const [, words = ''] = /^Try: {2}(sparsync .*)$/m.exec(joined.shown) ?? [];
    t.is(words, `sparsync -an --stats ./data/ sparsync://${NAS}/backup/alice/data/`);
    await alice.runs('mkdir data && echo content > data/file');
    const tried = await alice.runs(words);
    t.is(tried.code, exit.ok, tried.shown);
    t.false(existsSync(`${backup}/alice`));
    const synced = await alice.runs(words.replace('-an --stats', '-a'));
    t.is(synced.code, exit.ok, synced.shown);
    t.is(readFileSync(`${backup}/alice/data/file`, 'utf8'), 'content\n');
    t.is((await alice.runs(`sparsync -a ./data/ sparsync://${NAS}/backup/`)).code, exit.unauthorized);

    nas.interrupt();
    await nas.sees(/nas> $/);
    const artifacts = dir(work, 'srv/artifacts');
    nas.type(`sparsync serve --root backup=${backup} --root artifacts=${artifacts}`);
    t.regex(
      await nas.sees(/Server key .*\n/),
      /^serving backup -> \S+, artifacts -> \S+ on .*Server key \S+ \(\S+key\.pem\)\.$/m,
    );
    const issued = await admin.runs(
      `sparsync invite ci --root artifacts --prefix web --allow read,write,delete --credential --expires 90d --address ${NAS}`,
    );
    t.regex(issued.shown, /^shown once; undo: sparsync keys revoke ci$/m);
    const credential = /^SPARSYNC_CREDENTIAL=(\S+)$/m.exec(issued.shown)?.[1] ?? '';
    await aJob(t, { work, artifacts, contained, credential });

    if (hasSsh) await joinsBySsh(t, { work, net, bob: await terminal('bob') });

    t.is((await admin.runs('sparsync keys revoke ci')).code, exit.ok);
    const to = `sparsync://${NAS}/artifacts/web/`;
    t.is((await contained(credential, 'sparsync', '-rt', 'job/', to)).code, exit.unauthorized);
  },
);

/** Who may run commands on the server by ssh needs no secret to paste. */
async function joinsBySsh(
  t: ExecutionContext,
  { work, net, bob }: Pick<Place, 'work' | 'net'> & { readonly bob: Terminal },
): Promise<void> {
  const elsewhere = { address: net.farAddress, inside: net.inside(net.far) };
  const sshd = await startSshd(t, work, { bare: true, elsewhere, environment: `HOME=${work}/nas` });
  symlinkSync(`${work}/bin/sparsync`, `${sshd.bin}/sparsync`);
  const joined = await bob.runs(
    `sparsync join -e '${sshd.rsh}' --via-ssh ${sshd.user}@${NAS} --root backup --prefix bob --allow read,write --name bob`,
  );
  t.is(joined.code, exit.ok, joined.shown);
  t.regex(joined.shown, /^joined as bob: server key confirmed by the invitation/m);
  t.notRegex(joined.shown, /sparsync-invite-/);
  await bob.runs('mkdir data && echo mine > data/file');
  t.is((await bob.runs(`sparsync -a data/ sparsync://${NAS}/backup/bob/data/`)).code, exit.ok);
  t.is(readFileSync(`${work}/srv/backup/bob/data/file`, 'utf8'), 'mine\n');
}

/** A job that has nothing but a credential: by the command, by the API, and out of its scope. */
async function aJob(
  t: ExecutionContext,
  {
    work,
    artifacts,
    contained,
    credential,
  }: Pick<Place, 'work' | 'contained'> & { readonly artifacts: string; readonly credential: string },
): Promise<void> {
  const to = `sparsync://${NAS}/artifacts/web/`;
  writeFileSync(`${dir(work, 'job')}/page`, 'by the command');
  const container = await contained(credential, 'sh', '-c', 'id -u; echo "<$HOME>"; touch here /tmp/there');
  t.is(container.stdout, `${NOBODY}\n<>\n`);
  t.is(spawnSync('getent', ['passwd', String(NOBODY)]).status, 2, 'it is in no list');
  t.regex(container.stderr, /'here': Read-only file system/i);
  t.regex(container.stderr, /'\/tmp\/there': Read-only file system/i);
  const doctor = await contained(credential, 'sparsync', 'doctor', 'job/', to);
  t.is(doctor.code, exit.ok, doctor.stdout + doctor.stderr);
  const pushed = await contained(credential, 'sparsync', '-rt', '--delete', 'job/', to);
  t.deepEqual([pushed.code, pushed.stderr], [exit.ok, '']);
  t.is(readFileSync(`${artifacts}/web/page`, 'utf8'), 'by the command');
  writeFileSync(`${work}/job/page`, 'by the API');
  const code = `import { sync } from 'sparsync-native'; console.log((await sync('job', '${to}')).stats.filesTransferred)`;
  const called = await contained(credential, process.execPath, '--input-type=module', '-e', code);
  t.deepEqual([called.code, called.stdout, called.stderr], [0, '1\n', '']);
  t.is(readFileSync(`${artifacts}/web/page`, 'utf8'), 'by the API');
  const beside = await contained(credential, 'sparsync', '-rt', 'job/', `sparsync://${NAS}/artifacts/other/`);
  t.is(beside.code, exit.unauthorized, beside.stderr);
  t.false(existsSync(`${artifacts}/other`));
}
