import { readFileSync } from 'node:fs';

import { CONGESTIONS } from '../congestion.js';
import { ConfigError, messageOf } from '../errors.js';
import type { ConnectOptions } from '../options.js';
import { TRANSPORT_CHOICES } from '../transports.js';
import { BOOTSTRAPS, millisecondsOf } from './flag-values.js';
import type { ParsedFlags } from './parse.js';
import { CONTIMEOUT_FLAG } from './transfer-flags.js';

/** The connect options that flags ask for. */
export function connectOptions(flags: ParsedFlags): ConnectOptions {
  const pins = flags.all('pin');
  return {
    ...identityOption(flags),
    trust: {
      ...(pins.length === 0 ? {} : { pin: pins }),
      knownHosts: flags.text('known-hosts'),
      ca: pemFile(flags, 'ca'),
    },
    connectTimeoutMs: contimeoutOf(flags),
    idleTimeoutMs: millisecondsOf(flags, 'idle-timeout', 1),
    congestion: flags.choice('congestion', CONGESTIONS),
    transport: flags.choice('transport', TRANSPORT_CHOICES),
    family: familyOf(flags),
    localAddress: flags.text('address'),
    quicPorts: flags.text('quic-ports'),
    rsh: flags.text('rsh'),
    remotePath: flags.text('rsync-path'),
    bootstrap: bootstrapOf(flags),
    // As with rsync: what it says may be an address to be opened before it goes on.
    commandStderr: 'inherit',
  };
}

/** How long connecting may take. As in rsync 0 is no limit, for which the longest stands that there is. */
export function contimeoutOf(flags: ParsedFlags): number | undefined {
  const limit = millisecondsOf(flags, 'contimeout');
  return limit === 0 ? Number(CONTIMEOUT_FLAG.off) * 1000 : limit;
}

/** The family of addresses that is asked for. */
function familyOf(flags: ParsedFlags): 4 | 6 | undefined {
  if (flags.on('ipv4') && flags.on('ipv6')) throw new ConfigError('--ipv4 and --ipv6 cannot be combined');
  return flags.on('ipv4') ? 4 : flags.on('ipv6') ? 6 : undefined;
}

/**
 * The value of `--identity`: the file of a key, or with `-` or `/dev/fd/N` the key itself, which is then stored
 * nowhere.
 */
export function identityOption(flags: ParsedFlags): { identity?: { keyPath: string } | { key: string } } {
  const path = flags.text('identity');
  if (path === undefined) return {};
  const isStream = path === '-' || /^\/(?:dev|proc\/self)\/fd\/\d+$/.test(path);
  if (!isStream) return { identity: { keyPath: path } };
  const key = pemFile(flags, 'identity') ?? '';
  if (!key.includes('-----BEGIN ')) throw new ConfigError(`--identity ${path}: this is not a private key in PEM form`);
  return { identity: { key } };
}

/** Whether the other end is installed where it is missing; `undefined` if no flag says it. */
function bootstrapOf(flags: ParsedFlags): boolean | 'temp' | undefined {
  const how = flags.choice('bootstrap', BOOTSTRAPS);
  return how === undefined || how === 'temp' ? how : how === 'keep';
}

/** The content of the PEM file that a flag names. */
export function pemFile(flags: ParsedFlags, name: string): string | undefined {
  const path = flags.text(name);
  if (path === undefined) return undefined;
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (cause) {
    throw new ConfigError(`--${name}: cannot read ${path}: ${messageOf(cause)}`, {
      cause,
    });
  }
}
