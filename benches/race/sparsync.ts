// sparsync-native: the command as a process, and the API in a process that keeps its connection.
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { besideServer, forget, near, PHASES, timeAt, workFile } from './contender.js';
import type { Contender, Entrant, Measured, Stage } from './contender.js';
import { within } from './links.js';
import { peakKib, resetPeak } from './proc.js';
import type { Place } from './place.js';
import { cleanEnvironment, mustRun, start, startService } from './processes.js';
import type { Service } from './processes.js';
import { overSsh } from './ssh.js';

type Durability = 'none' | 'run';

/** A server, and what a client needs to reach it. */
export interface Server {
  service: Service;
  url: string;
  publicKey: string;
  keyPath: string;
  env: Record<string, string>;
  /** Kills it, and starts it anew at once. */
  restart: () => Promise<void>;
  close: () => Promise<void>;
}

export const command = (stage: Pick<Stage, 'root'>): string => join(stage.root, 'dist/cli/main.js');

/** Another checkout takes part as this one does, under names of its own. */
function fromCheckout(contender: Contender, root: string): Contender {
  return {
    ...contender,
    key: `${contender.key}${OTHER}`,
    title: `${contender.title}, other build`,
    enter: (stage) => contender.enter({ ...stage, root }),
  };
}

/** What the keys of another checkout's contenders end in. */
export const OTHER = '_other';

/** The contenders of another checkout. */
export const otherBuild = (root: string): Contender[] =>
  [sparsyncApi('none'), sparsyncCommand('none')].map((contender) => fromCheckout(contender, root));

/** The environment of an end that keeps its state in this folder. */
const stateIn = (folder: string): Record<string, string> => ({
  SPARSYNC_CONFIG_DIR: `${folder}/config`,
  SPARSYNC_STATE_DIR: `${folder}/state`,
});

export async function startServer(stage: Place, durability: Durability): Promise<Server> {
  const files = join(stage.work, `sparsync-${Math.random().toString(36).slice(2)}`);
  const env = stateIn(`${files}/client`);
  const keys = await mustRun(process.execPath, [command(stage), 'keys', '--json'], { env: cleanEnvironment(env) });
  const { publicKey: clientKey, keyPath } = JSON.parse(keys.stdout) as { publicKey: string; keyPath: string };
  const serve = [process.execPath, command(stage), 'serve', '--json', '--root', `bench=${stage.destinations}`];
  serve.push('--durability', durability);
  // A file of keys has had one form in all versions that are raced.
  mkdirSync(`${files}/server/config`, { recursive: true });
  const line = `bench ${clientKey} allow=read,write,delete,owner\n`;
  writeFileSync(`${files}/server/config/authorized_keys`, line, { mode: 0o600 });
  const serveAt = async (at: number): Promise<Service> =>
    startService(...within(stage.link.far, [...serve, '--listen', `${stage.link.address}:${at}`]), {
      env: cleanEnvironment(stateIn(`${files}/server`)),
    });
  const service = await serveAt(0);
  const { port, publicKey } = JSON.parse(service.line) as { port: number; publicKey: string };
  const url = `sparsync://${stage.link.address}:${port}`;
  const server = { service, url, publicKey, keyPath, env };
  return Object.assign(server, {
    restart: async () => {
      await server.service.kill();
      server.service = await serveAt(port);
    },
    close: async () => {
      await server.service.stop();
      forget(files);
    },
  });
}

/** Rules of which none matches a name of the sets, so that the work is the same and all of them are compared. */
const RULES = Array.from(
  { length: 50 },
  (_, at) => `--exclude=${at % 2 === 0 ? `*.cache${at}` : `/tmp/**/none${at}/`}`,
);

/** The command with 50 rules of a filter. */
export const filteredCommand = (): Contender => ({
  ...sparsyncCommand('none', RULES),
  key: 'sparsync_rules',
  title: `sparsync, command, ${RULES.length} rules`,
});

/** The API that writes over what is there. */
export const sparsyncInPlace = (): Contender => ({
  ...sparsyncApi('none', 0, { inplace: true }),
  key: 'sparsync_inplace',
  title: 'sparsync, API, in place',
});

/** The API over TCP with TLS, for what a TCP connection takes that QUIC does not. */
export const sparsyncTcp = (): Contender => ({
  ...sparsyncApi('none', 0, { transport: 'tcp' }),
  key: 'sparsync_tcp',
  title: 'sparsync, API, TCP',
});

/** `sparsync -a --delete` as a process, from its start to its end. */
export function sparsyncCommand(durability: Durability, more: readonly string[] = []): Contender {
  return {
    key: durability === 'none' ? 'sparsync' : 'sparsync_durable',
    title: durability === 'none' ? 'sparsync, command' : 'sparsync --durability run, command',
    phases: PHASES,
    makesTree: true,
    async enter(stage: Stage): Promise<Entrant> {
      const server = await startServer(stage, durability);
      return {
        sync: ({ name, warmUp }) =>
          besideServer(server.service.pid, async (clocks) => {
            const words = ['-a', '--delete', '--durability', durability, '--pin', server.publicKey, ...more];
            // Not --json: it tells of every path, which takes more than the sync.
            if (warmUp) words.push('--stats');
            words.push(`${stage.tree.path}/`, `${server.url}/bench/${name}/`);
            const { env } = server;
            const cost = await timeAt(stage, [process.execPath, command(stage), ...words], { clocks, env });
            return { cost, wireBytes: warmUp ? wireBytes(cost.stdout) : undefined };
          }),
        close: server.close,
      };
    },
  };
}

function wireBytes(stdout: string): number {
  const of = (name: string): number =>
    Number(new RegExp(`^Total ${name}: ([\\d,]+)`, 'm').exec(stdout)?.[1]?.replaceAll(',', ''));
  return of('bytes sent') + of('bytes received');
}

/** `sparsync -a --delete` over ssh, to the executable that needs no Node. */
export const sparsyncSsh = ({ shared = false } = {}): Contender =>
  overSsh({ key: 'sparsync_ssh', title: 'sparsync, command, ssh', shared }, (stage, ssh, { destination, warmUp }) =>
    ssh.beside(warmUp, async () => {
      const words = ['-a', '--delete', '-e', ssh.shell, '--rsync-path', remoteProgram(stage)];
      if (warmUp) words.push('--stats');
      words.push(`${stage.tree.path}/`, `bench:${destination}/`);
      const env = localEnvironment(stage);
      const cost = await timeAt(stage, [process.execPath, command(stage), ...words], { env });
      return near(cost, warmUp ? wireBytes(cost.stdout) : undefined);
    }),
  );

function remoteProgram(stage: Stage): string {
  const name = readdirSync(stage.root).find((each) => each.startsWith('sparsync-remote.'));
  if (name === undefined) throw new Error("sparsync-remote is missing: run 'npm run build' first");
  return join(stage.root, name);
}

/** The state of a client that no server knows. */
const localEnvironment = (stage: Stage): Record<string, string> => stateIn(workFile(stage, 'local'));

/** `sparsync -a --delete` between two folders. */
export const SPARSYNC_LOCAL: Contender = {
  key: 'sparsync_local',
  title: 'sparsync, command, two folders',
  phases: PHASES,
  makesTree: true,
  enter: async (stage) => ({
    sync: async ({ destination }) => {
      const words = [command(stage), '-a', '--delete', `${stage.tree.path}/`, `${destination}/`];
      return near(await timeAt(stage, [process.execPath, ...words], { env: localEnvironment(stage) }));
    },
  }),
};

/** `sync()` between two folders, in a process that was there before. */
export const SPARSYNC_LOCAL_API: Contender = {
  key: 'sparsync_local_api',
  title: 'sparsync, API, two folders',
  phases: PHASES,
  makesTree: true,
  enter: async (stage) => {
    const { pid, ask, end } = startWorker(stage, localEnvironment(stage));
    await ask({});
    return {
      sync: async ({ destination }) => {
        resetPeak(pid);
        const options = { durability: 'none' };
        const { wallMs, cpuMs } = await ask({ source: stage.tree.path, destination, options });
        return { wallMs, nearCpuMs: cpuMs, nearPeakKib: peakKib(pid) };
      },
      close: async () => end(),
    };
  },
};

/** What the API's process says of a run. */
interface Answer {
  error?: string;
  wallMs: number;
  cpuMs: number;
  wireBytes: number;
}

/** A process of the API, which answers one message at a time. */
interface Worker {
  pid: number;
  ask: (message: object) => Promise<Answer>;
  end: () => void;
}

function startWorker(stage: Stage, env: Record<string, string>): Worker {
  const script = join(stage.root, 'benches/race/api-worker.mjs');
  const worker = start(...within(stage.link.near, [process.execPath, script]), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: cleanEnvironment(env),
  });
  const { pid } = worker;
  if (pid === undefined) throw new Error('the process of the API did not start');
  const ask = async (message: object): Promise<Answer> => {
    const ended = new AbortController();
    const abort = (): void => ended.abort(new Error('the process of the API ended'));
    worker.once('exit', abort);
    worker.send(message);
    const [answer] = (await once(worker, 'message', { signal: ended.signal })) as [Answer];
    worker.off('exit', abort);
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  };
  return { pid, ask, end: () => worker.disconnect() };
}

/** `connection.push()` in a process that was there before, over a connection that stands. */
export function sparsyncApi(
  durability: Durability,
  lanes = 0,
  { transport, ...more }: { inplace?: boolean; transport?: 'tcp' } = {},
): Contender {
  const [key, title] =
    durability === 'none'
      ? ['sparsync_api', 'sparsync, API']
      : ['sparsync_api_durable', 'sparsync, API, durable (its default)'];
  return {
    key: lanes === 0 ? key : `${key}_lanes${lanes}`,
    title: lanes === 0 ? title : `${title}, lanes: ${lanes}`,
    phases: PHASES,
    makesTree: true,
    async enter(stage: Stage): Promise<Entrant> {
      const server = await startServer(stage, durability);
      const { pid, ask, end } = startWorker(stage, server.env);
      await ask({ url: server.url, pin: server.publicKey, keyPath: server.keyPath, transport });
      return {
        sync: async ({ name }): Promise<Measured> => {
          resetPeak(pid);
          resetPeak(server.service.pid);
          const options = { durability, lanes, ...more };
          const message = { source: stage.tree.path, destination: `bench/${name}`, options };
          const before = await stage.timer.spentMs(server.service.pid);
          const answer = await ask(message);
          // The server may have a little to tidy up.
          await sleep(20);
          const farCpuMs = (await stage.timer.spentMs(server.service.pid)) - before;
          return {
            wallMs: answer.wallMs,
            nearCpuMs: answer.cpuMs,
            farCpuMs,
            nearPeakKib: peakKib(pid),
            farPeakKib: peakKib(server.service.pid),
            wireBytes: answer.wireBytes,
          };
        },
        close: async () => {
          end();
          await server.close();
        },
      };
    },
  };
}
