import type { Interface } from 'node:readline';

import type { ConfigError, HostKeyError } from '../errors.js';
import type { ConnectOptions } from '../options.js';
import { canBootstrap } from '../session-command.js';
import { formatRemote } from '../target.js';
import { pinKey } from '../trust.js';
import { safe } from './names.js';
import { stderr } from './output.js';

/** Asks at the terminal, if there is one, whether to trust an unknown server from now on. */
export async function isTrusted(
  error: HostKeyError,
  knownHosts: string | undefined,
  signal: () => AbortSignal,
): Promise<boolean> {
  const { key } = error;
  if (key === undefined || !isAttended() || !(await ask(error, key, signal()))) return false;
  await pinKey(formatRemote(error.host, error.port), key, { knownHosts });
  return true;
}

/**
 * Asks at the terminal whether to install the other end where it is missing, if no flag or setting says so.
 */
export async function mayBootstrap(
  error: ConfigError,
  { bootstrap, rsh, remotePath }: ConnectOptions,
  signal: () => AbortSignal,
): Promise<boolean> {
  if (bootstrap !== undefined || !canBootstrap({ rsh, remotePath }) || !isAttended()) return false;
  const { address } = error.details;
  return question(
    `sparsync-remote is not installed on ${typeof address === 'string' ? safe(address) : 'the other end'}. It can be installed into the cache folder there, once.\n`,
    'Install it? (yes/no) ',
    signal(),
  );
}

/** Whether there is a person to be asked. */
function isAttended(): boolean {
  return process.stdin.isTTY && stderr().isTTY;
}

/** Reads the lines that are typed at the terminal; `output` shows the typing. */
export async function terminalLines(output: NodeJS.WritableStream): Promise<Interface> {
  const { createInterface } = await import('node:readline');
  const lines = createInterface({ input: process.stdin, output, terminal: true });
  // The terminal is in raw mode meanwhile, in which Ctrl-C is a key and not a signal.
  lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  return lines;
}

async function ask(error: HostKeyError, key: string, signal: AbortSignal): Promise<boolean> {
  return question(
    `The server ${formatRemote(error.host, error.port)} is not known here yet. Its key is\n  ${key}\n` +
      'Compare it with the one that the server printed when it started.\n',
    'Trust it from now on? (yes/no) ',
    signal,
  );
}

async function question(text: string, prompt: string, signal: AbortSignal): Promise<boolean> {
  const lines = await terminalLines(stderr());
  const end = (): void => lines.close();
  signal.addEventListener('abort', end, { once: true });
  stderr().write(text);
  lines.setPrompt(prompt);
  lines.prompt();
  try {
    for await (const line of lines) {
      const answer = line.trim().toLowerCase();
      if (answer === 'yes') return true;
      if (answer === 'no') return false;
      lines.prompt();
    }
  } finally {
    signal.removeEventListener('abort', end);
    lines.close();
  }
  signal.throwIfAborted();
  return false;
}
