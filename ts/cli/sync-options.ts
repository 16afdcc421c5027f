import { ConfigError } from '../errors.js';
import type { TransferOptions } from '../options.js';
import { COMPRESSIONS, DURABILITIES } from '../words.js';
import { modifyWindowNs } from './connecting.js';
import type { ParsedFlags } from './parse.js';
import { selectionOf } from './selection.js';

/** Whether a line per path is wanted. */
export function wantsItems(flags: ParsedFlags): boolean {
  return flags.on('itemize-changes') || flags.on('verbose') || flags.on('json');
}

/** The transfer options that flags ask for, with the defaults of the command, which are rsync's. */
export function transferOptions(flags: ParsedFlags): TransferOptions {
  if (flags.on('delete') && !flags.on('recursive')) {
    throw new ConfigError('--delete needs -r or -a: without them no directory is looked into');
  }
  if (flags.on('checksum') && flags.on('size-only')) {
    throw new ConfigError('--checksum and --size-only exclude each other');
  }
  const maxDelete = flags.number('max-delete');
  const timeout = flags.number('timeout');
  const lockWait = flags.number('lock-wait');
  const lanes = flags.number('lanes', 1);
  return {
    recursive: flags.on('recursive'),
    links: flags.on('links'),
    specials: flags.on('specials'),
    xattrs: flags.on('xattrs'),
    perms: flags.on('perms'),
    times: flags.on('times'),
    owner: flags.on('owner'),
    group: flags.on('group'),
    compare: flags.on('checksum') ? 'content' : flags.on('size-only') ? 'size' : 'quick',
    modifyWindowNs: modifyWindowNs(flags),
    exclude: flags.words('exclude'),
    ...selectionOf(flags),
    delete: flags.on('delete'),
    force: flags.on('force'),
    ...(maxDelete === undefined ? {} : { maxDelete }),
    allowMassDelete: flags.given('allow-mass-delete'),
    dryRun: flags.on('dry-run'),
    durability: flags.choice('durability', DURABILITIES) ?? 'none',
    compression: flags.choice('compress', COMPRESSIONS) ?? 'auto',
    ...(lockWait === undefined ? {} : { lockWaitMs: lockWait * 1000 }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }),
    ...(lanes === undefined ? {} : { lanes }),
    partial: flags.given('partial') ?? true,
    profile: flags.text('profile') === undefined ? undefined : true,
    into: true,
    // A list that a user asked for is whole, also when it is read slowly.
    events: { items: wantsItems(flags), whenFull: 'wait' },
    retry: flags.number('retry') ?? 0,
  };
}
