import { wantsProfile } from '../config.js';
import { connectionTo } from '../connection.js';
import type { Connection } from '../connection.js';
import { ConfigError, PartialSyncError, SparsyncError, fromNative, resultOf, tellsAll } from '../errors.js';
import type { SyncEvent, SyncResult } from '../events.js';
import type { SyncJob } from '../job.js';
import type { ConnectOptions, TransferOptions } from '../options.js';
import { profileLine } from '../profile.js';
import { joinBytes } from '../paths.js';
import { remoteEnd, kindProbe } from '../placement.js';
import type { Ends, RemoteProbe } from '../placement.js';
import { sync } from '../sync.js';
import type { RemoteTarget } from '../target.js';
import type { Account } from './account.js';
import type { After } from './compiled.js';
import { configuredFlags } from './configured.js';
import { connectOptions } from './connecting.js';
import { EXIT } from './exit-codes.js';
import { withFirstContact } from './first-contact.js';
import { saysOnStderr } from './flag-values.js';
import { debugHelp, formatOf, infoHelp, infoLevels, numberLevel, wantsHelp } from './info.js';
import type { InfoLevels } from './info.js';
import { JSON_SCHEMA, printLine } from './json.js';
import { remoteListOf } from './lists.js';
import type { LogFile } from './log-file.js';
import { finalCode, isPipeBroken, note, onBrokenPipe, onNote, print, printOnStderr } from './output.js';
import { endsOf, listsOnly, withPort } from './operands.js';
import { packageVersion } from './package.js';
import type { ParsedFlags, Word } from './parse.js';
import type { ProfileFile } from './profile-file.js';
import type { ProgressLines } from './progress-lines.js';
import { Interrupted, onSignals } from './signals.js';
import { chooseReporter, reporter } from './reporter.js';
import { transferOptions } from './sync-options.js';
import { safe, safeBytes, showHighBytes } from './names.js';
import { CONNECTING_FLAGS, SYNC_FLAGS } from './transfer-flags.js';

/** Flags that change nothing, but whose values are checked. */
const ACCEPTED_FLAGS =
  'block-size max-alloc outbuf checksum-choice checksum-seed compress-threads iconv old-args'.split(' ');

/** Flags of batches. */
const BATCH_FLAGS = ['write-batch', 'only-write-batch', 'read-batch'] as const;

/** The number that this signal has everywhere. `node:os`, which has it too, takes long to load. */
const SIGINT = 2;

let lastRun: After | undefined;

/** The kind of the run that this process has completed. */
export function ran(): After | undefined {
  return lastRun;
}

/** `sparsync [OPTIONS] SRC... DEST`. */
export async function syncCommand(words: readonly Word[]): Promise<number> {
  const given = await configuredFlags(SYNC_FLAGS, words, {
    tables: { sync: SYNC_FLAGS, connection: CONNECTING_FLAGS },
    foreign: async () => (await import('./foreign-flags.js')).FOREIGN_FLAGS,
    project: true,
  });
  const flags = given.words('remote-option').length > 0 && !given.on('help') ? await withRemote(given) : given;
  chooseReporter(flags);
  if (flags.on('version')) {
    const { versionJson, versionText } = await import('./version.js');
    await print(flags.times('version') > 1 ? versionJson() : versionText());
    return EXIT.ok;
  }
  // `-h` is rsync's flag for sizes; alone it can only ask for help.
  if (flags.on('help') || (flags.operands.length === 0 && (words.length === 0 || flags.on('human-readable')))) {
    const { mainHelp } = await import('./help.js');
    await print(mainHelp());
    return words.length === 0 ? EXIT.usage : EXIT.ok;
  }
  if (flags.on('8-bit-output')) showHighBytes();
  const asked = (['info', 'debug'] as const).find((flag) => wantsHelp(flags, flag));
  if (asked !== undefined) {
    await print(asked === 'info' ? infoHelp() : debugHelp());
    return EXIT.ok;
  }
  if (ACCEPTED_FLAGS.some((name) => flags.spelled(name) || flags.words(name).length > 0)) {
    (await import('./accepted.js')).checkAccepted(flags);
  }
  if (saysOnStderr(flags) && reporter() !== 'json') printOnStderr();
  withPort(flags);
  if (flags.words('explain').length > 0) return (await import('./explain.js')).explainCommand(flags);
  return new SyncRun(flags).execute();
}

/** What is said together with what is said to the other side alone. */
async function withRemote(given: ParsedFlags): Promise<ParsedFlags> {
  const { hasRemoteOptions, withRemoteOptions } = await import('./remote-options.js');
  return hasRemoteOptions(given) ? withRemoteOptions(SYNC_FLAGS, given) : given;
}

/** One call of the command. What few runs need is loaded by those. */
class SyncRun {
  readonly #flags: ParsedFlags;
  readonly #beganAt = Date.now();
  readonly #json: boolean;
  readonly #info: InfoLevels;
  readonly #lists: boolean;
  #progress: ProgressLines | undefined;
  /** What is said of the run, where it is not JSON. */
  #account: (() => Promise<Account>) | undefined;
  /** Whether more is printed than errors and warnings. */
  #isTelling = false;
  #log: LogFile | undefined;
  #result: SyncResult | undefined;
  #current: SyncJob | undefined;
  #connection: Connection | undefined;
  #profiles: ProfileFile | undefined;
  /** Set when a signal, or the end of the reader of stdout, has ended this run. */
  #interrupted: Interrupted | undefined;
  /** Ends a question at the terminal. It is created only for one. */
  #stopAsking: AbortController | undefined;

  constructor(flags: ParsedFlags) {
    this.#flags = flags;
    this.#json = reporter() === 'json';
    this.#info = infoLevels(flags);
    this.#lists = listsOnly(flags);
  }

  async execute(): Promise<number> {
    const removeHandlers = onSignals(EXIT.interrupted, (reason) => this.#interrupt(reason));
    onBrokenPipe(() => this.#interrupt(new Interrupted('SIGPIPE')));
    try {
      const list = this.#lists ? await import('./list-only.js') : undefined;
      const batch = BATCH_FLAGS.some((name) => this.#flags.words(name).length > 0);
      const ends = batch
        ? (await import('./batch.js')).batchEnds(this.#flags)
        : endsOf(list === undefined ? this.#flags.operands : await list.listedOperands(this.#flags));
      const asked = await transferOptions(this.#flags, this.#info);
      const transfer = list?.listOptions(asked) ?? asked;
      const connect = connectOptions(this.#flags);
      await this.#openProfiles();
      await this.#openProgress();
      await this.#openLog();
      await this.#connectAndRun(ends, connect, transfer);
      const exitCode = await this.#finish();
      await this.#tellMachines(exitCode, this.#result);
      lastRun = remoteEnd(ends) === undefined ? 'local' : 'remote';
      return exitCode;
    } catch (thrown) {
      // What a signal broke off before the run began fails as the connection is closed. A run that was told as a whole counts.
      const error = resultOf(thrown) === undefined ? (this.#interrupted ?? interruptedBy(thrown)) : thrown;
      const exitCode = await this.#fail(error);
      await this.#tellMachines(exitCode, resultOf(error), error);
      return exitCode;
    } finally {
      await this.#log?.close();
      removeHandlers();
    }
  }

  async #openProgress(): Promise<void> {
    if (this.#info.progress === 0 || this.#json) return;
    const { ProgressLines } = await import('./progress-lines.js');
    this.#progress = new ProgressLines({
      total: this.#info.progress > 1,
      level: numberLevel(this.#flags),
      dryRun: this.#flags.on('dry-run'),
    });
  }

  async #openLog(): Promise<void> {
    const path = this.#flags.text('log-file');
    if (path === undefined) return;
    const [{ LogFile }, { namedFiles }] = await Promise.all([import('./log-file.js'), import('../named-files.js')]);
    const log = new LogFile(path, this.#flags.text('log-file-format'), (await namedFiles()).openLog);
    this.#log = log;
    onNote((line) => log.note(line));
  }

  #interrupt(reason: Interrupted): void {
    this.#interrupted ??= reason;
    this.#stopAsking?.abort(reason);
    if (this.#current !== undefined) this.#current.cancel(reason);
    // A command that asks for a password, or is silent, may be waited for.
    else void this.#connection?.close();
  }

  #askingSignal(): AbortSignal {
    this.#stopAsking ??= new AbortController();
    if (this.#interrupted !== undefined) this.#stopAsking.abort(this.#interrupted);
    return this.#stopAsking.signal;
  }

  async #connectAndRun(ends: Ends, connect: ConnectOptions, transfer: TransferOptions): Promise<void> {
    const remote = remoteEnd(ends);
    await withFirstContact(
      connect,
      () => this.#askingSignal(),
      (options) => this.#runOver(ends, remote, options, transfer),
    );
  }

  async #runOver(
    ends: Ends,
    remote: RemoteTarget | undefined,
    connect: ConnectOptions,
    transfer: TransferOptions,
  ): Promise<void> {
    const connection = remote === undefined ? undefined : connectionTo(remote, connect);
    this.#connection = connection;
    this.#current = undefined;
    if (this.#interrupted !== undefined) throw this.#interrupted;
    // The rest is prepared during the handshake. Without -r there may turn out to be nothing to do.
    if (transfer.recursive === true) connection?.begin();
    try {
      await this.#run(ends, connection, transfer);
    } finally {
      await connection?.close();
    }
  }

  async #run(given: Ends, connection: Connection | undefined, asked: TransferOptions): Promise<void> {
    const transfer =
      remoteListOf(this.#flags) === undefined
        ? asked
        : await (await import('./remote-list.js')).withRemoteList(this.#flags, given, connection, asked);
    const probe = remembered(
      kindProbe(async (remote) => connection?.stat(remotePath(remote), { timeoutMs: asked.timeoutMs })),
    );
    const carriesDirectories =
      transfer.recursive === true || transfer.dirs === true || transfer.filesFrom !== undefined;
    const ends = carriesDirectories ? given : await this.#withoutDirectories(given, transfer, connection, probe);
    if (ends === undefined) return;
    if (!this.#json) await this.#openAccount(ends, transfer, probe);
    const job = startJob(ends, connection, transfer);
    this.#current = job;
    if (this.#interrupted !== undefined) job.cancel(this.#interrupted);
    if (this.#json) {
      await printLine({ type: 'start', schema: JSON_SCHEMA, version: packageVersion(), dryRun: transfer.dryRun });
    }
    // A run that shows no events does not read them.
    const { items, filter } = transfer.events ?? {};
    const isTold = this.#progress !== undefined || items === true || filter === true || transfer.retry !== 0;
    if (isTold) for await (const event of job) await this.#tell(event);
    const result = await job.catch(async (error: unknown) => {
      if (error instanceof PartialSyncError && !isTold) await this.#tellWarnings(error.result);
      throw error;
    });
    if (!isTold) await this.#tellWarnings(result);
    await this.#tellBatch();
    this.#result = result;
    if (connection !== undefined) {
      this.#tellTransport(result, connection);
      const next = connection.nextKey;
      if (next?.recorded === false && !this.#flags.on('quiet')) (await import('./next-key.js')).noteNextKey(next);
    }
    this.#keepProfile(result);
  }

  /** Makes the script of a batch that was written. */
  async #tellBatch(): Promise<void> {
    if (BATCH_FLAGS.some((name) => this.#flags.words(name).length > 0)) {
      (await import('./batch.js')).writeScript(this.#flags);
    }
  }

  /** Tells what carried the run. QUIC, which is the default, is only told with `-vv`. */
  #tellTransport({ transport }: SyncResult, { remoteAddress, udp }: Connection): void {
    const least = transport === 'quic' ? 2 : 1;
    if (this.#json || this.#flags.on('quiet') || this.#flags.times('verbose') < least) return;
    // Of a proxy the address says it.
    const why = udp === undefined || udp === 'proxy' ? '' : `; UDP: ${udp}`;
    note(`transport: ${transport} (${safe(remoteAddress)}${why})`);
  }

  /** Begins to tell. Where nothing is to be told but what is left out, that is made only when something is. */
  async #openAccount(ends: Ends, transfer: TransferOptions, probe: RemoteProbe): Promise<void> {
    const { nonreg: _, ...others } = this.#info;
    this.#isTelling =
      this.#lists ||
      this.#log !== undefined ||
      this.#progress !== undefined ||
      transfer.events?.items === true ||
      formatOf(this.#flags) !== undefined ||
      Object.values(others).some((level) => level > 0);
    let account: Promise<Account> | undefined;
    this.#account = () => (account ??= this.#accountOf(ends, transfer, probe));
    if (this.#isTelling) await (await this.#account()).begin();
  }

  async #accountOf(ends: Ends, transfer: TransferOptions, probe: RemoteProbe): Promise<Account> {
    const { accountOf } = await import('./account.js');
    if (transfer.readBatch !== undefined) ends = { ...ends, sources: [{ kind: 'local', path: Buffer.from('/') }] };
    const told = { flags: this.#flags, info: this.#info, lists: this.#lists, log: this.#log, progress: this.#progress };
    return accountOf(ends, transfer, probe, told);
  }

  /** What is left without -r; `undefined` if that is nothing. */
  async #withoutDirectories(
    given: Ends,
    transfer: TransferOptions,
    connection: Connection | undefined,
    probe: RemoteProbe,
  ): Promise<Ends | undefined> {
    const { withoutDirectories } = await import('./without-directories.js');
    const asked = { connection, probe, pathOf: remotePath };
    const { ends, skipped } = await withoutDirectories(given, transfer, asked);
    if (this.#flags.on('quiet')) return ends;
    for (const name of skipped) {
      const line = `skipping directory ${name}`;
      if (this.#json) note(line);
      else await print(line);
    }
    return ends;
  }

  /** Makes the file of profiles, when one is wanted. */
  async #openProfiles(): Promise<void> {
    const path = this.#flags.text('profile');
    if (path === undefined && !wantsProfile()) return;
    const [{ ProfileFile }, { namedFiles }] = await Promise.all([
      import('./profile-file.js'),
      import('../named-files.js'),
    ]);
    this.#profiles = new ProfileFile(path, (await namedFiles()).openLog);
  }

  #keepProfile({ profile }: SyncResult): void {
    if (profile !== undefined) this.#profiles?.add(profileLine(profile));
  }

  async #tell(event: SyncEvent): Promise<void> {
    if (this.#json) {
      const shown = event.type !== 'done' && (event.type !== 'progress' || this.#flags.on('progress'));
      if (shown) await printLine(event);
    } else if (event.type === 'progress') await this.#progress?.update(event);
    else if (event.type === 'item') await (await this.#account?.())?.item(event);
    else if (event.type === 'filter') await (await this.#account?.())?.decided(event);
    else if (event.type === 'warning') await (await this.#account?.())?.warning(event);
    else if (event.type === 'retry' && !this.#flags.on('quiet')) {
      note(`${safe(event.message)}; trying again in ${(event.delayMs / 1000).toFixed(1)} s`);
    }
  }

  /** Tells which entries are not carried because of their kind. As in rsync, this needs no -v. */
  async #tellWarnings(result: SyncResult): Promise<void> {
    for (const { code, path, pathBytes, message } of result.warnings) {
      const where = { ...(path === undefined ? {} : { path }), ...(pathBytes === undefined ? {} : { pathBytes }) };
      if (code !== undefined) await (await this.#account?.())?.warning({ code, ...where, message });
    }
  }

  async #printWarnings(result: SyncResult): Promise<void> {
    if (result.warnings.length === 0 || this.#json || this.#flags.on('quiet')) return;
    const maps = ['usermap', 'groupmap', 'chown'];
    const wantsOwners =
      ['owner', 'group', 'super'].some((name) => this.#flags.spelled(name)) ||
      maps.some((name) => this.#flags.text(name) !== undefined);
    const { printWarnings } = await import('./report.js');
    printWarnings(result, wantsOwners);
  }

  async #finish(): Promise<number> {
    const result = this.#result;
    if (result === undefined) return EXIT.ok;
    const exitCode = result.vanishedOnly ? EXIT.vanished : EXIT.ok;
    if (this.#json) {
      await printLine({ type: 'summary', schema: JSON_SCHEMA, exitCode, ...result });
      return exitCode;
    }
    await this.#printWarnings(result);
    if (!this.#flags.on('quiet') && result.failures.length + result.failuresDropped > 0) {
      const { printFailures } = await import('./report.js');
      printFailures(result);
    }
    await this.#tellEnd(result);
    return exitCode;
  }

  async #tellEnd(result: SyncResult): Promise<void> {
    if (this.#isTelling) await (await this.#account?.())?.end(result);
  }

  /** Tells watching programs how this run ended. */
  async #tellMachines(exitCode: number, result: SyncResult | undefined, error?: unknown): Promise<void> {
    const textfile = this.#flags.text('textfile');
    const isReal = textfile !== undefined && !this.#flags.on('dry-run') && !this.#lists;
    if (!isReal && reporter() !== 'github') return;
    await this.#log?.close();
    const ends = this.#flags.operands.map((word) => safeBytes(Buffer.from(word)));
    const stats = result?.stats ?? this.#current?.stats();
    if (isReal) {
      const [{ writeTextfile }, { namedFiles }] = await Promise.all([
        import('./textfile.js'),
        import('../named-files.js'),
      ]);
      const durationMs = result?.durationMs ?? Date.now() - this.#beganAt;
      const [sources, destination = ''] = [ends.slice(0, -1), ends.at(-1)];
      const run = { sources, destination, exitCode: finalCode(exitCode), durationMs, stats };
      writeTextfile(textfile, run, await namedFiles());
    }
    if (reporter() !== 'github') return;
    const { tellGithub } = await import('./github.js');
    const failure = error === undefined || error instanceof Interrupted ? undefined : fromNative(error);
    tellGithub({
      exitCode: finalCode(exitCode),
      ends,
      dryRun: this.#flags.on('dry-run'),
      stats,
      result,
      error: failure,
    });
  }

  async #fail(error: unknown): Promise<number> {
    const { printEnd, printErrorJson, printFailuresOf, summaryLine } = await import('./report.js');
    if (error instanceof Interrupted) {
      if (isPipeBroken()) return EXIT.interrupted;
      const stats = this.#current?.stats();
      const done =
        stats === undefined ? 'nothing was done' : summaryLine({ stats, dryRun: this.#flags.on('dry-run') }, true);
      if (this.#json)
        await printLine({
          type: 'interrupted',
          schema: JSON_SCHEMA,
          exitCode: EXIT.interrupted,
          signal: error.signal,
          ...(stats === undefined ? {} : { stats }),
        });
      note(`sparsync: ${error.message}: ${done}; every file has its old or its new content, run it again to go on`);
      return EXIT.interrupted;
    }
    if (this.#json) await printErrorJson(fromNative(error));
    // The result and the profile of a run that failed in part are known as well.
    const result = resultOf(error);
    if (result !== undefined) this.#keepProfile(result);
    if (tellsAll(error)) await this.#tellBatch();
    if (error instanceof PartialSyncError) await this.#printWarnings(error.result);
    // What the run ended with comes last, as in rsync's log.
    printFailuresOf(error);
    if (result !== undefined) await this.#tellEnd(result);
    return printEnd(error);
  }
}

/**
 * An error, or that of Ctrl-C where it has ended the command that leads to the other end: this process may hear of its own signal later.
 */
function interruptedBy(error: unknown): unknown {
  const isInterrupted = error instanceof SparsyncError && error.details['signal'] === SIGINT;
  return isInterrupted ? new Interrupted('SIGINT') : error;
}

/** The path of a target as a kept connection takes it: root, path and slash. */
function remotePath(target: RemoteTarget): Uint8Array {
  const [above, below] = [target.path.subarray(0, target.anchor), target.path.subarray(target.anchor)];
  const anchored = target.anchor === 0 ? target.path : Buffer.concat([above, Buffer.from('/.'), below]);
  const path = joinBytes(Buffer.from(target.root), anchored);
  return target.trailingSlash ? joinBytes(path, Buffer.from('/')) : path;
}

/** Asks once for each path: an answer takes a round trip. */
function remembered(probe: RemoteProbe): RemoteProbe {
  const known = new Map<string, ReturnType<RemoteProbe>>();
  return (remote) => {
    const path = Buffer.from(remotePath(remote)).toString('latin1');
    const answer = known.get(path) ?? probe(remote);
    known.set(path, answer);
    return answer;
  };
}

function startJob(ends: Ends, connection: Connection | undefined, transfer: TransferOptions): SyncJob {
  const { sources, destination } = ends;
  const isBatch = transfer.readBatch !== undefined;
  if (isBatch && destination.kind === 'local') return sync([], destination.path, transfer);
  const local = sources.flatMap((source) => (source.kind === 'local' ? [source.path] : []));
  if (destination.kind === 'remote') {
    if (connection !== undefined && local.length > 0) {
      return connection.push(isBatch ? [] : local, remotePath(destination), transfer);
    }
  } else if (local.length > 0) return sync(local, destination.path, transfer);
  else if (connection !== undefined) {
    const remote = sources.flatMap((source) => (source.kind === 'remote' ? [remotePath(source)] : []));
    return connection.pull(remote, destination.path, transfer);
  }
  throw new ConfigError('SRC and DEST are both on servers: one of them must be a local path');
}
