import type { PlanItem, Reason } from '../events.js';

/** The facts besides the item that the eleven columns of `-i` depend on. */
export interface ItemizeContext {
  /** `'push'` when content leaves this machine. */
  readonly direction: 'push' | 'pull' | 'local';
  /** Whether modification times are carried. */
  readonly times: boolean;
  /** Whether those of symlinks are left out. */
  readonly omitLinkTimes: boolean;
  /** Whether content is compared: what is transferred then differs in it. */
  readonly checksum: boolean;
  /** Whether an unchanged entry becomes a hard link to another state of the tree (`--link-dest`). */
  readonly links: boolean;
}

const KINDS: Readonly<Record<PlanItem['kind'], string>> = {
  file: 'f',
  directory: 'd',
  symlink: 'L',
  special: 'S',
  fifo: 'S',
  'block-device': 'D',
  'char-device': 'D',
  socket: 'S',
};

/** The columns after the first two: each with its letter, and the reasons for which the letter is shown. */
const COLUMNS: readonly (readonly [string, readonly Reason[]])[] = [
  ['c', ['content', 'target', 'device']],
  ['s', ['size']],
  ['t', ['mtime']],
  ['p', ['mode']],
  ['o', ['owner']],
  ['g', ['group']],
  ['u', ['atime']],
  ['a', ['acls']],
  ['x', ['xattrs']],
];

/**
 * The eleven columns that scripts know from rsync, `YXcstpoguax`: what is done, to what kind of entry, and which
 * attributes differ. `undefined` for an item that is not a change.
 */
export function itemize(item: PlanItem, context: ItemizeContext): string | undefined {
  if (['skip', 'backup', 'remove'].includes(item.action)) return undefined;
  if (item.action === 'delete') return '*deleting  ';
  const kind = KINDS[item.kind];
  const first = firstColumn(item, context);
  if (item.reasons.length === 0) return `${first}${kind}${' '.repeat(COLUMNS.length)}`;
  if (item.action === 'create' || item.reasons.includes('missing') || item.reasons.includes('type')) {
    return `${first}${kind}+++++++++`;
  }
  const columns = COLUMNS.map(([letter, reasons]) => {
    if (letter === 't' && isMadeAnew(item)) {
      // The time of what is made anew is another one.
      if (!context.times) return 'T';
      if (item.kind === 'symlink' && context.omitLinkTimes) return 't';
    }
    if (letter === 'c' && item.action === 'update' && item.kind === 'file' && context.checksum) return 'c';
    // What is no file and made anew is told so, as by rsync.
    if (letter === 'c' && item.action === 'copy' && item.kind !== 'file' && item.kind !== 'directory') return 'c';
    return reasons.some((reason) => item.reasons.includes(reason)) ? letter : '.';
  });
  const rest = columns.join('');
  // If only the link differs, rsync leaves the columns blank.
  return `${first}${kind}${first === 'h' && /^\.*$/.test(rest) ? ' '.repeat(rest.length) : rest}`;
}

/** Whether an entry that is there gets new content, or is made anew, as is what is no file and another state of the tree has. */
function isMadeAnew({ action, kind }: PlanItem): boolean {
  if (kind === 'directory') return false;
  return action === 'update' || (action === 'copy' && kind !== 'file');
}

function firstColumn(item: PlanItem, context: ItemizeContext): string {
  if (item.action === 'attrs' || item.action === 'keep') return '.';
  if (item.action === 'copy') {
    return context.links && item.reasons.length === 0 && item.kind !== 'directory' ? 'h' : 'c';
  }
  if (item.hardLinkTo !== undefined) return 'h';
  if (item.kind === 'file') return context.direction === 'push' ? '<' : '>';
  return item.action === 'create' || item.kind !== 'directory' ? 'c' : '.';
}
