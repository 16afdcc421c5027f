import { realpathSync } from 'node:fs';

import { ConfigError } from '../errors.js';
import { textOf } from '../paths.js';
import { shellQuoted } from '../shell.js';
import { safe } from './names.js';
import type { Word } from './parse.js';

/** The folder that the system manager keeps for the unit: key, clients, state. */
const STATE = '/var/lib/sparsync';

/** The name under which the system manager passes the server's key. */
const KEY = 'sparsync-key';

/** What a unit is made of. */
export interface UnitOptions {
  /** The words after `sparsync serve`, without those for its key. */
  readonly words: readonly Word[];
  /** Where relative paths among them begin, if there are any. */
  readonly workingFolder: string | undefined;
  /** The folders that are offered. */
  readonly roots: readonly string[];
  readonly readOnly: boolean;
  /** The file of the private key, where one is named. */
  readonly keyFile: string | undefined;
  /** The file of clients, where one is named: who joins is written there. */
  readonly keysFile: string | undefined;
  /** Other files that are written: a log, a pid file, profiles. */
  readonly written: readonly string[];
  /** The variables of the environment that have settings of the server. */
  readonly variables: readonly (readonly [string, string])[];
  readonly graceMs: number;
}

/** A systemd unit that runs this server with the rights that it needs, and no others. */
export function unitText(options: UnitOptions): string {
  const { words, workingFolder, roots, readOnly, keyFile, keysFile, variables, graceMs } = options;
  const program = [process.execPath, realpathSync(process.argv[1] ?? '')];
  const written = keysFile === undefined ? options.written : [...options.written, keysFile];
  const outside = roots.filter((root) => !isBelow(root, STATE));
  const folders = outside.map((root) => given(readOnly ? 'ReadOnlyPaths' : 'ReadWritePaths', root));
  const others = new Set(written.map(folderOf).filter((folder) => folder !== STATE && !isBelow(folder, STATE)));
  const files = [...others].map((folder) => given('ReadWritePaths', folder));
  const settings = variables.map((each) => each.join('='));
  const environment = [`SPARSYNC_CONFIG_DIR=${STATE}`, `SPARSYNC_STATE_DIR=${STATE}/state`, ...settings];
  const isReader = readOnly && files.length === 0;
  const isOwn = outside.length === 0 && files.length === 0;
  // A user that is made for the time cannot read root's file. Handed over, the key is what it was at the start.
  const isHandedOver = keyFile !== undefined && (isReader || isOwn);
  const identity = keyFile === undefined || isHandedOver ? [] : ['--identity', keyFile];
  const run = [...program, 'serve', ...words.map(textOf), ...identity];
  const isHome = [...run, ...roots, ...settings, workingFolder ?? ''].some((word) =>
    /\/(?:home|root|run\/user)(?:\/|$)/.test(word),
  );
  return `${administration(options)}${ordered(roots)}[Service]
Type=notify
NotifyAccess=main
ExecStart=${run.map(quoted).join(' ')}
${workingFolder === undefined ? '' : `WorkingDirectory=${pathQuoted(workingFolder)}\n`}ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
TimeoutStopSec=${Math.ceil(graceMs / 1000) + 10}
Environment=${environment.map(pathQuoted).join(' ')}
${isHandedOver ? handedOver(keyFile) : ''}StateDirectory=sparsync
StateDirectoryMode=0700
UMask=0077
${account(isReader, isOwn)}
KeyringMode=private
LockPersonality=yes
NoNewPrivileges=yes
PrivateMounts=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=${isHome ? 'read-only' : 'yes'}
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
${[...folders, ...files].map((line) => `${line}\n`).join('')}RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
# MemoryDenyWriteExecute= is not here: V8 compiles. ProtectProc= neither: who holds a lock, and whether that process is alive, stands in /proc.
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target`;
}

/** When the unit begins: a root may be on a disk of its own, without which it would be an empty folder. */
function ordered(roots: readonly string[]): string {
  return `[Unit]
Description=sparsync server
Documentation=man:sparsync(1)
Wants=network-online.target
After=network-online.target
RequiresMountsFor=${roots.map(pathQuoted).join(' ')}

`;
}

/** How the server's keys and clients are looked after, which are not where this user's are. */
function administration({ keyFile, keysFile }: UnitOptions): string {
  const named = { '--identity': keyFile, '--authorized-keys': keysFile };
  const flags = Object.entries(named).flatMap(([flag, path]) =>
    path === undefined ? [] : ` ${flag} ${safe(shellQuoted(path))}`,
  );
  return `# To let a client in:  SPARSYNC_CONFIG_DIR=${STATE} sparsync invite NAME --root ROOT${flags.join('')}\n`;
}

function handedOver(keyFile: string): string {
  return `# What the key is at a start: another one (sparsync keys rotate) counts from the next start, and no client is told before.
LoadCredential=${KEY}:${credentialPath(keyFile)}
`;
}

/** System calls of any server. V8 protects its compiled code with memory keys, hence `@pkey`. */
const CALLS = 'SystemCallFilter=@system-service @pkey';

/** The user of the service. A temporary user is enough if only the service's own folder is written. */
function account(readOnly: boolean, isOwn: boolean): string {
  if (readOnly) {
    return `# It writes nothing: a user that is made for the time, who may read what is offered.
DynamicUser=yes
AmbientCapabilities=CAP_DAC_READ_SEARCH
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
PrivateDevices=yes
RestrictSUIDSGID=yes
${CALLS}
SystemCallFilter=~@privileged
SystemCallFilter=@chown`;
  }
  if (isOwn) {
    return `# All that is offered is in the folder of the service: a user that is made for the time owns it. It gives no file another owner.
DynamicUser=yes
CapabilityBoundingSet=
PrivateDevices=yes
${CALLS}
SystemCallFilter=~@privileged
SystemCallFilter=@chown`;
  }
  return `# As root it can give files their owners, set-id bits and device nodes, for which PrivateDevices= and RestrictSUIDSGID= are not here.
# Where it need not, a user of its own is better: User=, which must own the roots.
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_MKNOD CAP_SETFCAP
${CALLS} @chown mknod mknodat`;
}

/** The line by which the service may use a folder. With `PrivateTmp=` it sees what is below `/tmp` only where that is bound. */
function given(right: 'ReadOnlyPaths' | 'ReadWritePaths', folder: string): string {
  if (!/^\/(?:var\/)?tmp\//.test(folder)) return `${right}=${pathQuoted(folder)}`;
  const bound = right === 'ReadOnlyPaths' ? 'BindReadOnlyPaths' : 'BindPaths';
  return `${bound}=${pathQuoted(folder.replaceAll(':', String.raw`\:`))}`;
}

function isBelow(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`);
}

function folderOf(path: string): string {
  return path.replace(/\/[^/]*$/, '') || '/';
}

/** The path of a credential, which takes the rest of its line. */
function credentialPath(path: string): string {
  if (/\p{Cc}/u.test(path)) throw new ConfigError('a unit cannot name a key file with a control character', { path });
  return path.replaceAll('%', '%%');
}

/** A word of the command, in which specifiers and variables must not be expanded. */
function quoted(word: string): string {
  return pathQuoted(word.replaceAll('$', '$$$$'));
}

/** A path in a unit, in which specifiers must not be expanded. */
function pathQuoted(path: string): string {
  const plain = path.replaceAll('%', '%%');
  return /^[\w@./:,=+[\]-]+$/.test(plain)
    ? plain
    : `"${plain
        .replaceAll('\\', '\\\\')
        .replaceAll('"', String.raw`\"`)
        .replaceAll('\n', String.raw`\n`)}"`;
}
