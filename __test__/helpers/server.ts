import { mkdirSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { type Ended, type RunOptions, start, until } from './process.js';
import { type Client, program } from './product.js';
import { urlAt } from './url.js';

export interface TestServer {
  readonly pid: number;
  readonly port: number;
  /** The server's key, as a client pins it. */
  readonly pin: string;
  readonly configDir: string;
  readonly stateDir: string;
  /** The address of the server, of a root, of a path below one. */
  readonly url: (...names: readonly string[]) => string;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly ended: Promise<Ended>;
  readonly stderr: () => string;
  /** Ends it and waits. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<Ended>;
}

export interface ServerOptions {
  /** Where its key and state are; a server that is started again there is the same one to its clients. */
  readonly home: string;
  /** Named roots. */
  readonly roots: Readonly<Record<string, string>>;
  /** Who may do anything. */
  readonly clients?: readonly Client[];
  /** What they may do, when it is less. */
  readonly rights?: string;
  /** Further `--allow` values. */
  readonly allow?: readonly string[];
  readonly args?: readonly string[];
  readonly port?: number;
  readonly env?: RunOptions['env'];
  /** What has the verb `serve`; the command unless told otherwise. */
  readonly program?: readonly string[];
  /** A program, with its arguments, that runs the server: `strace -f …`. */
  readonly under?: readonly string[];
}

/** Starts a server as a process of its own, on loopback, on a free port unless one is given. */
export async function startServer(t: ExecutionContext, options: ServerOptions): Promise<TestServer> {
  const configDir = `${options.home}/server.config`;
  const stateDir = `${options.home}/server.state`;
  mkdirSync(configDir, { recursive: true });
  const rights = options.rights ?? 'read,write,delete,owner,special';
  const args = [
    ...(options.under ?? []),
    ...(options.program ?? [process.execPath, program]),
    'serve',
    '--listen',
    `127.0.0.1:${options.port ?? 0}`,
    ...Object.entries(options.roots).flatMap(([name, path]) => ['--root', `${name}=${path}`]),
    ...(options.clients ?? []).flatMap((client, i) => ['--allow', `client${i} ${client.publicKey} allow=${rights}`]),
    ...(options.allow ?? []).flatMap((line) => ['--allow', line]),
    ...(options.args ?? []),
  ];
  const [first = '', ...rest] = args;
  const running = start(t, first, rest, {
    env: { ...options.env, SPARSYNC_CONFIG_DIR: configDir, SPARSYNC_STATE_DIR: stateDir },
  });
  const said = (): string => `${running.stdout()}\n${running.stderr()}`;
  const port = (): string | undefined => /127\.0\.0\.1:([1-9]\d*)/.exec(said())?.[1];
  const pin = (): string | undefined => /ed25519:[A-Za-z0-9+/_-]{42,}=*/.exec(said())?.[0];
  await until(`the server to say where it listens; it said: ${said()}`, () => {
    if (running.over()) throw new Error(`the server ended at once: ${said()}`);
    return port() !== undefined && pin() !== undefined;
  });
  const found = Number(port());
  const key = pin() ?? '';
  for (const client of options.clients ?? []) client.trust(found, key);
  return {
    pid: running.pid,
    port: found,
    pin: key,
    configDir,
    stateDir,
    url: (...names) => urlAt(`127.0.0.1:${found}`, ...names),
    kill: running.kill,
    ended: running.ended,
    stderr: running.stderr,
    stop: async (signal = 'SIGTERM') => {
      running.kill(signal);
      return running.ended;
    },
  };
}
