import { ConfigError } from '../errors.js';
import type { TransferOptions } from '../options.js';
import type { ParsedFlags } from './parse.js';
import { flaggedOptions } from './transfer-flags.js';

/** Whether a line per path is wanted. */
export function wantsItems(flags: ParsedFlags): boolean {
  return flags.on('itemize-changes') || flags.on('verbose') || flags.on('json');
}

/** The transfer options that flags ask for, with the defaults of the command, which are rsync's. */
export function transferOptions(flags: ParsedFlags): TransferOptions {
  if (flags.on('delete') && !flags.on('recursive') && !flags.on('dirs')) {
    throw new ConfigError('--delete needs -r, -a or -d: without them no directory is looked into');
  }
  const flagged = flaggedOptions(flags);
  // A list says what is meant, so that it is not -a that goes into directories.
  const isListed = flagged.filesFrom !== undefined && !flags.spelled('recursive');
  return {
    ...flagged,
    ...(isListed ? { recursive: false, dirs: true } : {}),
    into: true,
    // A list that a user asked for is whole, also when it is read slowly.
    events: { items: wantsItems(flags), whenFull: 'wait' },
  };
}
