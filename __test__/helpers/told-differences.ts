// What docs/rsync.md tells to differ, as far as random combinations come upon it: in which cases, and in which lines of the output.
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync } from 'node:fs';
import { basename, dirname } from 'node:path';

import { at, type Entry, walk } from './walk.js';

/** Lines that have no place in what is printed here, or another one. */
const UNPRINTED =
  /^(?:cannot delete non-empty directory: |IO error encountered -- |sender file already removed|created directory )/;

/** Lines of deletions, which stand elsewhere here. */
const DELETION = /^\*deleting /;

/** What a run has come to. */
export interface Outcome {
  readonly root: string;
  readonly code: number | null;
  /** What it has printed. */
  readonly shown: readonly string[];
  readonly stderr: string;
  /** What its sources have after it, where that is in question. */
  readonly left: readonly string[];
}

/** Whether something stands there that is no directory, a symlink to one among them. */
export const isOther = (path: string | Buffer): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === false;

/** Whether a symlink stands on the way to a path, before its last name. */
export function leadsThroughSymlink(root: string, path: string): boolean {
  const names = path.split('/').slice(0, -1);
  return names.some((_, index) => {
    const stats = lstatSync([root, ...names.slice(0, index + 1)].join('/'), { throwIfNoEntry: false });
    return stats?.isSymbolicLink() === true;
  });
}

const isDirectory = (path: string): boolean => existsSync(path) && lstatSync(path).isDirectory();

/** A path as it is printed. */
const escaped = (path: string): string =>
  path.replaceAll(/[^ -~]/g, (byte) => `\\#${byte.charCodeAt(0).toString(8).padStart(3, '0')}`);

/** The name in an itemized line. */
const nameOf = (line: string): string => line.slice(12).replace(/ (?:->|=>) .*$/, '');

/** Which names are one entry. */
export function linked(root: string): string[] {
  const groups = new Map<bigint, string[]>();
  for (const [path, { ino, kind }] of walk(root)) {
    if (kind !== 'directory') groups.set(ino, [...(groups.get(ino) ?? []), path]);
  }
  return [...groups.values()]
    .filter(({ length }) => length > 1)
    .map((paths) => paths.toSorted().join(' = '))
    .toSorted();
}

/** An entry of the destination as it was, and that of a source. */
interface Pair {
  readonly path: string;
  readonly old: Entry;
  readonly source: Entry | undefined;
}

/** A case, before its run. */
export interface Scene {
  /** Its folder, with its sources and the destination as it is at first. */
  readonly work: string;
  readonly base: string;
  readonly flags: readonly string[];
  readonly sources: readonly string[];
  /** The paths that a list names. */
  readonly list: readonly string[];
  readonly starts: 'changed' | 'empty';
}

/** What is told of one case. */
export class ToldDifferences {
  readonly #scene: Scene;
  readonly #pairs: readonly Pair[];

  constructor(scene: Scene) {
    this.#scene = scene;
    this.#pairs = this.#paired();
  }

  /** A line without those columns in which docs/rsync.md tells a difference. */
  comparable(line: string): string {
    const flags = this.#scene.flags;
    // Of a directory that one of another state is like, and of a copied file, times that are not carried are told there.
    const hasBase = flags.some((flag) => flag.endsWith('=../base'));
    const timed = hasBase ? line.replace(/^(c[df]..)[tT]/, '$1.') : line;
    // In a dry run the mode is told there beside the ACL that brings it.
    return flags.includes('-n') ? timed.replace(/^(\.....)p(...a)/, '$1.$2') : timed;
  }

  /** What two runs have printed, without what docs/rsync.md tells to differ. */
  masked(theirs: Outcome, ours: Outcome): [string[], string[]] {
    const flags = this.#scene.flags;
    // Attributes of one entry at the destination are set by each of its names there, and told of each that differed here.
    const shared = new Set(
      flags.includes('-H')
        ? []
        : linked(`${this.#scene.work}/start`).flatMap((names) => names.split(' = ').map(escaped)),
    );
    // Which of several names comes first is another one.
    const pairs = [...theirs.shown, ...ours.shown].flatMap((line) => /^.{12}(.*) => (.*)$/.exec(line)?.slice(1) ?? []);
    // In a dry run none has come before.
    const linkedAtSource = flags.includes('-n') && flags.includes('-H') ? this.#linkedAtSource() : [];
    const several = new Set(pairs);
    // Directories on the way are named here.
    const onTheWay = (line: string): boolean => flags.includes('--no-implied-dirs') && /^cd\+{9} /.test(line);
    // What is there is verified here before, and sent again there.
    const again = new Set([...theirs.stderr.matchAll(/^WARNING: (.*) failed verification/gm)].map(([, name]) => name));
    // What a directory held that gives way is told when it is gone.
    const givesWay = this.#givesWay();
    // Of the owners of what has a set-id bit rsync tells something else.
    const setIds = new Set(
      this.#pairs.flatMap(({ path, source }) => (((source?.mode ?? 0) & 0o6000) === 0 ? [] : [escaped(path)])),
    );
    // What is not carried is told here whether it is there or not.
    const looks = flags.some((flag) => /^--(?:ignore-(?:non-)?)?existing$/.test(flag));
    // Deletions that come before change times of directories, which rsync tells.
    const deletesBefore = flags.includes('--delete-before');
    const isCompared = (line: string): boolean => {
      if (deletesBefore && /^\.d\.\.t\.{6} /.test(line)) return false;
      const name = nameOf(line);
      if (looks && line.startsWith('skipping non-regular file')) return false;
      if (linkedAtSource.includes(name)) return false;
      if (UNPRINTED.test(line) || onTheWay(line) || again.has(name)) return false;
      return !several.has(name) && !(/^\.[fLSD]/.test(line) && (shared.has(name) || setIds.has(name)));
    };
    const of = ({ shown }: Outcome): string[] => {
      const some = shown.filter(isCompared);
      const deletions = some.filter((line) => DELETION.test(line));
      return [...some.filter((line) => !DELETION.test(line)), ...(givesWay ? deletions.toSorted() : deletions)];
    };
    return [of(theirs), of(ours)];
  }

  /** Whether a source below a directory on the way did not come: rsync has that directory for what comes, and it is there for what is named here. */
  isLeftOut(theirs: string): boolean {
    return this.#scene.sources.some((source) => {
      const [, below = ''] = source.split('/./');
      return /[^/]\/[^/]/.test(below) && !existsSync(`${theirs}/${below}`);
    });
  }

  /** Whether the destination has something else in the place of a directory that leads to a source. */
  #standsOnTheWay(): boolean {
    return this.#scene.sources.some((source) => {
      const names = source
        .replace(/^.*\/\.\//, '')
        .split('/')
        .filter((name) => name !== '');
      return names.some(
        (_, index) => index > 0 && isOther(`${this.#scene.work}/start/${names.slice(0, index).join('/')}`),
      );
    });
  }

  /** Whether it is a case of what docs/rsync.md tells to differ. */
  isTold(stderr: string): boolean {
    const flags = this.#scene.flags;
    const has = (...some: readonly string[]): boolean =>
      flags.some((flag) => some.some((each) => flag.startsWith(each)));
    const at = (path: string): string => `${this.#scene.work}/${path}`;
    const { sources } = this.#scene;
    // A base beside a destination that has something: what is right there is left alone here.
    if (has('--compare-dest', '--link-dest') && this.#scene.starts === 'changed') return true;
    // Attributes of one entry are set by several names in turn: here as they were listed, there as each name finds it.
    if (!has('-H') && this.#sharesAttributes()) return true;
    // Without -p rsync gives an entry the mode of what it takes the place of.
    const carriesModes = has('-A') || (/[ap]/.test(this.#scene.base) && !has('--no-perms'));
    if (!carriesModes && this.#pairs.some(({ old, source }) => source !== undefined && source.kind !== old.kind)) {
      return true;
    }
    // What stands in the place of a directory gets the directory's time there, and what is below fails.
    if (has('--ignore-existing') && this.#standsForDirectory()) return true;
    // What stands in the place of a directory on the way gives way here, and fails with rsync.
    const isBelow = /Not a directory|No such file or directory/.test(stderr);
    if (has('--no-implied-dirs') && (isBelow || this.#standsOnTheWay())) return true;
    // Files of rules below a symlink of a stranger that an operand leads through are read here.
    const distrusts = stderr.includes('refusing to follow a symlink');
    if (distrusts && sources.some((source) => leadsThroughSymlink(this.#scene.work, source))) return true;
    // Nor is what is below a directory that is missing: to rsync it has vanished.
    if (stderr.includes('file has vanished') && has('--ignore-missing-args', '--delete-missing-args')) return true;
    // What is below something else than a directory is not there, to rsync that is a failure of its own.
    if (isBelow && has('--ignore-missing-args', '--delete-missing-args')) return true;
    // The real mode of what is stored is set there too.
    if (
      has('--fake-super') &&
      (this.#scene.starts === 'changed' || has('--compare-dest', '--copy-dest', '--link-dest'))
    )
      return true;
    // Content is not verified there.
    const grows = this.#pairs.some(({ old, source }) => old.kind === 'file' && old.size < (source?.size ?? 0n));
    if (flags.includes('--append') && grows) return true;
    // What gives way is judged here by the files of rules that were there before the run, and there by those that it has left.
    const rules = has('-C', '-F', '--filter=:', '--filter=-C');
    if (has('--del') && rules && this.#givesWay()) return true;
    // The ACL of a directory that forbids its owner to look is not read there.
    if (/get_acl: .*Permission denied/.test(stderr)) return true;
    // What rules leave out at the destination is not there for --existing here.
    const leavesOut = has('--exclude', '--filter', '-C', '-F') && has('--existing', '--ignore-non-existing');
    if (leavesOut && (sources.length > 1 || this.#givesWay())) return true;
    // What takes the place of another kind of entry comes from the source here, and is told.
    const changesKind = this.#pairs.some(({ old, source }) => (source?.kind ?? old.kind) !== old.kind);
    if (has('--copy-dest') && changesKind) return true;
    // In a dry run what stands on the way to a name has not given way there.
    if (flags.includes('-n') && has('-H') && isBelow) return true;
    // To -L what an earlier source cannot say is no later source's.
    if (has('-L') && sources.length > 1 && /readlink_stat|has no referent/.test(stderr)) return true;
    // Nor does anything give way where the source could not be read in full.
    if (/readlink_stat|has no referent/.test(stderr) && this.#givesWay()) return true;
    // Where the first name of a hard link has no place the next one gets the content.
    if (has('-H') && stderr.includes('could not make way')) return true;
    // A limit on deletions counts what gives way first here, and in the order of the walk there.
    if (has('--max-delete') && this.#givesWay()) return true;
    // Of several sources, what a file of rules says is of its own tree.
    if (sources.length > 1 && rules) return true;
    // A directory that cannot give way stays as it is.
    if (has('--delete') && stderr.includes('could not make way')) return true;
    // Nothing is deleted here when a source is missing.
    if (has('--del', '--force') && sources.some((source) => !existsSync(at(source)))) return true;
    // A directory that is named twice is there twice for rsync, and not empty.
    if (has('-m') && new Set(this.#scene.list).size < this.#scene.list.length) return true;
    // A slash says that it is a directory.
    return sources.some(
      (source) => source.endsWith('/') && isOther(at(source.slice(0, -1))) && !isDirectory(at(source)),
    );
  }

  /** The entries of the destination as it is, each with that of a source. */
  #paired(): Pair[] {
    const sources = ['src', 'other'].map((name) => walk(`${this.#scene.work}/${name}`));
    const sourceOf = (path: string): Entry | undefined => {
      // What a list names arrives under its last name, without -R.
      const listed = this.#scene.list.filter(
        (each) => path === basename(each) || path.startsWith(`${basename(each)}/`),
      );
      const names = [path, path.slice(path.indexOf('/') + 1), ...listed.map((each) => `${dirname(each)}/${path}`)];
      return sources.flatMap((source) => names.flatMap((name) => source.get(name) ?? []))[0];
    };
    return [...walk(`${this.#scene.work}/start`)].map(([path, old]) => ({ path, old, source: sourceOf(path) }));
  }

  /** Entries of the destination, as they are printed, whose source has further names. */
  #linkedAtSource(): string[] {
    const inodes = ['src', 'other'].flatMap((name) =>
      [...walk(`${this.#scene.work}/${name}`).values()].map(({ ino }) => ino),
    );
    const isLinked = ({ source }: Pair): boolean => inodes.filter((ino) => ino === source?.ino).length > 1;
    return this.#pairs.filter(isLinked).map(({ path }) => escaped(path));
  }

  /** Whether a directory of the destination gives way to something else. */
  #givesWay(): boolean {
    return this.#pairs.some(({ old, source }) => old.kind === 'directory' && (source?.kind ?? old.kind) !== old.kind);
  }

  /** Whether names of one entry of the destination are entries of other attributes in a source. */
  #sharesAttributes(): boolean {
    const groups = new Map<bigint, Set<string>>();
    for (const {
      old: { ino, kind },
      source,
    } of this.#pairs) {
      const attributes = source && `${source.mtimeNs} ${source.mode} ${source.uid} ${source.gid}`;
      if (kind !== 'directory') groups.set(ino, (groups.get(ino) ?? new Set()).add(attributes ?? ''));
    }
    return [...groups.values()].some((all) => all.size > 1);
  }

  /** Whether something else stands at the destination where the sources have a directory. */
  #standsForDirectory(): boolean {
    const whole = `${this.#scene.work}/whole`;
    const relative = this.#scene.flags.includes('-R') ? ['-R'] : [];
    spawnSync('rsync', ['-r', ...relative, ...this.#scene.sources, 'whole/'], { cwd: this.#scene.work });
    const all = existsSync(whole) ? [...walk(whole)] : [];
    return all.some(([path, { kind }]) => kind === 'directory' && isOther(at(`${this.#scene.work}/start`, path)));
  }
}
