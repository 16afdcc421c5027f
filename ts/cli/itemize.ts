import type { PlanItem, Reason } from '../events.js';

/** The facts besides the item that the eleven columns of `-i` depend on. */
export interface ItemizeContext {
  /** `'push'` when content leaves this machine. */
  readonly direction: 'push' | 'pull' | 'local';
  /** Whether modification times are carried. */
  readonly times: boolean;
  /** Whether content is compared: then a transferred file differs in content. */
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
    if (letter === 't' && item.action === 'update' && item.kind === 'file' && !context.times) return 'T';
    if (letter === 'c' && item.action === 'update' && item.kind === 'file' && context.checksum) return 'c';
    // As in rsync, a symlink that is made anew is shown as changed.
    if (letter === 'c' && item.action === 'copy' && item.kind === 'symlink') return 'c';
    return reasons.some((reason) => item.reasons.includes(reason)) ? letter : '.';
  });
  const rest = columns.join('');
  // If only the link differs, rsync leaves the columns blank.
  return `${first}${kind}${first === 'h' && /^\.*$/.test(rest) ? ' '.repeat(rest.length) : rest}`;
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
