import { ConfigError, ConnectionError, makeError } from './errors.js';
import { builtin } from './builtin.js';
import { withoutSecrets } from './config.js';
import { captureCallSite } from './callsite.js';
import { argument, checkOptions, listOf, text } from './check.js';
import type { Checks } from './check.js';
import { JOIN_CHECKS, join, rootWord } from './invitations.js';
import type { JoinOptions, Joined } from './invitations.js';
import type { ConnectOptions } from './options.js';
import { SCOPE_CHECKS, scopeWords } from './server-options.js';
import type { AllowedClient } from './server-options.js';
import { hostWords, remoteShell } from './session-command.js';
import { CONNECT_CHECKS } from './settings.js';
import { pipeParts, shellQuoted } from './shell.js';
import { withSite } from './trust.js';

/** Whom an invitation is made for by ssh, what for, and how the server is reached then. */
export interface JoinViaSshOptions
  extends JoinOptions, Pick<ConnectOptions, 'rsh'>, Omit<AllowedClient, 'name' | 'key'> {
  /** What this client is to be called there. Default: the user and the name of this machine. */
  name?: string | undefined;
  /** Where the server answers, `host` or `host:port`. Default: the host that ssh is told, at the usual port. */
  address?: string | undefined;
  /** The command there, for the shell there to read. Default: `sparsync`. */
  sparsyncPath?: string | undefined;
}

const VIA_SSH_CHECKS: Checks<JoinViaSshOptions> = {
  ...JOIN_CHECKS,
  roots: listOf(rootWord),
  ...SCOPE_CHECKS,
  rsh: CONNECT_CHECKS.rsh,
  name: text('the name of a client'),
  address: text('a host, as in backup.example or [::1]:28792'),
  sparsyncPath: text('a command on the other machine'),
};

/**
 * Becomes a client of a server on which this user may run commands by ssh: the invitation is made there and taken here.
 *
 * @param host - `[user@]host[:port]`, as ssh is to be told.
 * @throws {@link ConnectionError} when ssh leads nowhere, or has not ended within `connectTimeoutMs` where that is given,
 *   {@link ConfigError} when the command there makes no invitation, and what {@link join} throws.
 *
 * @example `const { roots } = await joinViaSsh('root@nas.example', { roots: ['backup/alice'], operations: ['read', 'write'] })`
 */
export async function joinViaSsh(host: string, options?: JoinViaSshOptions): Promise<Joined> {
  return withSite(captureCallSite(), async () => {
    const place = argument(host, 'host', text('a host for ssh, as in root@backup.example'));
    if (place === undefined) throw new ConfigError('host is missing: give one for ssh, as in root@backup.example');
    const given = checkOptions<JoinViaSshOptions>(options, VIA_SSH_CHECKS, 'options');
    const { name, address, sparsyncPath, rsh, identity, connectTimeoutMs, knownHosts, ...scope } = given;
    const words = scopeWords(scope).map((each) => `--${each}`);
    const by = { place, words, name, rsh, program: sparsyncPath, connectTimeoutMs };
    const { invitation, host: told } = await invitationViaSsh(by);
    return join(address ?? told, invitation, { identity, connectTimeoutMs, knownHosts });
  });
}

/** How an invitation is asked for. */
export interface ViaSsh {
  /** `[user@]host[:port]`. */
  readonly place: string;
  /** The flags of `sparsync invite` for the rights of the client. */
  readonly words: readonly string[];
  readonly name?: string | undefined;
  readonly rsh?: string | readonly string[] | undefined;
  readonly program?: string | undefined;
  /** How long the command may take; by default as long as it takes, since it may ask for a password. */
  readonly connectTimeoutMs?: number | undefined;
}

/** The most output of the command, which should be one line. */
const ANSWER_BYTES_MAX = 1 << 20;

/**
 * Runs the server's own command over this user's ssh to make an invitation. Gives that, and ssh's host if no address of
 * the server was given.
 */
export async function invitationViaSsh(asked: ViaSsh): Promise<{ invitation: string; host: string }> {
  const [, user, host = '', port] = /^(?:([^@]*)@)?(\[[^\]]+\]|[^:@]+)(?::(\d+))?$/.exec(asked.place) ?? [];
  const place = { host: host.replace(/^\[(.*)\]$/, '$1'), user, port: port === undefined ? undefined : Number(port) };
  // Checks what ssh might take for an option.
  pipeParts({ ...place, path: '' }, '--via-ssh');
  const shell = remoteShell({ rsh: asked.rsh });
  const name = asked.name ?? ownName();
  if (name.startsWith('-')) throw new ConfigError('the name of a client cannot begin with "-"');
  const invite = ['invite', name, ...asked.words, '--json'].map((each) => quoted(each));
  const words = [...hostWords(shell, place, place.host), [asked.program ?? 'sparsync', ...invite].join(' ')];
  const answer = await answerOf(words, `${shell[0] ?? ''} ${place.host}`, asked.connectTimeoutMs);
  const invitation = invitationIn(answer);
  if (invitation === undefined)
    throw new ConfigError(
      `the command there printed ${answer.length} characters and no invitation: has it this version?`,
    );
  return { invitation, host };
}

/** What this machine is called at the server. */
function ownName(): string {
  const { hostname, userInfo } = builtin('node:os');
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
    throw new ConfigError(`a control character cannot be passed to the remote shell: ${JSON.stringify(word)}`);
  return shellQuoted(word);
}

/** The output of a command. Its errors go to the terminal, where it may also ask for a password. */
async function answerOf(
  [program = '', ...args]: readonly string[],
  shown: string,
  timeoutMs: number | undefined,
): Promise<string> {
  const { spawn } = builtin('node:child_process');
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], env: withoutSecrets() });
  const chunks: Buffer[] = [];
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) child.kill();
    else chunks.push(chunk);
  });
  let timer: NodeJS.Timeout | undefined;
  const code = await new Promise<number | null>((done, fail) => {
    child.once('close', done);
    child.once('error', (cause) => {
      fail(new ConnectionError(`cannot start ${program}`, { code: 'ERR_SPARSYNC_CONNECT', cause }));
    });
    if (timeoutMs === undefined) return;
    timer = setTimeout(() => {
      child.kill();
      // A process of its own may hold the pipe.
      child.stdout.destroy();
      fail(
        new ConnectionError(`${shown} printed no invitation within ${timeoutMs / 1000} seconds`, {
          code: 'ERR_SPARSYNC_TIMEOUT',
          details: { phase: 'connect' },
        }),
      );
    }, timeoutMs);
  }).finally(() => clearTimeout(timer));
  if (code === 0) return Buffer.concat(chunks).toString();
  const why = code === 127 ? ': sparsync is not in its PATH (name it with --sparsync-path)' : '';
  throw makeError(`${shown}: the remote command ended with exit code ${String(code)}${why}`, {
    code: code === 255 ? 'ERR_SPARSYNC_CONNECT' : 'ERR_SPARSYNC_CONFIG',
  });
}

/** The line with the invitation: a start file of the shell may have printed other lines. */
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
