// The program that this package grew from, as its own harness runs it.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { besideServer, forget, PHASES, timeAt, workFile } from './contender.js';
import type { Contender, Stage } from './contender.js';
import { freePort, within } from './links.js';
import { mustRun, start, startService, until } from './processes.js';
import type { Service } from './processes.js';

const VERSION = '0.1.7';
const MINUTES_MAX = 20;

/** The folder that holds the built seed from one run to the next. */
function cache(): string {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(base, 'sparsync-native', 'bench', `seed-${VERSION}`);
}

/** Builds the seed unless it is there; throws with the reason when it cannot be had. */
export async function buildSeed(mayBuild: boolean): Promise<string> {
  const program = join(cache(), 'bin', 'sparsync');
  if (existsSync(program)) return program;
  if (!mayBuild) throw new Error('it was not to be built (--no-seed)');
  console.error(`building the seed, sparsync ${VERSION} (once; at most ${MINUTES_MAX} minutes) …`);
  const args = ['install', 'sparsync', '--version', VERSION, '--locked', '--quiet', '--root', cache()];
  const child = start('cargo', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise<number>((resolve) => {
    child.once('error', () => resolve(127));
    child.once('exit', (code) => resolve(code ?? 1));
  });
  const late = setTimeout(() => child.kill('SIGTERM'), MINUTES_MAX * 60_000);
  const code = await ended;
  clearTimeout(late);
  if (code !== 0) throw new Error(`cargo install sparsync ${VERSION} exited ${code}`);
  return program;
}

/** Whether a process has bound a UDP port. */
function hasUdpPort(pid: number, port: number): boolean {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const table = readFileSync(`/proc/${pid}/net/udp`, 'utf8').split('\n');
  return table.some((line) => line.trim().split(/\s+/)[1]?.endsWith(suffix) === true);
}

/**
 * The seed. Its push carries no metadata and deletes nothing, and it answers the second and third phase from its server's memory:
 * only content is compared.
 */
export function seed(program: string): Contender {
  return {
    key: 'seed',
    title: `the seed ${VERSION} (content only)`,
    phases: PHASES,
    makesTree: true,
    contentOnly: true,
    async enter(stage: Stage) {
      const files = workFile(stage, 'seed');
      mkdirSync(files, { recursive: true });
      const [cert, key] = [`${files}/server.der`, `${files}/server.key`];
      await mustRun(program, ['gen-cert', '--name', 'localhost', '--cert', cert, '--key', key]);
      let server: { service: Service; port: number } | undefined;
      const stop = async (): Promise<void> => server?.service.stop();
      return {
        // Its server knows one destination: each run has a server of its own.
        prepare: async (destination) => {
          mkdirSync(destination);
          const port = await freePort(stage.link);
          const serve = [program, 'serve', '--bind', `${stage.link.address}:${port}`, '--destination', destination];
          const words = within(stage.link.far, [...serve, '--cert', cert, '--key', key]);
          const service = await startService(...words, { line: false });
          server = { service, port };
          await until("the seed's server", () => Promise.resolve(hasUdpPort(service.pid, port)));
        },
        sync: () => {
          if (server === undefined) throw new Error("the seed's server is not running");
          const { service, port } = server;
          const words = ['push', '--source', stage.tree.path, '--server', `${stage.link.address}:${port}`];
          words.push('--server-name', 'localhost', '--ca', cert, '--parallel-files', '16', '--connections', '1');
          words.push('--scan-workers', '8', '--hash-workers', '16', '--compression-level', '0');
          return besideServer(service.pid, async (clocks) => ({
            cost: await timeAt(stage, [program, ...words], { clocks }),
          }));
        },
        // It keeps a core busy once it has served, which is not to be the others' burden.
        finish: stop,
        close: () => {
          forget(files);
          return Promise.resolve();
        },
      };
    },
  };
}
