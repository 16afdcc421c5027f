// An sshd of the race's own at the far end of a link, and the ways to it.
import { chmodSync, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';

import { besideFamily, forget, PHASES, workFile } from './contender.js';
import type { Contender, Entrant, Measured, Stage, Turn } from './contender.js';
import { freePort, within } from './links.js';
import { atEnd, mustRun, run, startService, until } from './processes.js';
import type { Service } from './processes.js';

/** A way over ssh to a host named `bench`. */
interface Ssh {
  /** The remote shell, as `-e` takes it. */
  shell: string;
  /** What a run cost at both ends, besides the process that is measured. */
  beside: (warmUp: boolean, work: () => Promise<Measured>) => Promise<Measured>;
  close: () => Promise<void>;
}

/** Who runs over ssh, each time with a handshake or over a connection that stands. */
export function overSsh(
  { key, title, shared }: { key: string; title: string; shared: boolean },
  sync: (stage: Stage, ssh: Ssh, turn: Turn) => Promise<Measured>,
): Contender {
  return {
    key: shared ? `${key}_shared` : key,
    title: shared ? `${title}, shared connection` : title,
    phases: PHASES,
    makesTree: true,
    async enter(stage: Stage): Promise<Entrant> {
      const ssh = await startSsh(stage, shared);
      return { sync: (turn) => sync(stage, ssh, turn), close: ssh.close };
    },
  };
}

async function startSsh(stage: Stage, shared: boolean): Promise<Ssh> {
  const { service, config, files } = await startSshd(stage);
  const master = shared ? await startMaster(stage, config) : undefined;
  return {
    shell: `ssh -F ${config}`,
    beside: (warmUp, work) =>
      besideFamily(service.pid, warmUp, () => (master === undefined ? work() : withMaster(master.pid, work))),
    close: async () => {
      await master?.stop();
      await service.stop();
      forget(files);
    },
  };
}

async function startMaster(stage: Stage, config: string): Promise<Service> {
  const command = ['ssh', '-F', config, '-N', '-o', 'ControlMaster=yes', 'bench'];
  const master = await startService(...within(stage.link.near, command), { line: false });
  await until('the shared ssh connection', async () => {
    return (await run('ssh', ['-F', config, '-O', 'check', 'bench'])).code === 0;
  });
  return master;
}

/** The master carries the bytes: what it spends belongs to the near end. */
async function withMaster(pid: number, work: () => Promise<Measured>): Promise<Measured> {
  const { farCpuMs = 0, ...rest } = await besideFamily(pid, false, work);
  return { ...rest, nearCpuMs: rest.nearCpuMs + farCpuMs };
}

/** Where sshd wants a folder that only root may write to. */
const PRIVILEGE_SEPARATION = '/run/sshd';

interface Sshd {
  service: Service;
  /** The client's configuration, with a host named `bench`. */
  config: string;
  files: string;
}

async function startSshd(stage: Stage): Promise<Sshd> {
  const files = workFile(stage, `ssh-${Math.random().toString(36).slice(2)}`);
  mkdirSync(files, { mode: 0o700 });
  if (process.getuid?.() === 0 && !existsSync(PRIVILEGE_SEPARATION)) {
    mkdirSync(PRIVILEGE_SEPARATION, { mode: 0o755 });
    atEnd(() => rmdirSync(PRIVILEGE_SEPARATION));
  }
  for (const key of ['host', 'client']) {
    await mustRun('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${files}/${key}`]);
  }
  writeFileSync(`${files}/authorized_keys`, readFileSync(`${files}/client.pub`));
  chmodSync(`${files}/authorized_keys`, 0o600);
  const port = await freePort(stage.link);
  const { address } = stage.link;
  const server = `${files}/sshd_config`;
  writeFileSync(
    server,
    `ListenAddress ${address}\nPort ${port}\nHostKey ${files}/host\nAuthorizedKeysFile ${files}/authorized_keys
PidFile none\nStrictModes no\nUsePAM no\nUseDNS no\nPasswordAuthentication no\nKbdInteractiveAuthentication no
PermitRootLogin prohibit-password\nLogLevel ERROR\n`,
  );
  writeFileSync(`${files}/known_hosts`, `[${address}]:${port} ${readFileSync(`${files}/host.pub`, 'utf8')}`);
  const config = `${files}/ssh_config`;
  writeFileSync(
    config,
    `Host bench\nHostName ${address}\nPort ${port}\nUser ${userInfo().username}\nIdentityFile ${files}/client
IdentitiesOnly yes\nUserKnownHostsFile ${files}/known_hosts\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes
BatchMode yes\nLogLevel ERROR\nControlPath ${files}/master\nControlMaster no\n`,
  );
  const sshd = (await mustRun('/bin/sh', ['-c', 'command -v sshd || command -v /usr/sbin/sshd'])).stdout.trim();
  const service = await startService(...within(stage.link.far, [sshd, '-D', '-e', '-f', server]), { line: false });
  let said = '';
  await until('sshd', async () => {
    const { code, stderr } = await run(...within(stage.link.near, ['ssh', '-F', config, 'bench', 'true']));
    said = stderr;
    return code === 0;
  }).catch(async (error: unknown) => {
    await service.stop();
    throw new Error(`${String(error)}: ${said.trim()}`);
  });
  return { service, config, files };
}
