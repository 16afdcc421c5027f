import { variable } from './config.js';
import { ConfigError } from './errors.js';
import type { NativeBesideOptions } from './native.js';
import { remotePrograms, startScript, startWords } from './remote-program.js';
import type { Bootstrap, RemoteProgram } from './remote-program.js';
import { nativeRoute, sshRoute } from './route.js';
import type { Route } from './route.js';
import type { ConnectSettings } from './settings.js';
import type { Via } from './shell.js';

/** The words of a command as rsync takes `-e`: blanks part them, quotes of either kind keep them together. */
export function shellWords(text: string, what: string): string[] {
  const words: string[] = [];
  for (const match of text.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+|['"]/g)) {
    const word = match[0];
    if (word === "'" || word === '"') throw new ConfigError(`${what} has an unclosed quote: ${text}`);
    words.push(
      word.replaceAll(/'([^']*)'|"([^"]*)"/g, (_, single?: string, double?: string) => single ?? double ?? ''),
    );
  }
  if (words.length === 0) throw new ConfigError(`${what} is empty`);
  return words;
}

/** What says how the other end is started. */
export interface ShellSettings extends Route {
  readonly rsh: string | readonly string[] | undefined;
  readonly remotePath: string | undefined;
  readonly bootstrap: Bootstrap | undefined;
}

/** A command that leads to the other end of a session. */
export interface SessionCommand {
  readonly words: readonly string[];
  /** The command as shown to people: without the script that finds the program. */
  readonly shown: string;
  /** What may be put at the other end. */
  readonly programs: readonly RemoteProgram[];
  /** The command is `ssh` itself, so the other end has an address. */
  readonly isSsh: boolean;
}

/** The remote shell, as its words. */
export function remoteShell({ rsh }: Pick<ShellSettings, 'rsh'>): readonly string[] {
  if (typeof rsh === 'object') return rsh;
  if (rsh !== undefined) return shellWords(rsh, 'rsh');
  const fromEnvironment = variable('RSYNC_RSH');
  return fromEnvironment === undefined ? ['ssh'] : shellWords(fromEnvironment, 'RSYNC_RSH');
}

/** Whether it is `ssh` in the end, whatever stands in front of it, as `sshpass -f FILE ssh`. */
function isSshItself(shell: readonly string[]): boolean {
  return shell.some((word) => /(?:^|\/)ssh$/.test(word)) || /(?:^|\/)autossh$/.test(shell[0] ?? '');
}

/** Whether the command asks to install the other end where it is missing: over ssh itself, unless a program is named. */
export function canBootstrap(settings: Pick<ShellSettings, 'rsh' | 'remotePath'>): boolean {
  return settings.remotePath === undefined && isSshItself(remoteShell(settings));
}

/** The words of a remote shell that lead to a host, before those of the command there. */
export function hostWords(
  shell: readonly string[],
  { user, port }: { readonly user: string | undefined; readonly port: number | undefined },
  host: string,
): readonly string[] {
  return [
    ...shell,
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...(user === undefined ? [] : ['-l', user]),
    host,
  ];
}

/** The command that starts the other end of a session. It has no data of the run: paths go through the pipe. */
export function sessionCommand(host: string, via: Via, settings: ShellSettings): SessionCommand {
  const { remotePath, bootstrap = false } = settings;
  if (bootstrap !== false && remotePath !== undefined) {
    throw new ConfigError('options bootstrap and remotePath cannot be combined: bootstrap installs its own program');
  }
  const plain = [remotePath ?? 'sparsync-remote', '--stdio'];
  if ('command' in via) {
    return startedBy(via.command, plain, { bootstrap, isSsh: false, isSought: bootstrap !== false });
  }
  // ssh also reads options that follow the host.
  if (remotePath?.startsWith('-') === true) throw new ConfigError('option remotePath cannot begin with "-"');
  const shell = remoteShell(settings);
  const isSsh = isSshItself(shell);
  for (const [name, isGiven] of [
    ['a port', via.port !== undefined],
    ['an address family', settings.family !== undefined],
    ['an address to send from', settings.localAddress !== undefined],
  ] as const) {
    if (isGiven && !isSsh)
      throw new ConfigError(`${name} works with ssh only, and the remote shell is ${shell.join(' ')}`);
  }
  const words = hostWords([...shell, ...sshRoute(settings)], via, host);
  const isSought = bootstrap !== false || (isSsh && remotePath === undefined);
  return startedBy(words, plain, { bootstrap, isSsh, isSought });
}

/** A command behind the words that lead there: the program as it is named, or the script by which it is sought. */
function startedBy(
  words: readonly string[],
  plain: readonly string[],
  {
    bootstrap,
    isSsh,
    isSought,
  }: { readonly bootstrap: Bootstrap; readonly isSsh: boolean; readonly isSought: boolean },
): SessionCommand {
  const shown = [...words, ...plain].join(' ');
  if (!isSought) return { words: [...words, ...plain], shown, programs: [], isSsh };
  const programs = remotePrograms();
  return {
    words: [...words, ...startWords(startScript(programs, bootstrap))],
    shown,
    programs: bootstrap === false ? [] : programs,
    isSsh,
  };
}

/** Whether content may move from a pipe to QUIC, and to which address; `undefined` if not. */
export function besideOptions(
  host: string,
  isSsh: boolean,
  settings: Pick<ConnectSettings, 'transport' | 'quicPorts' | 'congestion'> & Route,
): NativeBesideOptions | undefined {
  const { transport, quicPorts, congestion } = settings;
  if (transport === 'tcp')
    throw new ConfigError('transport tcp needs a sparsync:// server; over ssh or a command it is quic, pipe or auto');
  if (transport === 'quic' && !isSsh) {
    throw new ConfigError('transport quic needs ssh itself: the address behind another command is not known');
  }
  const [firstPort, lastPort] = portRange(quicPorts);
  if (transport === 'pipe' || !isSsh) return undefined;
  return { host, firstPort, lastPort, isRequired: transport === 'quic', congestion, route: nativeRoute(settings) };
}

/** Ports below are for services of the system. */
const PORT_LEAST = 1024;

function portRange(text: string | undefined): readonly [number, number] {
  if (text === undefined) return [0, 0];
  const [first = 0, last = first] = (/^\d{1,5}(?:-\d{1,5})?$/.exec(text)?.[0] ?? '').split('-').map(Number);
  if (first < PORT_LEAST || first > last || last > 65_535) {
    throw new ConfigError(`option quicPorts must be LOW-HIGH, ports from ${PORT_LEAST} to 65535, not ${text}`);
  }
  return [first, last];
}
