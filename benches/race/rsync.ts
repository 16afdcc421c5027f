// rsync, as a daemon, over ssh, over a shared ssh connection, and between two folders.
import { writeFileSync } from 'node:fs';

import { besideFamily, forget, near, PHASES, timeAt, workFile } from './contender.js';
import type { Contender, Entrant, Measured, Stage, Turn } from './contender.js';
import { freePort, within } from './links.js';
import { run, startService, until } from './processes.js';
import type { Service } from './processes.js';
import { overSsh } from './ssh.js';

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

/** rsync over ssh, each time with a handshake or over a connection that stands. */
export const rsyncSsh = ({ shared = false } = {}): Contender =>
  overSsh({ key: 'rsync_ssh', title: 'rsync, ssh', shared }, (stage, { shell, beside }, turn) =>
    beside(turn.warmUp, () => timeRsync(stage, turn, `bench:${turn.destination}/`, ['-e', shell])),
  );
