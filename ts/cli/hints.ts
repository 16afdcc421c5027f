import { DEFAULT_PORT } from '../target.js';
import type { SparsyncError } from '../errors.js';
import { HostKeyError, NoSpaceError, PlatformError } from '../errors.js';
import { size } from './text.js';

/** What lifts an error, in one line, where something does. */
export function hintFor(error: SparsyncError): string | undefined {
  switch (error.code) {
    case 'ERR_SPARSYNC_CONFIG':
      return 'sparsync --help lists the flags';
    case 'ERR_SPARSYNC_CONNECT':
      return 'is the server running, and does a firewall let UDP through? sparsync doctor URL looks';
    case 'ERR_SPARSYNC_CLOSED':
    case 'ERR_SPARSYNC_TIMEOUT':
      return 'run it again: what arrived is kept; --retry NUM does so by itself';
    case 'ERR_SPARSYNC_VERSION':
      return 'bring sparsync-native up to date on the older side';
    case 'ERR_SPARSYNC_UNKNOWN_HOST':
      return error instanceof HostKeyError ? unknownHost(error) : undefined;
    case 'ERR_SPARSYNC_HOST_KEY_CHANGED':
      return error instanceof HostKeyError
        ? `somebody may be in between. If the server was really set up anew: sparsync trust ${authority(error)} --forget`
        : undefined;
    case 'ERR_SPARSYNC_UNAUTHORIZED':
      return 'the server must allow this key (sparsync keys shows it): sparsync serve --allow NAME=KEY';
    case 'ERR_SPARSYNC_SCOPE':
      return "the server's authorized_keys decides what this key may do";
    case 'ERR_SPARSYNC_NO_SPACE':
      return error instanceof NoSpaceError ? noSpace(error) : undefined;
    case 'ERR_SPARSYNC_DELETE_REFUSED':
      return 'if this is what you want: --allow-mass-delete';
    case 'ERR_SPARSYNC_MAX_DELETE':
      return 'run it again with a higher --max-delete if that is right';
    case 'ERR_SPARSYNC_BUSY':
      return 'wait for it with --lock-wait SECONDS';
    case 'ERR_SPARSYNC_PARTIAL':
      return 'correct what is named above and run it again';
    case 'ERR_SPARSYNC_INTEGRITY':
      return 'run it again; if it comes back, suspect the memory or disk of one side';
    case 'ERR_SPARSYNC_INTERNAL':
      return 'this is a defect: please report it with the output of sparsync doctor';
    case 'ERR_SPARSYNC_PLATFORM':
      return error instanceof PlatformError ? 'sparsync doctor says more' : undefined;
    case 'ERR_SPARSYNC_NOT_FOUND':
    case 'ERR_SPARSYNC_PROTOCOL':
    case 'ERR_SPARSYNC_IO':
    case 'ERR_SPARSYNC_LIMIT':
    case 'ERR_SPARSYNC_ABORTED':
      return undefined;
  }
}

function authority(error: HostKeyError): string {
  const host = error.host.includes(':') ? `[${error.host}]` : error.host;
  return error.port === DEFAULT_PORT ? host : `${host}:${error.port}`;
}

function unknownHost(error: HostKeyError): string {
  return `compare the key with the one that the server shows at its start, then: sparsync trust ${authority(error)} ${error.key ?? 'KEY'}`;
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
