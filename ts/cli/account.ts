import { lstatSync } from 'node:fs';

import type { FilterEvent, ItemEvent, SyncResult, WarningEvent } from '../events.js';
import type { TransferOptions } from '../options.js';
import { pathsOf } from '../paths.js';
import type { Ends, RemoteProbe } from '../placement.js';
import { arrivalOf, deletionPlaces, madeLine, madeTopLine } from './arrival.js';
import type { Arrival } from './arrival.js';
import { sizeOf } from './flag-values.js';
import { formatOf, numberLevel } from './info.js';
import type { InfoLevels } from './info.js';
import { itemize } from './itemize.js';
import type { ItemizeContext } from './itemize.js';
import { listLine } from './list-only.js';
import type { LogFile } from './log-file.js';
import { safe, safeBytes, safePath } from './names.js';
import { DELETION, readFormat } from './out-format.js';
import type { Format, FormatValues } from './out-format.js';
import { print } from './output.js';
import type { ParsedFlags } from './parse.js';
import type { ProgressLines } from './progress-lines.js';
import { statsLines, totalLines, totalSize } from './rsync-totals.js';
import { SourcePaths } from './source-paths.js';
import type { EntrySource } from './source-paths.js';

/** What the account of a run depends on, beside its events. */
export interface AccountOf extends ItemizeContext {
  readonly flags: ParsedFlags;
  readonly info: InfoLevels;
  /** The text in front of each path: the name under which a directory arrives. */
  readonly prefix: string;
  /** The name of the source, if it is a single entry that is no directory, or a symlink. */
  readonly single: string | undefined;
  /** Whether the entries are listed, and not the changes to them. */
  readonly lists: boolean;
  /** Whether the top of the tree is an entry of the source. */
  readonly hasTop: boolean;
  readonly sourcePaths: SourcePaths;
  /**
   * Finds the names under which paths arrive. If items are not shown, it is called only when a path has to be named.
   */
  readonly look: () => Promise<{ readonly prefix: string }>;
  /**
   * The line that says which directories were made for the destination; `undefined` if none is known to have been made.
   */
  readonly made: string | undefined;
  /** The line for a top that was made, if `made` does not say it. */
  readonly madeTop: string;
  /** The directories that are looked through for what is to be deleted, where that is said. */
  readonly deletionPlaces: readonly string[];
  readonly log: LogFile | undefined;
  readonly progress: ProgressLines | undefined;
}

/** Lines of the destination's rules that wait for the end of the source's list. */
const DECIDED_MAX = 10_000;

/** Prints what a run does, line by line, as rsync does and in the order of its walk. */
export class Account {
  readonly #of: AccountOf;
  readonly #format: Format | undefined;
  readonly #level: number;
  /** Whether entries without a change are shown, by the format or by the option for them. */
  readonly #keeps: boolean;
  #toldMade = false;
  /** What is still to be said of how files are sent. */
  #delta: string | undefined;
  /** What is still to be said of where is deleted. */
  #deletions: readonly string[];
  /** Says what comes behind the decisions of the source's rules, which the making of its list brings. */
  #afterList: (() => Promise<void>) | undefined;
  /** What the destination's rules decide before the list has ended. */
  #decidedThere: string[] = [];
  /** The beginning of the line that the end of the list ends, until it is shown. */
  #listing: string | undefined;

  constructor(of: AccountOf) {
    const { flags, info } = of;
    this.#of = of;
    const format = formatOf(flags);
    this.#format = format === undefined ? undefined : readFormat(format);
    this.#level = numberLevel(flags);
    this.#deletions = of.deletionPlaces.map((place) => `deleting in ${place}`);
    this.#keeps = flags.times('itemize-changes') > 1 || info.name > 1;
  }

  /** What is said before anything is done. */
  async begin(): Promise<void> {
    const { info, flags, direction, made, log } = this.#of;
    const pulls = direction === 'pull' || flags.words('read-batch').length > 0;
    await log?.line(pulls ? 'receiving file list' : 'building file list');
    const [verb, done] = pulls ? ['receiving', 'receiving'] : ['sending', 'building'];
    const isWhole = !walksAsItGoes(flags);
    if (info.flist > 0 && !isWhole) await this.#show(`${verb} incremental file list`);
    const isNamed = flags.on('recursive') || flags.on('dirs') || flags.words('files-from').length > 0;
    const head = info.flist > 0 && isWhole && isNamed ? `${done} file list ... ` : undefined;
    this.#listing = head;
    this.#afterList = async () => {
      if (head !== undefined) {
        await this.#show(this.#listing === undefined ? 'done' : `${head}done`);
        this.#listing = undefined;
        await log?.line('done');
      }
      if (info.delta > 0) {
        const copies = flags.given('whole-file') ?? direction === 'local';
        this.#delta = `delta-transmission ${copies ? 'disabled for local transfer or --whole-file' : 'enabled'}`;
        // The first item tells whether the top was made; what is deleted before stands before this line.
        if (direction !== 'push' && made === undefined && !flags.on('delete-before')) await this.#tellDelta();
      }
    };
    if (pulls || info.filter === 0) await this.#endList();
  }

  /** What a rule of a filter decides about an entry. */
  async decided(event: FilterEvent): Promise<void> {
    const { side, included, kind, rule, file, index, cvs } = event;
    const isSource = side === 'source';
    const verb = isSource ? (included ? 'showing' : 'hiding') : included ? 'risking' : 'protecting';
    const name = `${(await this.#of.look()).prefix}${safePath(event)}`;
    // As in rsync the text of a rule is told where it was given with the run.
    const pattern = file === undefined ? safe(rule.slice(rule.indexOf(' ') + 1)) : '<rule from a file read earlier>';
    const isOfTree = index === undefined && file !== undefined;
    const type = cvs === true ? ' [global CVS]' : isOfTree ? ` [per-dir ${safe(file.replace(/^.*\//s, ''))}]` : '';
    const what = `${kind === 'directory' ? 'directory' : 'file'} ${name}`;
    const line = `[${isSource ? 'sender' : 'generator'}] ${verb} ${what} because of pattern ${pattern}${type}`;
    if (!isSource && this.#afterList !== undefined) {
      this.#decidedThere.push(line);
      if (this.#decidedThere.length > DECIDED_MAX) await this.#endList();
      return;
    }
    if (!isSource) await this.#tellMade(this.#of.made);
    if (isSource && this.#listing !== undefined) {
      await this.#show(this.#listing);
      this.#listing = undefined;
    }
    await this.#say(line);
  }

  /** One path, and what is done to it. */
  async item(item: ItemEvent): Promise<void> {
    const { flags, info } = this.#of;
    await this.#endList();
    if (this.#of.lists) return this.#listed(item);
    await this.#tellMade(this.#of.made);
    if (item.path === '' && item.action === 'create' && item.kind === 'directory') {
      if (this.#of.prefix === '') await this.#tellMade(this.#of.madeTop);
      await this.#tellStart(item);
      // The top of several sources, or of a single one that is no directory, is not an entry of any source.
      if (item.details?.mode === 0 && item.details.mtimeMs === 0) return;
    }
    await this.#tellStart(item);
    const values = this.#values(item);
    const name = this.#nameOf(item);
    if (item.action === 'skip') return this.#skipped(item, name);
    if (item.action === 'backup') return this.#backedUp(name);
    if (item.action === 'remove') return this.#removed(name);
    if (this.#isLogged(item)) await this.#of.log?.entry(values);
    if (flags.on('quiet')) return;
    if (item.action === 'delete') return this.#deleted(values);
    const isUnchanged = item.reasons.length === 0;
    if (item.action === 'keep' && item.kind !== 'directory' && info.skip > 0 && flags.on('ignore-existing')) {
      await this.#say(`${name} exists`);
      return;
    }
    if (this.#format?.itemizes === true) {
      if (!isUnchanged || this.#keeps) await this.#line(item, this.#format.line(values));
      return;
    }
    const plain = name.replace(/\/$/, '');
    if (isUnchanged) {
      if (info.name < 2 || (item.action === 'keep' && item.kind === 'directory')) return;
      await this.#say(`${name} is uptodate`);
      return;
    }
    if (item.action === 'attrs' && item.kind !== 'directory') {
      if (info.name > 1) await this.#say(plain);
      return;
    }
    if (this.#format !== undefined) await this.#line(item, this.#format.line(values));
    else if (info.name > 0) await this.#line(item, `${values.name}${values.leadsTo}`);
    else await this.#of.progress?.transferring(item, undefined);
  }

  /** Prints a warning of an entry that is not carried because of its kind. */
  async warning({
    code,
    path = '',
    pathBytes,
    message,
  }: Pick<WarningEvent, 'code' | 'path' | 'pathBytes' | 'message'>): Promise<boolean> {
    const { info, look } = this.#of;
    await this.#endList();
    await this.#tellMade(this.#of.made);
    const { prefix } = await look();
    const name = `${prefix}${safePath(pathBytes === undefined ? { path } : { path, pathBytes })}`;
    if (code === 'special') {
      if (info.nonreg > 0) await this.#say(`skipping non-regular file "${name}"`);
      return true;
    }
    if (code === 'mount-skipped') {
      if (info.mount > 0) await this.#say(`[sender] skipping mount-point dir ${name}`);
      return true;
    }
    if (code === 'unsafe-link') {
      const target = message.replace(/^.* -> /, '');
      if (info.symsafe > 0) await this.#say(`ignoring unsafe symlink "${name}" -> "${target}"`);
      return true;
    }
    return false;
  }

  /** What is said at the end. */
  async end(result: Pick<SyncResult, 'stats' | 'durationMs' | 'dryRun' | 'snapshot'>): Promise<void> {
    const { info, flags, direction, hasTop, log, progress } = this.#of;
    await this.#endList();
    await this.#tellMade(this.#of.made);
    if (flags.on('delete-before')) await this.#tellDeletions();
    await this.#tellDelta();
    await progress?.end();
    if (result.snapshot !== undefined) await this.#tellSnapshot(result.snapshot);
    if (info.matches > 0 && direction !== 'pull') {
      const data = result.dryRun ? 0 : result.stats.bytesTransferred;
      await this.#say(`total: matches=0  hash_hits=0  false_alarms=0 data=${data}`);
    }
    await this.#tellDeletions();
    const dryRun = result.dryRun && !this.#of.lists;
    const totals = { ...result, dryRun, batchOnly: flags.words('only-write-batch').length > 0, hasTop };
    const lines = totalLines(totals, this.#level);
    const table = info.stats > 1 ? statsLines(totals, this.#level) : [];
    if (table.length > 0) await this.#say(['', ...table].join('\n'));
    if (info.stats > 0) await this.#say(`\n${lines.join('\n')}`);
    const { stats } = result;
    const brief = `sent ${stats.bytesSent} bytes  received ${stats.bytesReceived} bytes  total size ${totalSize(stats)}`;
    if (info.stats === 0) await log?.line(brief);
  }

  async #tellSnapshot({ name, removed }: NonNullable<SyncResult['snapshot']>): Promise<void> {
    const lines = [...removed.map((each) => `removed snapshot ${each}`), `made snapshot ${name}`];
    for (const line of lines) {
      if (this.#of.info.name > 0) await this.#say(line);
      else await this.#of.log?.line(line);
    }
  }

  async #endList(): Promise<void> {
    const say = this.#afterList;
    this.#afterList = undefined;
    await say?.();
    if (this.#decidedThere.length > 0) await this.#tellMade(this.#of.made);
    for (const line of this.#decidedThere.splice(0)) await this.#say(line);
  }

  /** What stands before an item: where is deleted, and how files are sent. */
  async #tellStart({ action }: ItemEvent): Promise<void> {
    const deletesFirst = this.#of.flags.on('delete-before');
    if (deletesFirst || action === 'delete') await this.#tellDeletions();
    if (!deletesFirst || action !== 'delete') await this.#tellDelta();
  }

  async #tellDeletions(): Promise<void> {
    const lines = this.#deletions;
    this.#deletions = [];
    for (const line of lines) await this.#say(line);
  }

  async #tellDelta(): Promise<void> {
    const line = this.#delta;
    this.#delta = undefined;
    if (line !== undefined) await this.#say(line);
  }

  async #listed(item: ItemEvent): Promise<void> {
    // The top of several sources is not an entry of any of them.
    const isTop = item.path === '' && item.kind === 'directory';
    if ((isTop && !this.#of.hasTop) || this.#of.flags.on('quiet')) return;
    const links = this.#of.flags.on('links');
    await this.#show(listLine(item.kind, this.#values(item), { level: this.#level, links }));
  }

  async #backedUp(name: string): Promise<void> {
    const { info, flags } = this.#of;
    if (info.backup === 0) return;
    const place = flags.words('backup-dir').at(-1);
    const suffix = flags.text('suffix') ?? (place === undefined ? '~' : '');
    const above = place === undefined ? '' : `${safeBytes(Buffer.from(place)).replace(/\/+$/, '')}/`;
    const plain = name.replace(/\/$/, '');
    await this.#say(`backed up ${plain} to ${above}${plain}${suffix}`);
  }

  async #deleted(values: FormatValues): Promise<void> {
    if (this.#format !== undefined) await this.#show(this.#format.line(values));
    else if (this.#of.info.del > 0 || this.#of.info.name > 0) await this.#show(`deleting ${values.name}`);
  }

  async #removed(name: string): Promise<void> {
    if (this.#of.info.remove > 0) await this.#say(`sender removed ${name}`);
  }

  async #skipped(item: ItemEvent, shown: string): Promise<void> {
    const { info, flags } = this.#of;
    if (info.skip === 0) return;
    const name = shown.replace(/\/$/, '');
    const missing = item.reasons.includes('missing');
    if (item.reasons.includes('newer')) await this.#say(`${name} is newer`);
    else if (flags.on('existing') && missing) {
      await this.#say(`not creating new ${item.kind === 'directory' ? 'directory' : 'file'} "${name}"`);
    } else if (
      item.reasons.length === 1 &&
      item.reasons[0] === 'size' &&
      item.kind === 'file' &&
      this.#isBeyondSize()
    ) {
      await this.#say(`${name} is ${this.#isOver(item) ? 'over max-size' : 'under min-size'}`);
    } else if (flags.on('ignore-existing') && !missing) await this.#say(`${name} exists`);
  }

  #isBeyondSize(): boolean {
    const { flags } = this.#of;
    return flags.text('max-size') !== undefined || flags.text('min-size') !== undefined;
  }

  /** Whether an entry that was left out for its size is beyond the upper bound. With both bounds, its size tells. */
  #isOver({ size = 0 }: ItemEvent): boolean {
    const least = sizeOf(this.#of.flags, 'min-size');
    return least === undefined || size >= least;
  }

  /** Says what was made for the destination. Nothing is before the run does something, or has ended. */
  async #tellMade(line: string | undefined): Promise<void> {
    if (this.#toldMade || line === undefined) return;
    this.#toldMade = true;
    const { info, flags } = this.#of;
    if (!flags.on('quiet') && (info.name > 0 || this.#format?.itemizes === true)) await this.#say(line);
  }

  async #line(item: ItemEvent, line: string): Promise<void> {
    if (this.#of.progress === undefined) await print(line);
    else await this.#of.progress.transferring(item, line);
  }

  /** Says something on stdout alone: the log has it in a form of its own, or not at all. */
  async #show(line: string): Promise<void> {
    if (this.#of.progress === undefined) await print(line);
    else await this.#of.progress.say(line);
  }

  /** Says something on stdout and in the log. */
  async #say(line: string): Promise<void> {
    await this.#show(line);
    for (const each of line.split('\n')) if (each !== '') await this.#of.log?.line(each);
  }

  /** Whether the log has an entry: what is transferred or made, and what else is itemized or a directory that changes. */
  #isLogged({ action, kind, reasons, hardLinkTo }: ItemEvent): boolean {
    const { flags, log } = this.#of;
    const itemizes = this.#format?.itemizes === true;
    if (reasons.length === 0) return itemizes && this.#keeps && log?.format.itemizes === true;
    const isTransferred = kind === 'file' && (action === 'create' || action === 'update') && hardLinkTo === undefined;
    // A dry run transfers no content and deletes nothing, and its log tells neither.
    if (flags.on('dry-run') && (isTransferred || action === 'delete')) return false;
    return itemizes || action !== 'attrs' || kind === 'directory';
  }

  /** The size that the file system of this machine tells for a directory of the source; other ends do not tell it. */
  #directorySize(item: ItemEvent, source: EntrySource): number {
    const { lists, log, prefix } = this.#of;
    const isTold = lists || this.#format?.tellsSizes === true || log?.format.tellsSizes === true;
    if (item.action === 'delete' || !isTold) return 0;
    const place = source.place({ below: prefix !== '' });
    if (place === undefined) return 0;
    try {
      return lstatSync(Buffer.from(place), { throwIfNoEntry: false })?.size ?? 0;
    } catch {
      return 0;
    }
  }

  /** The name of an entry, with a slash behind that of a directory. */
  #nameOf(item: ItemEvent): string {
    const { prefix, single } = this.#of;
    // Below a directory is what was deleted in the place of that entry, or what a followed symlink leads to.
    const isAlone = item.path !== '' && item.kind !== 'directory' && !item.path.includes('/');
    const isSingle = single !== undefined && isAlone && item.action !== 'delete';
    const path = isSingle ? single : `${prefix}${safePath(item)}`;
    const bare = path.replace(/\/$/, '');
    return bare === '' ? './' : item.kind === 'directory' ? `${bare}/` : bare;
  }

  #values(item: ItemEvent): FormatValues {
    const { prefix, sourcePaths, direction } = this.#of;
    const source = sourcePaths.of(bytesOfPath(item));
    const name = this.#nameOf(item);
    const bare = name === './' ? '' : name.replace(/\/$/, '');
    const target = item.details?.target;
    const leads =
      item.hardLinkTo === undefined
        ? target === undefined
          ? ''
          : ` -> ${safeBytes(target)}`
        : ` => ${prefix}${safePath(item.hardLinkTo)}`;
    const size =
      item.kind === 'symlink'
        ? (target?.length ?? 0)
        : item.kind === 'directory'
          ? this.#directorySize(item, source)
          : (item.size ?? 0);
    const isSent =
      item.kind === 'file' && (item.action === 'create' || item.action === 'update') && item.hardLinkTo === undefined;
    const isDeletion = item.action === 'delete';
    return {
      name: isDeletion ? name : `${source.leading()}${name}`,
      // Only a format with `%f` asks for it.
      get longName() {
        return isDeletion ? bare : source.shown(bare);
      },
      leadsTo: leads,
      columns: itemize(item, this.#of) ?? '',
      operation: isDeletion ? DELETION : direction === 'pull' ? 'recv' : 'send',
      size,
      transferred: isSent ? size : 0,
      mode: item.details?.mode ?? 0,
      uid: item.details?.uid ?? 0,
      gid: item.details === undefined ? 0 : item.details.gid,
      mtimeMs: item.details?.mtimeMs ?? 0,
      digest: item.details?.digest,
    };
  }
}

function bytesOfPath({ path, pathBytes }: ItemEvent): Uint8Array {
  return pathBytes ?? Buffer.from(path);
}

/** Makes the account of a run. It looks at both ends if it has to name paths. */
export async function accountOf(
  ends: Ends,
  transfer: TransferOptions,
  probe: RemoteProbe,
  told: Pick<AccountOf, 'flags' | 'info' | 'lists' | 'log' | 'progress'>,
): Promise<Account> {
  const { flags, lists } = told;
  const isNamed = transfer.events?.items === true || transfer.itemDetails === true;
  let found: Promise<Arrival> | undefined;
  const look = (): Promise<Arrival> => (found ??= arrivalOf(ends, transfer, probe));
  const arrival = isNamed ? await look() : { prefix: '', single: undefined, hasTop: false };
  return new Account({
    ...arrival,
    ...told,
    look,
    direction: directionOf(ends),
    times: transfer.times === true,
    omitLinkTimes: flags.on('omit-link-times'),
    links: flags.words('link-dest').length > 0,
    checksum: transfer.compare === 'content',
    sourcePaths: new SourcePaths(ends, transfer),
    made:
      isNamed && !lists
        ? await madeLine(ends, transfer, { mkpath: flags.on('mkpath'), topTells: topTells(arrival, transfer) }, probe)
        : undefined,
    madeTop: madeTopLine(ends),
    deletionPlaces:
      told.info.deletes > 0 && (flags.on('delete-before') || flags.on('delete-after'))
        ? await deletionPlaces(ends, transfer, probe)
        : [],
  });
}

/**
 * Whether the item of the top tells that a directory was made at a server. It does not where that is above what arrives,
 * and where another state may have the top as well.
 */
function topTells({ prefix, single }: Arrival, transfer: TransferOptions): boolean {
  const { compareDest, copyDest, linkDest, reflinkDest } = transfer;
  const states = [compareDest, copyDest, linkDest, reflinkDest].flatMap((given) => pathsOf(given ?? []));
  return prefix === '' && single === undefined && states.length === 0;
}

function directionOf({ sources: [source], destination }: Ends): ItemizeContext['direction'] {
  if (source.kind === 'remote') return 'pull';
  return destination.kind === 'remote' ? 'push' : 'local';
}

/** Whether rsync would begin the transfer before its list of files is complete, which its first line tells. */
function walksAsItGoes(flags: ParsedFlags): boolean {
  const needsAll = ['delete-before', 'delete-after', 'delay-updates', 'prune-empty-dirs'];
  const isListed = flags.words('files-from').length > 0 && !flags.spelled('recursive');
  return (
    flags.on('recursive') &&
    !isListed &&
    flags.given('inc-recursive') !== false &&
    !needsAll.some((name) => flags.on(name))
  );
}
