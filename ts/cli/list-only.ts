import { join } from 'node:path';

import type { PlanItem } from '../events.js';
import type { TransferOptions } from '../options.js';
import { shownNumber } from './numbers.js';
import { moment, permissions } from './out-format.js';
import type { FormatValues } from './out-format.js';
import type { ParsedFlags, Word } from './parse.js';

/** The operands of a listing: a dry run to a place where nothing exists. */
export async function listedOperands(flags: ParsedFlags): Promise<Word[]> {
  // The import is not at the top, because it takes longer than most modules of a sync.
  const { tmpdir } = await import('node:os');
  const sources = flags.operands.length === 1 ? flags.operands : flags.operands.slice(0, -1);
  return [...sources, `${join(tmpdir(), `sparsync-list-${process.pid}`)}/`];
}

/** The options of a listing: it shows every kind of entry, and changes nothing. */
export function listOptions(transfer: TransferOptions): TransferOptions {
  return {
    ...transfer,
    dryRun: true,
    delete: false,
    deleteAfter: false,
    backup: false,
    backupDir: undefined,
    compareDest: undefined,
    copyDest: undefined,
    linkDest: undefined,
    reflinkDest: undefined,
    copyDevices: false,
    writeDevices: false,
    partialDir: undefined,
    tempDir: undefined,
    removeSourceFiles: false,
    existing: false,
    ignoreExisting: false,
    hardLinks: false,
    links: transfer.copyLinks !== true,
    devices: true,
    specials: true,
    dirs: transfer.recursive !== true,
    events: { ...transfer.events, items: true, whenFull: 'wait' },
    itemDetails: true,
    itemUnchanged: false,
  };
}

const TYPES: Readonly<Record<PlanItem['kind'], string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  special: '-',
  fifo: 'p',
  'block-device': 'b',
  'char-device': 'c',
  socket: 's',
};

/** The line of an entry, which is rsync's. */
export function listLine(
  kind: PlanItem['kind'],
  { mode, size, mtimeMs, name, leadsTo }: Pick<FormatValues, 'mode' | 'size' | 'mtimeMs' | 'name' | 'leadsTo'>,
  { level, links }: { level: number; links: boolean },
): string {
  const shown = name === './' ? '.' : name.replace(/\/$/, '');
  const bytes = shownNumber(size, level).padStart(level === 0 ? 11 : 14);
  return `${TYPES[kind]}${permissions(mode)} ${bytes} ${moment(mtimeMs, ' ')} ${shown}${links ? leadsTo : ''}`;
}
