import { readFileSync } from 'node:fs';

import { CONGESTIONS } from '../congestion.js';
import { ConfigError } from '../errors.js';
import type { ConnectOptions } from '../options.js';
import { millisecondsOf } from './flag-values.js';
import type { ParsedFlags } from './parse.js';

/** The connect options that flags ask for. */
export function connectOptions(flags: ParsedFlags): ConnectOptions {
  const keyPath = flags.text('identity');
  const pins = flags.all('pin');
  return {
    ...(keyPath === undefined ? {} : { identity: { keyPath } }),
    trust: {
      ...(pins.length === 0 ? {} : { pin: pins }),
      knownHosts: flags.text('known-hosts'),
      ca: pemFile(flags, 'ca'),
    },
    connectTimeoutMs: millisecondsOf(flags, 'contimeout', 1),
    congestion: flags.choice('congestion', CONGESTIONS),
    rsh: flags.text('rsh'),
    remotePath: flags.text('rsync-path'),
  };
}

/** The content of the PEM file that a flag names. */
export function pemFile(flags: ParsedFlags, name: string): string | undefined {
  const path = flags.text(name);
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ConfigError(`--${name}: cannot read ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}
