import { realpathSync } from 'node:fs';

import { textOf } from '../paths.js';
import type { Word } from './parse.js';

/** Where the system manager keeps what the unit has: key, clients, state. */
const STATE = '/var/lib/sparsync';

/** What a unit is made of. */
export interface UnitOptions {
  /** The words behind `sparsync serve`. */
  readonly words: readonly Word[];
  /** The folders that are offered. */
  readonly roots: readonly string[];
  readonly readOnly: boolean;
  /** The file that the log goes to; the journal without one. */
  readonly logFile: string | undefined;
  readonly graceMs: number;
}

/** A unit of systemd that runs this server with the rights that it needs and no others. */
export function unitText({ words, roots, readOnly, logFile, graceMs }: UnitOptions): string {
  const program = [process.execPath, realpathSync(process.argv[1] ?? '')];
  const command = [...program, 'serve', ...words.map(textOf)].map(quoted).join(' ');
  const folders = roots.map((root) => `${readOnly ? 'ReadOnlyPaths' : 'ReadWritePaths'}=${quoted(root)}`);
  const logs = logFile === undefined ? [] : [`ReadWritePaths=${quoted(folderOf(logFile))}`];
  return `[Unit]
Description=sparsync server
Documentation=man:sparsync(1)
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=main
ExecStart=${command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
TimeoutStopSec=${Math.ceil(graceMs / 1000) + 10}
Environment=SPARSYNC_CONFIG_DIR=${STATE} SPARSYNC_STATE_DIR=${STATE}/state
StateDirectory=sparsync
StateDirectoryMode=0700
UMask=0077
# As root it can give files their owners. Where it need not, a user of its own is better: User=, which must own the roots.
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_MKNOD CAP_SETFCAP
LockPersonality=yes
NoNewPrivileges=yes
PrivateTmp=yes
ProcSubset=all
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
${[...folders, ...logs].join('\n')}
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service @chown mknod mknodat
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target`;
}

function folderOf(path: string): string {
  return path.replace(/\/[^/]*$/, '') || '/';
}

/** A word as a unit has it: specifiers and variables mean nothing in it. */
function quoted(word: string): string {
  const plain = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@./:,=+[\]-]+$/.test(plain)
    ? plain
    : `"${plain
        .replaceAll('\\', '\\\\')
        .replaceAll('"', String.raw`\"`)
        .replaceAll('\n', String.raw`\n`)}"`;
}
