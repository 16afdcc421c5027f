import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';

import { ConfigError, SparsyncError, ioError, makeError } from './errors.js';
import type { EntryPath } from './events.js';
import type { NamedFiles } from './named-files.js';
import { absolute, namesContent, textOf } from './paths.js';
import type { Planning, Task } from './planning.js';
import type { Target } from './target.js';

/** What the first line of a plan says that it is. */
const FORMAT = 'sparsync-plan';
const VERSION = 1;

/** Entries of a plan: what a request holds of stamps. */
const ENTRIES_MAX = 250_000;

/** The most bytes of a line: the longest path, escaped, and its target. */
const LINE_BYTES_MAX = 256 << 10;

const CHUNK_BYTES = 64 << 10;
const LF = 0x0a;

/** Options that do not decide what is done. */
const UNDECIDING = new Set(
  `savePlan applyPlan dryRun profile items whenFull itemDetails itemUnchanged itemBackups itemRemovals itemDeletionsFirst retry stopAt signal lanes bwlimit timeoutMs
  lockWaitMs compression skipCompress durability preallocate verifyCopies detectRenames checksumCache
  snapshotRead`.split(/\s+/),
);

/** A plan that was read: the path of each stamp. */
export type PlannedEntries = ReadonlyMap<string, EntryPath>;

/** Prepares to write the plan of a run to a file, which gets its name when it is complete. */
export function savedTo(file: string, task: Task, files: NamedFiles): Planning {
  const { output, name, remove } = attempt(file, () => unnamed(file, files));
  const hash = createHash('sha256');
  let waiting: string[] = [];
  let bytes = 0;
  let entries = 0;
  let failure: unknown;
  const flush = (): void => {
    const text = Buffer.from(waiting.join(''));
    hash.update(text);
    for (let at = 0; at < text.length;) at += writeSync(output, text, at);
    waiting = [];
    bytes = 0;
  };
  const line = (record: object): void => {
    const text = `${JSON.stringify(record)}\n`;
    waiting.push(text);
    bytes += text.length;
    if (bytes >= CHUNK_BYTES) flush();
  };
  line(header(task));
  return {
    item: ({ path, pathBytes, action, kind, reasons, size, hardLinkTo, stamp }) => {
      if (stamp === undefined || failure !== undefined) return;
      try {
        entries += 1;
        if (entries > ENTRIES_MAX) throw tooLong(file);
        const to = hardLinkTo === undefined ? {} : { hardLinkTo: linked(hardLinkTo) };
        line({ path, ...inBase64(pathBytes), action, kind, reasons, size, ...to, stamp });
      } catch (error) {
        failure = error;
      }
    },
    end: (isWhole) => {
      let isNamed = false;
      try {
        if (!isWhole) return;
        if (failure !== undefined) throw failure;
        flush();
        line({ entries, sha256: hash.copy().digest('hex') });
        flush();
        fsyncSync(output);
        name();
        isNamed = true;
      } catch (error) {
        throw error instanceof SparsyncError ? error : ioError('cannot write the plan', error, file);
      } finally {
        closeSync(output);
        if (!isNamed) remove();
      }
    },
  };
}

/** A new file beside the one that is meant, until it gets that name or is removed. */
function unnamed(file: string, files: NamedFiles): { output: number; name: () => void; remove: () => void } {
  const temporary = `.${randomBytes(6).toString('hex')}.tmp`;
  return {
    output: files.beside(file, (at) => openSync(at(temporary), 'wx', 0o666)),
    name: () => files.beside(file, (at) => renameSync(at(temporary), at())),
    remove: () => {
      try {
        files.beside(file, (at) => rmSync(at(temporary), { force: true }));
      } catch {
        // Its folder is gone, and it is gone with that.
      }
    },
  };
}

const linked = ({ path, pathBytes }: EntryPath): object => ({ path, ...inBase64(pathBytes) });

const inBase64 = (bytes: Uint8Array | undefined): object =>
  bytes === undefined ? {} : { pathBase64: Buffer.from(bytes).toString('base64') };

const tooLong = (file: string): Error =>
  makeError(`the plan has more than ${ENTRIES_MAX} entries`, { code: 'ERR_SPARSYNC_LIMIT', path: file });

/** The first line: what the plan is of. */
function header({ ends, settings }: Task): Record<string, unknown> {
  const operands = [...ends.sources, ends.destination].map(operand);
  return {
    format: FORMAT,
    version: VERSION,
    sources: ends.sources.map(shown),
    destination: shown(ends.destination),
    operands: digestOf(operands),
    options: digestOf(Object.fromEntries(Object.entries(settings).filter(([name]) => !UNDECIDING.has(name)))),
  };
}

function operand(target: Target): unknown {
  return target.kind === 'local' ? { path: absolute(target.path), contents: namesContent(target.path) } : target;
}

function shown(target: Target): string {
  if (target.kind === 'local') return textOf(absolute(target.path));
  const { host, port, root, path } = target;
  return `${host}:${port}/${root}/${textOf(path)}`;
}

/** A digest of a value, whatever the order of its members. */
function digestOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(value)))
    .digest('hex');
}

function sorted(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return members.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, sorted(member)]);
}

/** Reads the plan of a run. Refuses one of another run or version, and one that was changed. */
export function readPlan(file: string, task: Task, files: NamedFiles): PlannedEntries {
  const lines = linesOf(file, files);
  const found = new Map<string, EntryPath>();
  const hash = createHash('sha256');
  let isClosed = false;
  let number = 0;
  for (const line of lines) {
    number += 1;
    const refuse = (reason: string, message: string): never => {
      throw new ConfigError(`${file}:${number}: ${message}`, { path: file, details: { line: number, reason } });
    };
    if (isClosed) refuse('edited', 'there is something after the end of the plan');
    if (line.length > LINE_BYTES_MAX) refuse('edited', 'the line is too long');
    const record = recordOf(line) ?? refuse('edited', 'this is not a line of a plan');
    if (number === 1) checkHeader(record, header(task), refuse);
    else if ('sha256' in record) {
      const isRight = record['sha256'] === hash.copy().digest('hex') && record['entries'] === found.size;
      if (!isRight) refuse('edited', 'the lines above were changed after the plan was written');
      isClosed = true;
    } else {
      const { stamp } = record;
      if (typeof stamp !== 'string' || !/^[0-9a-f]{48}$/.test(stamp) || found.has(stamp)) {
        return refuse('edited', 'the entry has no stamp of its own');
      }
      if (found.size >= ENTRIES_MAX) throw tooLong(file);
      found.set(stamp, pathIn(record) ?? refuse('edited', 'the entry has no path'));
    }
    hash.update(line).update('\n');
  }
  if (!isClosed) {
    const message = `${file}:${number + 1}: the plan is cut short`;
    throw new ConfigError(message, { path: file, details: { line: number + 1, reason: 'cut' } });
  }
  return found;
}

function checkHeader(
  given: Record<string, unknown>,
  expected: Record<string, unknown>,
  refuse: (reason: string, message: string) => never,
): void {
  if (given['format'] !== FORMAT) refuse('format', 'this is not a plan of sparsync');
  if (given['version'] !== VERSION)
    refuse('version', `the plan has version ${String(given['version'])}, and this sparsync reads version ${VERSION}`);
  if (given['operands'] !== expected['operands'])
    refuse('operands', 'the plan was made for another source or destination');
  if (given['options'] !== expected['options']) refuse('options', 'the plan was made with other options');
}

function recordOf(line: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function pathIn({ path, pathBase64 }: Record<string, unknown>): EntryPath | undefined {
  if (typeof path !== 'string') return undefined;
  return typeof pathBase64 === 'string' ? { path, pathBytes: Buffer.from(pathBase64, 'base64') } : { path };
}

/**
 * The lines of a file without their ends. Of a line that is too long, only as much is read as is needed to know that.
 */
function* linesOf(file: string, files: NamedFiles): Generator<Uint8Array, undefined, undefined> {
  const input = attempt(file, () => files.openToRead(file));
  try {
    let rest = Buffer.alloc(0);
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const count = attempt(file, () => readSync(input, chunk));
      if (count === 0) break;
      rest = Buffer.concat([rest, chunk.subarray(0, count)]);
      for (let end = rest.indexOf(LF); end !== -1; end = rest.indexOf(LF)) {
        yield rest.subarray(0, end);
        rest = rest.subarray(end + 1);
      }
      if (rest.length > LINE_BYTES_MAX) break;
    }
    if (rest.length > 0) yield rest;
  } finally {
    closeSync(input);
  }
  return undefined;
}

function attempt<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw ioError('the plan', error, file);
  }
}
