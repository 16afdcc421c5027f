// rsync, as a daemon, over ssh, over a shared ssh connection, and between two folders.
import { chmodSync, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';

import { besideFamily, forget, near, PHASES, timeAt, workFile } from './contender.js';
import type { Contender, Entrant, Measured, Stage, Turn } from './contender.js';
import { freePort, within } from './links.js';
import { atEnd, mustRun, run, startService, until } from './processes.js';
import type { Service } from './processes.js';

/** rsync's own account of what it sent and received. */
function wireBytes(stdout: string): number | undefined {
  const of = (what: string): number => {
    const match = new RegExp(`^Total bytes ${what}: ([\\d,]+)$`, 'm').exec(stdout);
    return Number(match?.[1]?.replaceAll(',', '') ?? Number.NaN);
  };
  const sum = of('sent') + of('received');
  return Number.isNaN(sum) ? undefined : sum;
}

async function timeRsync(stage: Stage, turn: Turn, target: string, extra: readonly string[] = []): Promise<Measured> {
  const stats = turn.warmUp ? ['--stats'] : [];
  const cost = await timeAt(stage, [
    'rsync',
    ...stage.knobs.rsyncArgs,
    ...extra,
    ...stats,
    `${stage.tree.path}/`,
    target,
  ]);
  return near(cost, wireBytes(cost.stdout));
}

async function startDaemon(stage: Stage): Promise<{ service: Service; url: string; config: string }> {
  const port = await freePort(stage.link);
  const config = workFile(stage, `rsyncd-${port}.conf`);
  // Outside a chroot, which needs root, the daemon shortens links that lead out of the module.
  const owner = process.getuid?.() === 0 ? 'use chroot = yes\nuid = 0\ngid = 0\n' : 'use chroot = no\n';
  writeFileSync(
    config,
    `munge symlinks = no\n${owner}log file = ${config}.log\n[bench]\npath = ${stage.destinations}\nread only = no\n`,
  );
  const url = `rsync://${stage.link.address}:${port}/`;
  const options = [
    '--daemon',
    '--no-detach',
    `--config=${config}`,
    `--address=${stage.link.address}`,
    `--port=${port}`,
  ];
  const service = await startService(...within(stage.link.far, ['rsync', ...options]), { line: false });
  await until('the rsync daemon', async () => (await run(...within(stage.link.near, ['rsync', url]))).code === 0);
  return { service, url, config };
}

/** rsync to its daemon: what every ratio refers to. */
export function rsyncDaemon({ fsync = false } = {}): Contender {
  return {
    key: fsync ? 'rsync_remote_fsync' : 'rsync_remote',
    title: fsync ? 'rsync --fsync, daemon' : 'rsync, daemon',
    phases: PHASES,
    makesTree: true,
    async enter(stage: Stage): Promise<Entrant> {
      const { service, url, config } = await startDaemon(stage);
      return {
        sync: (turn) =>
          besideFamily(service.pid, turn.warmUp, () =>
            timeRsync(stage, turn, `${url}bench/${turn.name}/`, fsync ? ['--fsync'] : []),
          ),
        close: async () => {
          await service.stop();
          forget(config, `${config}.log`);
        },
      };
    },
  };
}

/** rsync between two folders. */
export const RSYNC_LOCAL: Contender = {
  key: 'rsync_local',
  title: 'rsync, two folders',
  phases: PHASES,
  makesTree: true,
  enter: async (stage) => ({ sync: (turn) => timeRsync(stage, turn, `${turn.destination}/`) }),
};

/** Where sshd wants a folder that only root may write to. */
const PRIVILEGE_SEPARATION = '/run/sshd';

interface Ssh {
  service: Service;
  /** The client's configuration, with a host named `bench`. */
  config: string;
  files: string;
}

async function startSshd(stage: Stage): Promise<Ssh> {
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
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${said.trim()}`);
  });
  return { service, config, files };
}

/** rsync over ssh, each time with a handshake or over a connection that stands. */
export function rsyncSsh({ shared = false } = {}): Contender {
  return {
    key: shared ? 'rsync_ssh_shared' : 'rsync_ssh',
    title: shared ? 'rsync, ssh, shared connection' : 'rsync, ssh',
    phases: PHASES,
    makesTree: true,
    async enter(stage: Stage): Promise<Entrant> {
      const { service, config, files } = await startSshd(stage);
      let master: Service | undefined;
      if (shared) {
        const command = ['ssh', '-F', config, '-N', '-o', 'ControlMaster=yes', 'bench'];
        master = await startService(...within(stage.link.near, command), { line: false });
        await until('the shared ssh connection', async () => {
          return (await run('ssh', ['-F', config, '-O', 'check', 'bench'])).code === 0;
        });
      }
      return {
        sync: async (turn) => {
          const rsync = (): Promise<Measured> =>
            timeRsync(stage, turn, `bench:${turn.destination}/`, ['-e', `ssh -F ${config}`]);
          const both = await besideFamily(service.pid, turn.warmUp, () =>
            master === undefined ? rsync() : withMaster(master.pid, rsync),
          );
          return both;
        },
        close: async () => {
          await master?.stop();
          await service.stop();
          forget(files);
        },
      };
    },
  };
}

/** The master carries the bytes: what it spends belongs to the near end. */
async function withMaster(pid: number, work: () => Promise<Measured>): Promise<Measured> {
  const { farCpuMs = 0, ...rest } = await besideFamily(pid, false, work);
  return { ...rest, nearCpuMs: rest.nearCpuMs + farCpuMs };
}
