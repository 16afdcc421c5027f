import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';

import test, { type ExecutionContext, type SerialFn, type SkipFn } from 'ava';

import { freePort } from './port.js';
import { start, until } from './process.js';
import { remote } from './remote.js';
import { dir } from './temp.js';

const SSHD = '/usr/sbin/sshd';

/** Whether there is an sshd, and an ssh that leads to it. */
export const hasSsh: boolean = existsSync(SSHD) && spawnSync('ssh', ['-V']).status === 0;

/** Declares a test over a real sshd; without one, or without ssh, it is skipped, by name. */
export const overSsh: SerialFn | SkipFn = hasSsh ? test.serial : test.serial.skip;

export interface Sshd {
  /** The daemon, whose sessions are its children. */
  readonly pid: number;
  readonly port: number;
  readonly user: string;
  /** For `-e`. */
  readonly rsh: string;
  /** The file of the client's key. */
  readonly identity: string;
  /** Allows the client's key, with what stands in front of it in the file. */
  readonly authorize: (options: string) => void;
  /** The folder that `PATH` begins with at the other end. */
  readonly bin: string;
  readonly log: () => string;
}

function keygen(path: string): void {
  const ran = spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path], { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(ran.stderr);
}

/** Where an sshd runs that is not on loopback. */
export interface Elsewhere {
  readonly address: string;
  /** The words that lead a command there. */
  readonly inside: readonly string[];
}

/**
 * An sshd of its own on loopback, for the user of this process, with the other end in its `PATH` unless told otherwise; where the
 * connection is `shared`, every session goes over one, as with ControlMaster: a master that stays, or the first session (`auto`).
 */
export async function startSshd(
  t: ExecutionContext,
  work: string,
  options: { bare?: boolean; elsewhere?: Elsewhere; shared?: boolean | 'auto'; environment?: string } = {},
): Promise<Sshd> {
  const { address, inside } = options.elsewhere ?? { address: '127.0.0.1', inside: [] };
  const folder = dir(work, 'sshd');
  const bin = dir(folder, 'bin');
  if (options.bare !== true) symlinkSync(remote, `${bin}/sparsync-remote`);
  for (const key of ['host', 'user']) keygen(`${folder}/${key}`);
  const allowed = (before: string): void =>
    writeFileSync(`${folder}/authorized`, `${before}${readFileSync(`${folder}/user.pub`, 'utf8')}`, { mode: 0o600 });
  allowed('');
  const port = await freePort();
  // Where a root's sshd puts its unprivileged half.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
  writeFileSync(
    `${folder}/config`,
    `Port ${port}
ListenAddress ${address}
HostKey ${folder}/host
AuthorizedKeysFile ${folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxSessions 100
Subsystem sftp internal-sftp
SetEnv PATH=${bin}:/usr/bin:/bin ${options.environment ?? `XDG_CACHE_HOME=${folder}/cache`}
`,
  );
  const [program, ...words] = [...inside, SSHD, '-D', '-e', '-f', `${folder}/config`];
  const daemon = start(t, program, words);
  await until('sshd to listen', () => /Server listening/.test(daemon.stderr()) || daemon.over());
  if (daemon.over()) throw new Error(daemon.stderr());
  writeFileSync(
    `${folder}/client`,
    `Host *
  HostName ${address}
  Port ${port}
  IdentityFile ${folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile ${folder}/known
  StrictHostKeyChecking accept-new
  LogLevel ERROR
${options.shared === undefined ? '' : `  ControlPath ${folder}/shared\n`}${options.shared === 'auto' ? '  ControlMaster auto\n' : ''}`,
  );
  const rsh = `ssh -F ${folder}/client`;
  if (options.shared === true) {
    const master = start(t, 'ssh', ['-F', `${folder}/client`, '-M', '-N', 'box']);
    await until('the shared connection', () => existsSync(`${folder}/shared`) || master.over());
    if (master.over()) throw new Error(master.stderr());
  }
  return {
    pid: daemon.pid,
    port,
    user: userInfo().username,
    rsh,
    identity: `${folder}/user`,
    authorize: allowed,
    bin,
    log: daemon.stderr,
  };
}
