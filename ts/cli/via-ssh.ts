import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { hostname, userInfo } from 'node:os';

import { ConfigError, ConnectionError, makeError } from '../errors.js';
import { hostWords, remoteShell } from '../session-command.js';
import { pipeParts } from '../shell.js';
import type { ParsedFlags } from './parse.js';
import { shellQuoted } from './text.js';

/** The flags of `invite` that go to the other machine as they are. */
const PASSED = ['root', 'prefix', 'allow', 'quota', 'entries', 'expires'] as const;

/** The most that a command there may say: it is one line. */
const ANSWER_BYTES_MAX = 1 << 20;

/**
 * Has the server's own command make an invitation, over this user's ssh. Gives that, and the host that ssh was told, where
 * nobody has said how the server is reached.
 */
export async function invitationViaSsh(flags: ParsedFlags): Promise<{ invitation: string; host: string }> {
  const [, user, host = '', port] =
    /^(?:([^@]*)@)?(\[[^\]]+\]|[^:@]+)(?::(\d+))?$/.exec(flags.text('via-ssh') ?? '') ?? [];
  const place = { host: host.replace(/^\[(.*)\]$/, '$1'), user, port: port === undefined ? undefined : Number(port) };
  // Checks what ssh might take for an option.
  pipeParts({ ...place, path: '' }, '--via-ssh');
  const shell = remoteShell({ rsh: flags.text('rsh') });
  const words = [
    ...hostWords(shell, place, place.host),
    [flags.text('sparsync-path') ?? 'sparsync', ...inviteWords(flags).map(quoted)].join(' '),
  ];
  const text = await answerOf(words, `${shell.join(' ')} ${place.host}`);
  const invitation = invitationIn(text);
  if (invitation === undefined)
    throw new ConfigError(`the command there printed no invitation: ${JSON.stringify(text.slice(0, 200))}`);
  return { invitation, host };
}

function inviteWords(flags: ParsedFlags): string[] {
  const name = flags.text('name') ?? ownName();
  if (name.startsWith('-')) throw new ConfigError('--name cannot begin with "-"');
  const passed = PASSED.flatMap((flag) => flags.all(flag).map((value) => `--${flag}=${value}`));
  return ['invite', name, ...passed, '--json'];
}

/** What this machine is called at the server. */
function ownName(): string {
  const parts = [hostname()];
  try {
    parts.unshift(userInfo().username);
  } catch {
    // A container may have no name for its user.
  }
  return parts.join('-').replaceAll(/[\s#,=]/g, '_');
}

/** A word that any shell passes on as it is. */
function quoted(word: string): string {
  if (/\p{Cc}/u.test(word))
    throw new ConfigError(`a control character cannot go to the shell of another machine: ${JSON.stringify(word)}`);
  return shellQuoted(word);
}

/** What a command says; what it complains of goes to the terminal, where it may ask for a password as well. */
async function answerOf([program = '', ...args]: readonly string[], shown: string): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const chunks: Buffer[] = [];
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) child.kill();
    else chunks.push(chunk);
  });
  const ended = once(child, 'close').catch((cause: unknown) => {
    throw new ConnectionError(`cannot start ${program}`, { code: 'ERR_SPARSYNC_CONNECT', cause });
  });
  const [code] = (await ended) as [number | null];
  if (code === 0) return Buffer.concat(chunks).toString();
  const why = code === 127 ? ': there is no sparsync in its PATH (--sparsync-path names it)' : '';
  throw makeError(`${shown}: the command there ended with exit code ${String(code)}${why}`, {
    code: code === 255 ? 'ERR_SPARSYNC_CONNECT' : 'ERR_SPARSYNC_CONFIG',
  });
}

/** The invitation among the lines, of which a start file of the shell there may have printed some. */
function invitationIn(text: string): string | undefined {
  for (const line of text.split('\n')) {
    if (!line.startsWith('{')) continue;
    try {
      const record: unknown = JSON.parse(line);
      if (typeof record !== 'object' || record === null || !('type' in record) || record.type !== 'invitation')
        continue;
      if ('invitation' in record && typeof record.invitation === 'string') return record.invitation;
    } catch {
      // It is somebody else's line.
    }
  }
  return undefined;
}
