import { wantsProfile } from '../config.js';
import { connectionTo } from '../connection.js';
import type { Connection } from '../connection.js';
import { ConfigError, PartialSyncError, SparsyncError, fromNative } from '../errors.js';
import type { SyncEvent, SyncResult } from '../events.js';
import type { SyncJob } from '../job.js';
import type { ConnectOptions, TransferOptions } from '../options.js';
import { profileLine } from '../profile.js';
import { joinBytes } from '../paths.js';
import { isDirectory, remoteEnd } from '../placement.js';
import type { Ends } from '../placement.js';
import { sync } from '../sync.js';
import type { RemoteTarget, Target } from '../target.js';
import { Account, numberLevel } from './account.js';
import type { AccountOf } from './account.js';
import { arrivalOf, displayName, madeLine, madeTopLine, sourcePath } from './arrival.js';
import type { Arrival } from './arrival.js';
import { configuredFlags } from './config-file.js';
import { connectOptions } from './connecting.js';
import { EXIT } from './exit-codes.js';
import { explainCommand } from './explain.js';
import { mayBootstrap, withFirstContact } from './first-contact.js';
import { FOREIGN_FLAGS } from './foreign-flags.js';
import { mainHelp } from './help.js';
import { infoHelp, infoLevels, wantsInfoHelp } from './info.js';
import type { InfoLevels } from './info.js';
import type { ItemizeContext } from './itemize.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { listOptions, listedOperands, listsOnly } from './list-only.js';
import { LogFile } from './log-file.js';
import { isPipeBroken, note, onBrokenPipe, print } from './output.js';
import { endsOf } from './operands.js';
import type { ParsedFlags, Word } from './parse.js';
import type { ProfileFile } from './profile-file.js';
import { ProgressLines } from './progress-lines.js';
import { withRemoteList } from './remote-list.js';
import { printError, printErrorJson, printFailures, printWarnings, summaryLine } from './report.js';
import { Interrupted, onSignals } from './signals.js';
import { transferOptions } from './sync-options.js';
import { safe, showHighBytes } from './names.js';
import { CONNECTING_FLAGS, SYNC_FLAGS } from './transfer-flags.js';
import { packageVersion, versionJson, versionText } from './version.js';

/** `sparsync [OPTIONS] SRC... DEST`. */
export async function syncCommand(words: readonly Word[]): Promise<number> {
  const flags = await configuredFlags(SYNC_FLAGS, words, {
    tables: { sync: SYNC_FLAGS, connection: CONNECTING_FLAGS },
    foreign: FOREIGN_FLAGS,
    project: true,
  });
  if (flags.on('version')) {
    await print(flags.times('version') > 1 ? versionJson() : versionText());
    return EXIT.ok;
  }
  // `-h` is rsync's for sizes; alone it can only be a call for help.
  if (flags.on('help') || (flags.operands.length === 0 && (words.length === 0 || flags.on('human-readable')))) {
    await print(mainHelp());
    return words.length === 0 ? EXIT.usage : EXIT.ok;
  }
  if (flags.on('8-bit-output')) showHighBytes();
  if (wantsInfoHelp(flags)) {
    await print(infoHelp());
    return EXIT.ok;
  }
  if (flags.words('explain').length > 0) return explainCommand(flags);
  return new SyncRun(flags).execute();
}

/** One call of the command. */
class SyncRun {
  readonly #flags: ParsedFlags;
  readonly #json: boolean;
  readonly #info: InfoLevels;
  readonly #progress: ProgressLines | undefined;
  #account: Account | undefined;
  #log: LogFile | undefined;
  #result: SyncResult | undefined;
  #current: SyncJob | undefined;
  #profiles: ProfileFile | undefined;
  /** Set when a signal, or a reader of stdout who went away, has ended this run. */
  #interrupted: Interrupted | undefined;
  /** Ends a question at the terminal; made only for one. */
  #stopAsking: AbortController | undefined;

  constructor(flags: ParsedFlags) {
    this.#flags = flags;
    this.#json = flags.on('json');
    this.#info = infoLevels(flags);
    this.#progress =
      this.#info.progress > 0 && !this.#json
        ? new ProgressLines({
            total: this.#info.progress > 1,
            level: numberLevel(flags),
            dryRun: flags.on('dry-run'),
          })
        : undefined;
  }

  async execute(): Promise<number> {
    const removeHandlers = onSignals(EXIT.interrupted, (reason) => this.#interrupt(reason));
    onBrokenPipe(() => this.#interrupt(new Interrupted('SIGPIPE')));
    try {
      const lists = listsOnly(this.#flags);
      const ends = endsOf(lists ? await listedOperands(this.#flags) : this.#flags.operands);
      const asked = transferOptions(this.#flags, this.#info);
      const transfer = lists ? listOptions(asked) : asked;
      const connect = connectOptions(this.#flags);
      await this.#openProfiles();
      this.#openLog();
      await this.#connectAndRun(ends, connect, transfer);
      return await this.#finish();
    } catch (error) {
      return await this.#fail(error);
    } finally {
      await this.#log?.close();
      removeHandlers();
    }
  }

  #openLog(): void {
    const path = this.#flags.text('log-file');
    if (path !== undefined) this.#log = new LogFile(path, this.#flags.text('log-file-format'));
  }

  #interrupt(reason: Interrupted): void {
    this.#interrupted ??= reason;
    this.#stopAsking?.abort(reason);
    this.#current?.cancel(reason);
  }

  #askingSignal(): AbortSignal {
    this.#stopAsking ??= new AbortController();
    if (this.#interrupted !== undefined) this.#stopAsking.abort(this.#interrupted);
    return this.#stopAsking.signal;
  }

  async #connectAndRun(ends: Ends, connect: ConnectOptions, transfer: TransferOptions): Promise<void> {
    const remote = remoteEnd(ends);
    try {
      await this.#runOver(ends, remote, connect, transfer);
    } catch (error) {
      if (remote === undefined || !(await mayBootstrap(error, connect, () => this.#askingSignal()))) throw error;
      await this.#runOver(ends, remote, { ...connect, bootstrap: true }, transfer);
    }
  }

  async #runOver(
    ends: Ends,
    remote: RemoteTarget | undefined,
    connect: ConnectOptions,
    transfer: TransferOptions,
  ): Promise<void> {
    const connection = remote === undefined ? undefined : connectionTo(remote, connect);
    // While the handshake is under way the rest is prepared. Without -r it may turn out that there is nothing to do.
    if (transfer.recursive === true) connection?.begin();
    try {
      await withFirstContact(
        connect.trust?.knownHosts,
        () => this.#askingSignal(),
        () => this.#run(ends, connection, transfer),
      );
    } finally {
      await connection?.close();
    }
  }

  async #run(given: Ends, connection: Connection | undefined, asked: TransferOptions): Promise<void> {
    const transfer = await withRemoteList(this.#flags, given, connection, asked);
    const probe = remembered((remote) => isRemoteDirectory(connection, remote));
    const carriesDirectories =
      transfer.recursive === true || transfer.dirs === true || transfer.filesFrom !== undefined;
    const ends = carriesDirectories ? given : await this.#withoutDirectories(given, probe);
    if (ends === undefined) return;
    this.#account = this.#json ? undefined : new Account(await this.#accountOf(ends, transfer, probe));
    await this.#account?.begin();
    const job = startJob(ends, connection, transfer);
    this.#current = job;
    if (this.#interrupted !== undefined) job.cancel(this.#interrupted);
    if (this.#json) {
      await printJson({ type: 'start', schema: JSON_SCHEMA, version: packageVersion(), dryRun: transfer.dryRun });
    }
    // Who has nothing to tell does not ask.
    const isTold = this.#progress !== undefined || transfer.events?.items === true || transfer.retry !== 0;
    if (isTold) for await (const event of job) await this.#tell(event);
    const result = await job.catch(async (error: unknown) => {
      if (error instanceof PartialSyncError && !isTold) await this.#tellWarnings(error.result);
      throw error;
    });
    if (!isTold) await this.#tellWarnings(result);
    this.#result = result;
    if (connection !== undefined) this.#tellTransport(result, connection);
    this.#keepProfile(result);
  }

  /** Says what carried the run; that it was QUIC, which is what everybody expects, at `-vv` alone. */
  #tellTransport({ transport }: SyncResult, { remoteAddress }: Connection): void {
    const least = transport === 'quic' ? 2 : 1;
    if (this.#json || this.#flags.on('quiet') || this.#flags.times('verbose') < least) return;
    note(`transport: ${transport} (${safe(remoteAddress)})`);
  }

  /** What the account of a run is made of, which takes a look at both ends where it names paths. */
  async #accountOf(ends: Ends, transfer: TransferOptions, probe: Probe): Promise<AccountOf> {
    const isNamed = transfer.events?.items === true || transfer.itemDetails === true;
    const lists = listsOnly(this.#flags);
    let found: Promise<Arrival> | undefined;
    const look = (): Promise<Arrival> => (found ??= arrivalOf(ends, transfer, probe));
    const arrival = isNamed ? await look() : { prefix: '', single: undefined, hasTop: false, place: undefined };
    return {
      ...arrival,
      look,
      flags: this.#flags,
      lists,
      info: this.#info,
      direction: directionOf(ends),
      times: transfer.times === true,
      links: this.#flags.words('link-dest').length > 0,
      log: this.#log,
      progress: this.#progress,
      checksum: transfer.compare === 'content',
      sourcePath: sourcePath(ends),
      made: isNamed && !lists ? await madeLine(ends, this.#flags.on('mkpath'), probe) : undefined,
      madeTop: madeTopLine(ends),
    };
  }

  /** What is left without -r: the sources that are no directories. */
  async #withoutDirectories({ sources, destination }: Ends, probe: Probe): Promise<Ends | undefined> {
    const kept: Target[] = [];
    for (const source of sources) {
      if (!(await isDirectory(source, probe))) kept.push(source);
      else if (!this.#flags.on('quiet')) note(`skipping directory ${displayName(source)} (-r or -a goes into it)`);
    }
    const [first, ...others] = kept;
    return first === undefined ? undefined : { sources: [first, ...others], destination };
  }

  /** Makes the file of profiles, when one is wanted. */
  async #openProfiles(): Promise<void> {
    const path = this.#flags.text('profile');
    if (path === undefined && !wantsProfile()) return;
    const { ProfileFile } = await import('./profile-file.js');
    this.#profiles = new ProfileFile(path);
  }

  #keepProfile({ profile }: SyncResult): void {
    if (profile !== undefined) this.#profiles?.add(profileLine(profile));
  }

  async #tell(event: SyncEvent): Promise<void> {
    if (this.#json) {
      const shown = event.type !== 'done' && (event.type !== 'progress' || this.#flags.on('progress'));
      if (shown) await printJson(event);
    } else if (event.type === 'progress') await this.#progress?.update(event);
    else if (event.type === 'item') await this.#account?.item(event);
    else if (event.type === 'warning') await this.#account?.warning(event);
    else if (event.type === 'retry' && !this.#flags.on('quiet')) {
      note(`${safe(event.message)}; trying again in ${(event.delayMs / 1000).toFixed(1)} s`);
    }
  }

  /** Tells what is not carried because of what it is, as rsync does: without -v too. */
  async #tellWarnings(result: SyncResult): Promise<void> {
    for (const { code, path, pathBytes, message } of result.warnings) {
      const where = { ...(path === undefined ? {} : { path }), ...(pathBytes === undefined ? {} : { pathBytes }) };
      if (code !== undefined) await this.#account?.warning({ code, ...where, message });
    }
  }

  #printWarnings(result: SyncResult): void {
    if (this.#json || this.#flags.on('quiet')) return;
    const maps = ['usermap', 'groupmap', 'chown'];
    const wantsOwners =
      ['owner', 'group', 'super'].some((name) => this.#flags.spelled(name)) ||
      maps.some((name) => this.#flags.text(name) !== undefined);
    printWarnings(result, wantsOwners);
  }

  async #finish(): Promise<number> {
    const result = this.#result;
    if (result === undefined) return EXIT.ok;
    const exitCode = result.vanishedOnly ? EXIT.vanished : EXIT.ok;
    if (this.#json) {
      await printJson({ type: 'summary', schema: JSON_SCHEMA, exitCode, ...result });
      return exitCode;
    }
    this.#printWarnings(result);
    if (!this.#flags.on('quiet')) printFailures(result);
    await this.#account?.end(result);
    return exitCode;
  }

  async #fail(error: unknown): Promise<number> {
    if (error instanceof Interrupted) {
      if (isPipeBroken()) return EXIT.interrupted;
      const stats = this.#current?.stats();
      const done =
        stats === undefined ? 'nothing was done' : summaryLine({ stats, dryRun: this.#flags.on('dry-run') }, true);
      if (this.#json)
        await printJson({
          type: 'interrupted',
          schema: JSON_SCHEMA,
          exitCode: EXIT.interrupted,
          signal: error.signal,
          stats,
        });
      note(`sparsync: ${error.message}: ${done}; every file has its old or its new content, run it again to go on`);
      return EXIT.interrupted;
    }
    if (this.#json) await printErrorJson(fromNative(error));
    // What was done, and where the time went, is known also of a run that did not do everything.
    const result =
      error instanceof SparsyncError && 'result' in error ? (error.result as SyncResult | undefined) : undefined;
    if (result !== undefined) this.#keepProfile(result);
    if (error instanceof PartialSyncError) this.#printWarnings(error.result);
    const exitCode = printError(error);
    if (result !== undefined) await this.#account?.end(result);
    return exitCode;
  }
}

function directionOf({ sources: [source], destination }: Ends): ItemizeContext['direction'] {
  if (source.kind === 'remote') return 'pull';
  return destination.kind === 'remote' ? 'push' : 'local';
}

/** Looks whether a remote path is a directory. */
type Probe = (remote: RemoteTarget) => Promise<boolean>;

/** The path of a target as a kept connection takes it: root, path and slash. */
function remotePath(target: RemoteTarget): Uint8Array {
  const [above, below] = [target.path.subarray(0, target.anchor), target.path.subarray(target.anchor)];
  const anchored = target.anchor === 0 ? target.path : Buffer.concat([above, Buffer.from('/.'), below]);
  const path = joinBytes(Buffer.from(target.root), anchored);
  return target.trailingSlash ? joinBytes(path, Buffer.from('/')) : path;
}

/** Asks once for each path: an answer takes a round trip. */
function remembered(probe: Probe): Probe {
  const known = new Map<string, Promise<boolean>>();
  return (remote) => {
    const path = Buffer.from(remotePath(remote)).toString('latin1');
    const answer = known.get(path) ?? probe(remote);
    known.set(path, answer);
    return answer;
  };
}

async function isRemoteDirectory(connection: Connection | undefined, remote: RemoteTarget): Promise<boolean> {
  try {
    const found = await connection?.stat(remotePath(remote));
    return found?.kind === 'directory';
  } catch (error) {
    if (error instanceof SparsyncError && (error.code === 'ERR_SPARSYNC_NOT_FOUND' || error.code === 'ERR_SPARSYNC_IO'))
      return false;
    throw error;
  }
}

function startJob(ends: Ends, connection: Connection | undefined, transfer: TransferOptions): SyncJob {
  const { sources, destination } = ends;
  const local = sources.flatMap((source) => (source.kind === 'local' ? [source.path] : []));
  if (destination.kind === 'remote') {
    if (connection !== undefined && local.length > 0) return connection.push(local, remotePath(destination), transfer);
  } else if (local.length > 0) return sync(local, destination.path, transfer);
  else if (connection !== undefined) {
    const remote = sources.flatMap((source) => (source.kind === 'remote' ? [remotePath(source)] : []));
    return connection.pull(remote, destination.path, transfer);
  }
  throw new ConfigError('SRC and DEST are both on servers: one of them must be a local path');
}
