// What README and docs/ssh.md have people type, typed at a terminal by a new user: the other machine has an account, ssh, and nothing else.
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { ExecutionContext } from 'ava';

import { FORGET } from './helpers/accounts.js';
import { startContainer } from './helpers/container.js';
import { judgedWhere, rsync } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { remote } from './helpers/remote.js';
import { canMount } from './helpers/setup.js';
import { hasSsh, type Sshd, startSshd } from './helpers/sshd.js';
import { dir, workDir } from './helpers/temp.js';
import { hasTerminals, Terminal } from './helpers/terminal.js';
import { plainTree } from './helpers/tree.js';
import { names } from './helpers/walk.js';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));

/** The number of the account at the other machine, where it is called `user`. */
const USER = 54_322;

/** The blocks of a language in a document, behind a heading or in all of it. */
function blocksOf(document: string, language: string, heading = ''): string[] {
  const text = readFileSync(`${PACKAGE}${document}`, 'utf8');
  const from = heading === '' ? 0 : text.indexOf(`## ${heading}\n`);
  if (from === -1) throw new Error(`${document} has no heading ${heading}`);
  const end = heading === '' ? -1 : text.indexOf('\n## ', from + 1);
  const part = text.slice(from, end === -1 ? undefined : end);
  return [...part.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, code = '']) => code);
}

/** The commands of a block, without what is said about them. */
function commandsOf(block: string): string[] {
  return block
    .split('\n')
    .map((line) => line.replace(/ +# .*$/, '').trim())
    .filter((line) => line !== '');
}

interface Stage {
  readonly work: string;
  /** The home folder at the other machine, and what stands for `/srv` there. */
  readonly home: string;
  readonly srv: string;
  /** Where the user types. */
  readonly here: string;
  readonly sshd: Sshd;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A line as it is typed here, where other machines have other names. */
  readonly typed: (line: string) => string;
}

function script(path: string, text: string): void {
  writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

async function stage(t: ExecutionContext): Promise<Stage> {
  const work = workDir(t);
  for (const each of [work, dirname(work)]) chmodSync(each, 0o755);
  const [home, srv, here, bin] = ['nas/home', 'nas/srv', 'laptop', 'laptop/bin'].map((name) => dir(work, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const folder of [home, srv]) chownSync(folder, USER, USER);
  const accounts = `${work}/passwd`;
  const others = readFileSync('/etc/passwd', 'utf8');
  writeFileSync(accounts, `${others.trimEnd()}\nuser:x:${USER}:${USER}::${home}:/bin/sh\n`);
  const inside = ['unshare', '-m', 'sh', '-c', `${FORGET}; mount --bind "$1" /etc/passwd && shift && exec "$@"`];
  const sshd = await startSshd(t, work, {
    bare: true,
    environment: 'LC_ALL=C',
    elsewhere: { address: '127.0.0.1', inside: [...inside, 'machine', accounts] },
  });
  chmodSync(`${work}/sshd/authorized`, 0o644);
  // Who can `ssh` to it has all of this.
  writeFileSync(
    `${work}/sshd/client`,
    readFileSync(`${work}/sshd/client`, 'utf8').replace('Host *', 'Host *\n  User user'),
  );
  for (const name of ['ssh', 'scp']) script(`${bin}/${name}`, `exec /usr/bin/${name} -F '${work}/sshd/client' "$@"`);
  script(`${bin}/sparsync`, `exec '${process.execPath}' '${program}' "$@"`);
  mkdirSync(`${here}/node_modules/sparsync-native-linux-x64-gnu`, { recursive: true });
  symlinkSync(PACKAGE, `${here}/node_modules/sparsync-native`);
  symlinkSync(remote, `${here}/node_modules/sparsync-native-linux-x64-gnu/sparsync-remote.linux-x64-gnu`);
  const env = {
    HOME: here,
    PATH: `${bin}:/usr/bin:/bin`,
    SPARSYNC_CONFIG_DIR: undefined,
    SPARSYNC_STATE_DIR: undefined,
    XDG_CACHE_HOME: undefined,
    XDG_CONFIG_HOME: undefined,
    XDG_STATE_HOME: undefined,
  };
  const typed = (line: string): string => line.replaceAll('/srv/', `${srv}/`).replaceAll(':2222', `:${sshd.port}`);
  return { work, home, srv, here, sshd, env, typed };
}

async function terminalOf(t: ExecutionContext, { here, env }: Stage): Promise<Terminal> {
  const terminal = new Terminal(t, 'laptop$ ', { under: ['env', '-C', here], env });
  await terminal.ready();
  return terminal;
}

/** Asserts that two trees are equal but for whose they are: the account there gives nothing away. */
function assertSame(t: ExecutionContext, source: string, destination: string): void {
  t.is(rsync('-rlptinc', '--delete', `${source}/`, `${destination}/`), '');
}

const where = judgedWhere(canMount && hasSsh && hasTerminals);

where('README: a machine with ssh and nothing else', async (t) => {
  const ready = await stage(t);
  const { here, home } = ready;
  plainTree(`${here}/photos`, { directories: 3, files: 30 });
  const terminal = await terminalOf(t, ready);
  const [push = '', pull = '', ...others] = blocksOf('README.md', 'sh', 'Over ssh').flatMap(commandsOf);
  t.deepEqual(others, []);
  terminal.type(`${push}; echo "=$?="`);
  await terminal.sees(/sparsync-remote is not installed on .*backup\.example.*\n.*Install it\? \(yes\/no\) $/s);
  t.false(existsSync(`${home}/.cache`));
  terminal.type('yes');
  t.is((await terminal.ends()).code, 0, terminal.shown);
  assertSame(t, `${here}/photos`, `${home}/photos`);
  const pulled = await terminal.runs(pull);
  t.is(pulled.code, 0, pulled.shown);
  t.notRegex(pulled.shown, /Install it/, 'it is there');
  assertSame(t, `${here}/photos`, `${here}/restored`);
  rmSync(`${here}/photos/dir0000`, { recursive: true });
  t.is((await terminal.runs(push)).code, 0);
  assertSame(t, `${here}/photos`, `${home}/photos`);
  t.is(readdirSync(`${home}/.cache/sparsync`).length, 1, 'once');
});

where('README: who says no is told what else there is', async (t) => {
  const ready = await stage(t);
  plainTree(`${ready.here}/photos`, { directories: 1, files: 3 });
  const terminal = await terminalOf(t, ready);
  const [push = ''] = blocksOf('README.md', 'sh', 'Over ssh').flatMap(commandsOf);
  terminal.type(`${push}; echo "=$?="`);
  await terminal.sees(/Install it\? \(yes\/no\) $/);
  terminal.type('no');
  const { shown, code } = await terminal.ends();
  t.is(code, 1);
  t.regex(shown, /--bootstrap installs it; or put it into the PATH/);
  // Whoever looks there first is asked as well.
  const [place = ''] = /\S+:\S*/.exec(push) ?? [];
  for (const line of [
    `sparsync list ${place}`,
    `sparsync verify photos/ ${place}`,
    `sparsync -a --explain=x photos/ ${place}`,
  ]) {
    terminal.type(`${line}; echo "=$?="`);
    await terminal.sees(/Install it\? \(yes\/no\) $/);
    terminal.type('no');
    t.is((await terminal.ends()).code, 1, line);
  }
  t.deepEqual(names(ready.home), []);
});

where('docs/ssh.md: every form of a place, and a program that is put there by hand', async (t) => {
  const ready = await stage(t);
  const { here, home, srv, typed, sshd } = ready;
  const [forms = '', byHand = '', ...others] = blocksOf('docs/ssh.md', 'sh');
  t.deepEqual(others, []);
  const terminal = await terminalOf(t, ready);
  const run = async (line: string): Promise<void> => {
    const { shown, code } = await terminal.runs(typed(line));
    t.is(code, 0, `${line}: ${shown}`);
  };
  mkdirSync(`${home}/bin`);
  chownSync(`${home}/bin`, USER, USER);
  for (const line of commandsOf(byHand)) await run(line);
  t.true(existsSync(`${home}/bin/sparsync-remote`));
  // The `PATH` that this sshd gives to commands begins there.
  symlinkSync(`${home}/bin/sparsync-remote`, `${sshd.bin}/sparsync-remote`);
  plainTree(`${here}/site`, { directories: 2, files: 10 });
  for (const name of ['a', 'b', 'c']) plainTree(`${home}/${name}`, { directories: 1, files: 3 });
  const [first = '', back = '', several = '', url = '', ...more] = commandsOf(forms);
  t.deepEqual(more, []);
  await run(first);
  assertSame(t, `${here}/site`, `${home}/site`);
  await run(url);
  assertSame(t, `${here}/site`, `${srv}/site`);
  writeFileSync(`${srv}/site/new`, 'new');
  await run(back);
  assertSame(t, `${srv}/site`, `${here}/site`);
  await run(several);
  for (const name of ['a', 'b', 'c']) assertSame(t, `${home}/${name}`, `${here}/all/${name}`);
  // A key that may do one thing.
  const [line = ''] = blocksOf('docs/ssh.md', '', 'A key that may only do one thing').flatMap(commandsOf);
  const [options = ''] = / ssh-ed25519 /.test(line) ? line.split(/(?<=,restrict )ssh-ed25519/) : [];
  t.regex(options, /^command="sparsync-remote /);
  mkdirSync(`${srv}/backup`);
  chownSync(`${srv}/backup`, USER, USER);
  sshd.authorize(typed(options));
  chmodSync(`${ready.work}/sshd/authorized`, 0o644);
  await run('sparsync -a ./site/ host:x');
  assertSame(t, `${here}/site`, `${srv}/backup/x`);
  t.is((await terminal.runs('sparsync -a --delete ./all/ host:x')).code, 44);
});

where('docs/ssh.md: any command, where one that does what those of containers do stands for them', async (t) => {
  const ready = await stage(t);
  const { here, work } = ready;
  const container = await startContainer(t, work);
  for (const name of ['srv', 'var/log', 'bin']) mkdirSync(`${container.files}/${name}`, { recursive: true });
  copyFileSync(remote, `${container.files}/bin/sparsync-remote`);
  chmodSync(`${container.files}/bin/sparsync-remote`, 0o755);
  for (const [name, leading] of [
    ['docker', 'exec -i'],
    ['kubectl', 'exec -i'],
  ] as const) {
    const checked = `[ "$1 $2" = '${leading}' ] || exit 9; shift 2; n=$1; shift; [ "$1" = -- ] && shift`;
    script(`${here}/bin/${name}`, `${checked}; exec '${container.enter}' "$n" env PATH=/mnt/bin:/usr/bin:/bin "$@"`);
  }
  const inside = (text: string): string => text.replaceAll(/(?<=[:'])\/(?:srv|var)\//g, '/mnt$&');
  plainTree(`${here}/site`, { directories: 2, files: 10 });
  plainTree(`${container.files}/var/log/app`, { directories: 1, files: 5 });
  const command = /`(sparsync [^`]*-e 'docker exec -i'[^`]*)`/.exec(readFileSync(`${PACKAGE}docs/ssh.md`, 'utf8'))?.[1];
  const terminal = await terminalOf(t, ready);
  const { shown, code } = await terminal.runs(inside(command ?? 'false'));
  t.is(code, 0, shown);
  assertSame(t, `${here}/site`, `${container.files}/srv/site`);
  rmSync(`${container.files}/srv/site`, { recursive: true });
  const [block = ''] = blocksOf('docs/ssh.md', 'js');
  const source = `import { sync } from 'sparsync-native';\n${inside(block)}`;
  const ran = await start(t, process.execPath, ['--input-type=module', '-e', source], { cwd: here, env: ready.env })
    .ended;
  t.is(ran.code, 0, ran.stderr);
  assertSame(t, `${here}/site`, `${container.files}/srv/site`);
  assertSame(t, `${container.files}/var/log/app`, `${here}/logs`);
});
