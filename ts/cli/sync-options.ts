import { ConfigError } from '../errors.js';
import type { TransferOptions } from '../options.js';
import { formatOf, infoLevels } from './info.js';
import type { InfoLevels } from './info.js';
import type { ParsedFlags } from './parse.js';
import { reporter } from './reporter.js';
import { flaggedOptions } from './transfer-flags.js';

/** Flags for the time of deletions while the run goes on: of these the last one counts, as in rsync. */
const DELETE_MEANWHILE = ['delete-during', 'delete-delay'] as const;

/** Flags for the time of deletions; those of one group may stand together. */
const DELETE_WHEN = [['delete-before'], DELETE_MEANWHILE, ['delete-after']] as const;

/** Which items are wanted: none, changes or all, and whether they have details. */
function wantedItems(
  flags: ParsedFlags,
  info: InfoLevels,
): { items: boolean } & Record<
  'itemDetails' | 'itemUnchanged' | 'itemBackups' | 'itemRemovals' | 'itemDeletionsFirst',
  boolean
> {
  const said = ['name', 'del', 'progress', 'skip', 'backup', 'remove'] as const;
  const isLogged = flags.text('log-file') !== undefined;
  const isSaid = !flags.on('quiet') && (formatOf(flags) !== undefined || said.some((word) => info[word] > 0));
  const isJson = reporter() === 'json';
  const deletesLate = flags.on('delete-after') || flags.lastOn(DELETE_MEANWHILE) === 'delete-delay';
  const isShown = !isJson && (isSaid || isLogged);
  // What is left alone because it exists is also what is as it should be.
  const tellsKept = info.name > 1 || (info.skip > 0 && flags.on('ignore-existing'));
  return {
    items: isShown || isJson,
    itemDetails: isShown || (!isJson && info.stats > 0),
    itemUnchanged: isShown && (tellsKept || flags.times('itemize-changes') > 1),
    itemBackups: isShown && info.backup > 0 && (flags.on('backup') || flags.words('backup-dir').length > 0),
    itemRemovals: isShown && info.remove > 0 && flags.on('remove-source-files'),
    // What is deleted when all has come is told then, too.
    itemDeletionsFirst: isShown && flags.on('delete') && !deletesLate,
  };
}

/** The transfer options of the flags, with the command's defaults, which are rsync's. */
export async function transferOptions(
  flags: ParsedFlags,
  info: InfoLevels = infoLevels(flags),
): Promise<TransferOptions> {
  const times = DELETE_WHEN.filter((names) => names.some((name) => flags.on(name)));
  if (times.length > 1) {
    throw new ConfigError(`--${times.map(([name]) => name).join(' and --')} cannot be combined: give one of them`);
  }
  if (flags.on('delete') && !flags.on('recursive') && !flags.on('dirs') && flags.words('read-batch').length === 0) {
    throw new ConfigError('--delete needs -r, -a or -d: without them no directory is looked into');
  }
  const flagged = await flaggedOptions(flags);
  // A list names its entries, so `-a` does not imply `-r` for it.
  const isListed = flagged.filesFrom !== undefined && !flags.spelled('recursive');
  const { items, ...details } = wantedItems(flags, info);
  return Object.assign(flagged, {
    ...(isListed ? { recursive: false, dirs: true } : {}),
    ...(flags.on('fsync') ? { durability: 'file' as const } : {}),
    // As in rsync a dash stands for standard input.
    ...(flagged.readBatch === '-' ? { readBatch: '/dev/stdin' } : {}),
    into: true,
    // A listing must be complete even if it is read slowly.
    events: { items, filter: info.filter > 0 && reporter() !== 'json', whenFull: 'wait' as const },
    ...details,
  });
}
