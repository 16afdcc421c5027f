import type { ErrorCode } from '../codes.js';
import { settingVariables } from '../config.js';
import type { SparsyncError } from '../errors.js';
import { HostKeyError, NoSpaceError } from '../errors.js';
import { DEFAULT_PORT } from '../target.js';
import { configFilesRead } from './config-places.js';
import { isConnectTimeout } from './exit-codes.js';
import { size } from './text.js';

const HINTS: Partial<Record<ErrorCode, string | ((error: SparsyncError) => string | undefined)>> = {
  ERR_SPARSYNC_CONFIG: unusable,
  ERR_SPARSYNC_CONNECT: unreachable,
  ERR_SPARSYNC_CLOSED: 'run it again: what arrived is kept; --retry NUM does so by itself',
  ERR_SPARSYNC_TIMEOUT: (error) =>
    isConnectTimeout(error) ? unreachable(error) : 'run it again: what arrived is kept; --retry NUM does so by itself',
  ERR_SPARSYNC_VERSION: 'bring sparsync-native up to date on the older side',
  ERR_SPARSYNC_UNKNOWN_HOST: (error) => (error instanceof HostKeyError ? unknownHost(error) : undefined),
  ERR_SPARSYNC_HOST_KEY_CHANGED: (error) => (error instanceof HostKeyError ? changedHost(error) : undefined),
  ERR_SPARSYNC_UNAUTHORIZED: (error) =>
    isOfCommand(error)
      ? 'does the same command log in without sparsync? ssh -v shows which keys it offers'
      : 'the server must allow this key (sparsync keys shows it): sparsync serve --allow "NAME KEY"',
  ERR_SPARSYNC_NOT_FOUND: wildcards,
  ERR_SPARSYNC_SCOPE: "the server's authorized_keys decides what this key may do",
  ERR_SPARSYNC_NO_SPACE: (error) => (error instanceof NoSpaceError ? noSpace(error) : undefined),
  ERR_SPARSYNC_DELETE_REFUSED: 'if this is what you want: --allow-mass-delete',
  ERR_SPARSYNC_MAX_DELETE: 'run it again with a higher --max-delete if that is right',
  ERR_SPARSYNC_BUSY: 'wait for it with --lock-wait SECONDS',
  ERR_SPARSYNC_PARTIAL: 'correct what is named above and run it again',
  ERR_SPARSYNC_PLAN_STALE: 'make a new plan: --plan FILE',
  ERR_SPARSYNC_INTERNAL: 'this is a defect: please report it with the output of sparsync doctor',
  ERR_SPARSYNC_PLATFORM: 'sparsync doctor says more',
};

/** A line that says how to resolve an error; `undefined` if there is none. */
export function hintFor(error: SparsyncError): string | undefined {
  const hint = HINTS[error.code];
  return typeof hint === 'function' ? hint(error) : hint;
}

/** The hint for an unusable option. It may be from a file or the environment, which the command line does not show. */
function unusable(error: SparsyncError): string | undefined {
  // The message says what is missing at the other end.
  if (isOfCommand(error) && error.side === 'remote') return undefined;
  const places = [...settingVariables(), ...configFilesRead()];
  const settings = `settings also come from ${places.join(' and ')}: sparsync config show --origin lists them`;
  return places.length === 0 ? 'sparsync --help lists the flags' : settings;
}

/** The hint for a pattern, which only the shell of this machine expands. */
function wildcards({ side, path = '', details }: SparsyncError): string | undefined {
  if (side !== 'remote' || details['end'] !== 'source' || !/[*?[]/.test(path)) return undefined;
  return 'the other side expands no wildcards: name the directory, with a slash, and choose by --include and --exclude';
}

function authority(error: HostKeyError): string {
  const host = error.host.includes(':') ? `[${error.host}]` : error.host;
  return error.port === DEFAULT_PORT ? host : `${host}:${error.port}`;
}

/** Whether `ssh`, or another command, has failed, so that no server of this package was reached. */
function isOfCommand({ details }: SparsyncError): boolean {
  return details['command'] !== undefined;
}

/** The hint for a failed connection. If a name had no address, no firewall was involved. */
function unreachable(error: SparsyncError): string {
  // A server that answers, and is full, says so.
  if (error.side === 'remote') return 'run it again later; --retry NUM does so by itself';
  if (isOfCommand(error))
    return 'if a password is asked for, or the way is long, give it more time: --contimeout SECONDS';
  // The message says what is to be changed.
  if (error.details['reason'] === 'mtu') return 'this is usually set by a VPN or tunnel on the way';
  if (error.details['proxy'] !== undefined)
    return 'is HTTPS_PROXY right? NO_PROXY names the hosts that are reached without it';
  return error.details['reason'] === 'unresolved'
    ? 'is the name of the host spelled right, and does this machine have a name server? An IP address works as well'
    : 'is the server running, and does a firewall let its port through, by UDP or TCP? sparsync doctor URL looks';
}

function changedHost(error: HostKeyError): string {
  if (isOfCommand(error))
    return 'somebody may be in between. If the host was really set up anew, take its old key out of the known_hosts of ssh, whose line ssh names';
  // With --pin no file was read, so there is no key in it to be removed.
  const cure =
    error.path === undefined
      ? 'give --pin the key that it shows at its start'
      : `sparsync trust replace ${authority(error)} ${error.key ?? 'KEY'}`;
  return `somebody may be in between. If the server was really set up anew: ${cure}`;
}

function unknownHost(error: HostKeyError): string {
  if (isOfCommand(error)) return 'log in there once with ssh itself, and compare the key that it shows';
  return `compare the key with the one that the server printed when it started, then: sparsync trust ${authority(error)} ${error.key ?? 'KEY'}`;
}

function noSpace(error: NoSpaceError): string | undefined {
  const { needBytes, freeBytes, needEntries, freeEntries } = error;
  const parts: string[] = [];
  if (needBytes !== undefined && freeBytes !== undefined) {
    parts.push(`${size(needBytes, true)} are needed and ${size(freeBytes, true)} are free`);
  }
  if (needEntries !== undefined && freeEntries !== undefined && needEntries > freeEntries) {
    parts.push(`${needEntries} entries are needed and ${freeEntries} are free`);
  }
  return parts.length === 0 ? undefined : parts.join('; ');
}
