// What docs/rsync.md tells to differ, as far as random combinations come upon it: in which cases, and in which lines of the output.
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, realpathSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';

import { at, type Entry, type Tree, walk } from './walk.js';

/** Lines that have no place in what is printed here, or another one. */
const UNPRINTED =
  /^(?:cannot delete non-empty directory: |IO error encountered -- |sender file already removed|created directory )/;

/** Lines of deletions, which stand elsewhere here. */
const DELETION = /^\*deleting /;

const LEFT_ALONE = /^skipping non-regular file /;

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

/** What stands at a path; none also where the way to it is none. */
function looked(path: string | Buffer): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

/** Whether something stands there that is no directory, a symlink to one among them. */
export const isOther = (path: string | Buffer): boolean => looked(path)?.isDirectory() === false;

/** Whether a symlink stands on the way to a path, before its last name. */
export function leadsThroughSymlink(root: string, path: string): boolean {
  const names = path.split('/').slice(0, -1);
  return names.some((_, index) => {
    const stats = looked([root, ...names.slice(0, index + 1)].join('/'));
    return stats?.isSymbolicLink() === true;
  });
}

/** Whether a directory stands there, and no symlink to one. */
export const isDirectory = (path: string): boolean => existsSync(path) && lstatSync(path).isDirectory();

/** Whether a symlink's text leads out of its tree, as --safe-links has it. */
function leadsOut(path: string, target: string): boolean {
  const names = target.split('/').filter((name) => name !== '' && name !== '.');
  const up = names.findIndex((name) => name !== '..');
  const ups = up === -1 ? names.length : up;
  return target.startsWith('/') || ups > path.split('/').length - 1 || names.slice(ups).includes('..');
}

/** Where a path leads, as latin1; none where nothing is. */
const followed = (path: Buffer): string | undefined =>
  existsSync(path) ? realpathSync.native(path, { encoding: 'buffer' }).toString('latin1') : undefined;

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

/** What is told, and whether it holds of a case. */
type Rule = readonly [sentence: string, holds: () => boolean];

/** What is told of one case. */
export class ToldDifferences {
  readonly #scene: Scene;
  readonly #pairs: readonly Pair[];
  /** Names that set the attributes of one entry in turn: there as each finds it, here as they were listed. */
  readonly #inTurn: ReadonlySet<string>;
  /** Names without -p that take the place of another kind of entry, whose mode rsync gives them. */
  readonly #replacing: ReadonlySet<string>;

  /** With --safe-links, backups of symlinks that lead out: rsync makes none. */
  readonly #unkept: ReadonlySet<string>;

  /** With -K, symlinks in the place of directories, and what they lead to: rsync fails to set its attributes. */
  readonly #led: ReadonlySet<string>;

  constructor(scene: Scene) {
    this.#scene = scene;
    this.#pairs = this.#paired();
    this.#inTurn = new Set(this.#withOtherAttributes());
    this.#replacing = new Set(this.#withOtherModes());
    this.#unkept = new Set(this.#backupsOfUnsafe());
    const led = this.#ledThrough();
    this.#led = new Set([...led.keys(), ...led.values()].flatMap((path) => path ?? []));
  }

  /** A tree without the modes in which docs/rsync.md tells a difference. */
  tree(root: string): Tree {
    const isTold = (path: string): boolean => [this.#inTurn, this.#replacing, this.#led].some((all) => all.has(path));
    const all = [...walk(root, { content: true })].filter(([path, entry]) => !this.#isUnkept(path, entry));
    return new Map(all.map(([path, entry]) => [path, isTold(path) ? { ...entry, mode: 0 } : entry]));
  }

  /** How a run has ended, but for attributes of directories that -K leads to, which rsync fails to set. */
  code({ code, stderr }: Outcome): number | null {
    const isFailure = (line: string): boolean =>
      /^rsync: .* failed to set \w+ on .*: Too many levels of symbolic links \(40\)$/.test(line);
    const said = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('rsync error: '));
    return code === 23 && this.#has('-K') && said.length > 0 && said.every(isFailure) ? 0 : code;
  }

  /** What a run has put aside below `root`, by its content. */
  backups(root: string): string[] {
    const kept = [...walk(root, { content: true })].filter(([path, entry]) => !this.#isUnkept(path, entry));
    return kept.map(([path, { kind, hash }]) => `${path} ${kind} ${hash ?? ''}`).toSorted();
  }

  /** Which names are one entry, but for those that have set its attributes in turn: rsync sends the content of some again. */
  linked(root: string): string[] {
    return linked(root).filter((names) => !names.split(' = ').some((name) => this.#inTurn.has(name)));
  }

  /** A line of what rsync finds different in two outcomes, without what docs/rsync.md tells; none where that is all. */
  judged(line: string): string | undefined {
    const name = nameOf(line).replace(/^\.?\/|\/$/g, '');
    const isOf = (names: ReadonlySet<string>): boolean => new Set([...names].map(escaped)).has(name);
    if (line.startsWith('*deleting ') && isOf(this.#unkept)) return undefined;
    if (/^[.h]/.test(line) && (isOf(this.#inTurn) || isOf(this.#led))) return undefined;
    if (/^\.[df]\.{8}x /.test(line) && this.#isFollowed(name)) return undefined;
    if (/^\.d\.\.t\.{6} /.test(line) && this.#isAdjustedWithinWindow(name)) return undefined;
    const rest = isOf(this.#replacing) ? line.replace(/^(\.[fdDS]...)p/, '$1.') : line;
    return /^\.[fdDS]\.{9} /.test(rest) ? undefined : rest;
  }

  /** A line without those columns in which docs/rsync.md tells a difference. */
  comparable(line: string): string {
    const flags = this.#scene.flags;
    // Of a directory that one of another state is like, and of a copied file, times that are not carried are told there.
    const hasBase = flags.some((flag) => flag.endsWith('=../base'));
    // Nor are they there what says which of two is closest to it.
    const isChosenByTime = flags.some((flag) => flag.endsWith('=../older')) && this.#has('-O', '--no-times');
    const chosen = isChosenByTime ? line.replace(/^cd\..{8}/, 'cd.........') : line;
    const timed = hasBase ? chosen.replace(/^(c[df]..)[tT]/, '$1.') : chosen;
    // In a dry run the mode is told there beside the ACL that brings it.
    return flags.includes('-n') ? timed.replace(/^(\.....)p(...a)/, '$1.$2') : timed;
  }

  /** What two runs have printed, without what docs/rsync.md tells to differ. */
  masked(theirs: Outcome, ours: Outcome): [string[], string[]] {
    const flags = this.#scene.flags;
    // Attributes of one entry at the destination are set by each of its names there, and told of each that differed here.
    const shared = new Set(this.#shared().flatMap((pairs) => pairs.map(({ path }) => escaped(path))));
    const inTurn = new Set([...this.#inTurn].map(escaped));
    // What one name of a file has been given in place, rsync may find under the next one, as time has it.
    const ofShared = flags.some((flag) => /^--(?:inplace|append)/.test(flag)) ? /^[.>]f|^\.[LSD]/ : /^\.[fLSD]/;
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
    // Here the sender tells of symlinks that are not carried, and the receiver of devices that it may not make.
    const toldByBoth = flags.includes('--no-super');
    // Deletions that come before change times of directories, which rsync tells.
    const deletedIn = new Set(
      flags.includes('--delete-before')
        ? theirs.shown
            .filter((line) => DELETION.test(line))
            .map((line) => `${dirname(nameOf(line).replace(/\/$/, ''))}/`)
        : [],
    );
    const untimed = (line: string): string =>
      line.startsWith('.d..t') && deletedIn.has(nameOf(line)) ? `.d...${line.slice(5)}` : line;
    const isCompared = (line: string): boolean => {
      if (/^\.d\.{9} /.test(line)) return false;
      const name = nameOf(line);
      if (looks && line.startsWith('skipping non-regular file')) return false;
      if (linkedAtSource.includes(name)) return false;
      if (UNPRINTED.test(line) || onTheWay(line) || again.has(name) || inTurn.has(name)) return false;
      return (
        !several.has(name) &&
        !(ofShared.test(line) && shared.has(name)) &&
        !(/^\.[fLSD]/.test(line) && setIds.has(name))
      );
    };
    const of = ({ shown }: Outcome): string[] => {
      const some = shown.map(untimed).filter(isCompared);
      const deletions = some.filter((line) => DELETION.test(line));
      const left = some.filter((line) => LEFT_ALONE.test(line));
      return [
        ...some.filter((line) => !DELETION.test(line) && !LEFT_ALONE.test(line)),
        ...(givesWay ? deletions.toSorted() : deletions),
        ...(toldByBoth ? left.toSorted() : left),
      ];
    };
    return [of(theirs), of(ours)];
  }

  /** Whether a run has sent a file that had further names at the destination. */
  writesToLinked({ shown }: Outcome): boolean {
    const names = new Set(linked(`${this.#scene.work}/start`).flatMap((all) => all.split(' = ').map(escaped)));
    return shown.some((line) => line.startsWith('>f') && names.has(nameOf(line)));
  }

  #isLeftOut(theirs: string): boolean {
    return this.#scene.sources.some((source) => {
      const [, below = ''] = source.split('/./');
      return /[^/]\/[^/]/.test(below) && !existsSync(`${theirs}/${below}`);
    });
  }

  /** Whether the destination has what leads to no directory in the place of one that leads to a source. */
  #standsOnTheWay(): boolean {
    return [...this.#scene.sources, ...this.#scene.list.map((path) => `./${path}`)].some((source) => {
      const names = source
        .replace(/^(?:.*\/)?\.\//, '')
        .split('/')
        .filter((name) => name !== '');
      return names.some((_, index) => {
        const onTheWay = at(`${this.#scene.work}/start`, names.slice(0, index).join('/'));
        return isOther(onTheWay) && !(existsSync(onTheWay) && statSync(onTheWay).isDirectory());
      });
    });
  }

  /** Whether what arrives through symlinks of the destination takes the place of one of them, or meets something else there. */
  #clashesBehindSymlinks(): boolean {
    const { flags, sources, work } = this.#scene;
    if (!this.#has('-K', '--no-implied-dirs')) return false;
    const paths = flags.filter((flag) => /^(-R|-0|--no-R|--files-from=.*)$/.test(flag));
    spawnSync('rsync', ['-rlD', ...paths, ...sources, 'arrives/'], { cwd: work });
    const start = realpathSync(`${work}/start`);
    /** Where a path arrives, below the destination as it was. */
    const placeOf = (path: string): string =>
      `${followed(at(start, dirname(path))) ?? `${start}/${dirname(path)}`}/${basename(path)}`;
    const met = new Set<string>();
    return [...walk(`${work}/arrives`)].some(([path, { kind }]) => {
      // With -K a directory takes no symlink's place.
      if (path === '' || (kind === 'directory' && this.#has('-K'))) return false;
      const names = path.split('/');
      const way = names.slice(1).map((_, index) => placeOf(names.slice(0, index + 1).join('/')));
      const place = resolve(placeOf(path));
      if (met.has(place) || way.some((above) => resolve(above) === place)) return true;
      met.add(place);
      return false;
    });
  }

  /** What docs/rsync.md tells of this case, where that would show in more than its lines: the case is left out. */
  told({ root, stderr }: Outcome): string | undefined {
    const rules: Rule[] = [
      ...this.#ofOptions(stderr),
      ...this.#ofSources(stderr),
      [
        'rules leave out a listed path, or a directory on the way to it: those on the way are made here',
        () => this.#leavesOutListed(),
      ],
      [
        'a source below a directory on the way that does not come: it is there for what is named here',
        () => this.#isLeftOut(root),
      ],
    ];
    return rules.find(([, holds]) => holds())?.[0];
  }

  /** Whether rules leave out a listed path, or a directory on the way to it, as rsync says that has them alone. */
  #leavesOutListed(): boolean {
    const { flags, list, work } = this.#scene;
    const rules = flags.filter((flag) => /^--(filter|exclude|include)|^-F|^-C/.test(flag));
    if (list.length === 0 || rules.length === 0) return false;
    const words = ['-rlDn', '--out-format=%n', ...rules, 'src/', 'nowhere/'];
    const { stdout } = spawnSync('rsync', words, { cwd: work, encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
    const taken = new Set(stdout.split('\n'));
    const named = list.flatMap((path) => path.split('/').map((_, at, names) => names.slice(0, at + 1).join('/')));
    return named.some((path) => {
      const stats = lstatSync(at(`${work}/src`, path), { throwIfNoEntry: false });
      return stats !== undefined && !taken.has(stats.isDirectory() ? `${escaped(path)}/` : escaped(path));
    });
  }

  #has(...some: readonly string[]): boolean {
    return this.#scene.flags.some((flag) => some.some((each) => flag.startsWith(each)));
  }

  #ofOptions(stderr: string): Rule[] {
    const { flags, starts } = this.#scene;
    const has = (...some: readonly string[]): boolean => this.#has(...some);
    const isBelow = /Not a directory|No such file or directory|Too many levels of symbolic links/.test(stderr);
    const rules = has('-C', '-F', '--filter=:', '--filter=-C');
    return [
      [
        'a base beside a destination that has something: what is right there is left alone here',
        () => has('--compare-dest', '--link-dest') && starts === 'changed',
      ],
      [
        'names of one entry get their attributes in turn, and a backup or content with them',
        () => this.#inTurn.size > 0 && has('-b', '--backup-dir', '--inplace', '--append'),
      ],
      [
        'what stands in the place of a directory gets the directory’s time there, and what is below fails',
        () => has('--ignore-existing') && this.#standsForDirectory(),
      ],
      [
        'what stands in the place of a directory on the way gives way here, and fails with rsync',
        () => has('--no-implied-dirs') && (isBelow || this.#standsOnTheWay()),
      ],
      [
        'what arrives through a symlink takes that symlink’s place, or that of what another name leads to',
        () => this.#clashesBehindSymlinks(),
      ],
      ['a new file has the mode of a similar one there', () => has('-y') && !this.#carriesModes()],
      [
        'the real mode of what is stored is set there too',
        () => has('--fake-super') && (starts === 'changed' || has('--compare-dest', '--copy-dest', '--link-dest')),
      ],
      [
        'content is not verified there before --append',
        () =>
          flags.includes('--append') &&
          this.#pairs.some(({ old, source }) => old.kind === 'file' && old.size < (source?.size ?? 0n)),
      ],
      [
        'what gives way is judged here by the files of rules before the run, and there by those that it has left',
        () => has('--del') && rules && this.#givesWay(),
      ],
      [
        'what takes the place of another kind of entry comes from the source here, and is told',
        () => has('--copy-dest') && this.#pairs.some(({ old, source }) => (source?.kind ?? old.kind) !== old.kind),
      ],
      [
        'in a dry run what stands on the way to a name has not given way there',
        () => flags.includes('-n') && has('-H') && isBelow,
      ],
      [
        'where the first name of a hard link has no place the next one gets the content',
        () => has('-H') && stderr.includes('could not make way'),
      ],
      [
        'a limit on deletions counts what gives way first here, and in the order of the walk there',
        () => has('--max-delete') && this.#givesWay(),
      ],
      [
        'a symlink that leads out stays with -K, and is told',
        () => [...this.#ledThrough().values()].includes(undefined),
      ],
      [
        'a directory that cannot give way stays as it is',
        () => has('--delete') && stderr.includes('could not make way'),
      ],
    ];
  }

  #ofSources(stderr: string): Rule[] {
    const { flags, list, sources, work } = this.#scene;
    const has = (...some: readonly string[]): boolean => this.#has(...some);
    const below = (path: string): string => `${work}/${path}`;
    const isMissing = (path: string): boolean =>
      lstatSync(at(`${work}/src`, path), { throwIfNoEntry: false }) === undefined;
    return [
      [
        'files of rules below a symlink of a stranger that is followed are read here',
        () =>
          stderr.includes('refusing to follow a symlink') &&
          (has('-k', '-L') || sources.some((source) => leadsThroughSymlink(work, source))),
      ],
      [
        'without -r a source of -R is a path of a list, which leads through no symlink',
        () => flags.includes('--no-r') && has('-R') && sources.some((source) => leadsThroughSymlink(work, source)),
      ],
      [
        'what is below a directory that is missing is told and kept, and has vanished there',
        () => stderr.includes('file has vanished') && has('--delete-missing-args'),
      ],
      [
        'the ACL of a directory that forbids its owner to look is not read there',
        () => /get_acl: .*Permission denied/.test(stderr),
      ],
      [
        'what rules leave out at the destination is not there for --existing here',
        () =>
          has('--exclude', '--filter', '-C', '-F') &&
          has('--existing', '--ignore-non-existing') &&
          (sources.length > 1 || this.#givesWay()),
      ],
      [
        'to -L what an earlier source cannot say is no later source’s',
        () => has('-L') && sources.length > 1 && /readlink_stat|has no referent/.test(stderr),
      ],
      [
        'nothing gives way where the source could not be read in full',
        () => /readlink_stat|has no referent/.test(stderr) && this.#givesWay(),
      ],

      [
        'nothing is deleted here when a source is missing',
        () => has('--del', '--force') && (sources.some((source) => !existsSync(below(source))) || list.some(isMissing)),
      ],
      [
        'a directory that is named twice is there twice for rsync, and not empty',
        () => has('-m') && (new Set(list).size < list.length || this.#sharesAnEmptyDirectory()),
      ],
      [
        'a slash says that it is a directory',
        () =>
          sources.some(
            (source) => source.endsWith('/') && isOther(below(source.slice(0, -1))) && !isDirectory(below(source)),
          ),
      ],
    ];
  }

  /** Whether sources of several names have an empty directory in common. */
  #sharesAnEmptyDirectory(): boolean {
    const [first, ...others] = this.#scene.sources.map((source) => `${this.#scene.work}/${source}`);
    if (first === undefined || others.length === 0 || !isDirectory(first.replace(/\/$/, ''))) return false;
    const isEmpty = (path: Buffer): boolean => looked(path)?.isDirectory() === true && readdirSync(path).length === 0;
    return [...walk(first)].some(
      ([path, { kind }]) =>
        kind === 'directory' && isEmpty(at(first, path)) && others.some((other) => isEmpty(at(other, path))),
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

  /** The names of each entry of the destination that more than one name of a source stands for. */
  #shared(): Pair[][] {
    if (this.#scene.flags.includes('-H')) return [];
    const groups = new Map<bigint, Pair[]>();
    for (const pair of this.#pairs) {
      const { ino, kind } = pair.old;
      if (kind !== 'directory') groups.set(ino, [...(groups.get(ino) ?? []), pair]);
    }
    return [...groups.values()].filter((pairs) => pairs.filter(({ source }) => source !== undefined).length > 1);
  }

  /** Whether an entry, as it is printed, comes from a symlink that is followed: with -X rsync carries that symlink's own attributes. */
  #isFollowed(printed: string): boolean {
    const { flags, sources, work } = this.#scene;
    if (!flags.includes('-X') || !this.#has('-L', '-k', '--copy-unsafe-links')) return false;
    const path = printed.replace(flags.includes('--mkpath') ? 'new/deep/' : '', '');
    const bytes = path.replaceAll(/\\#(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    return sources.some((source) => {
      const from = at(`${work}/${source.endsWith('/') ? source : dirname(source)}`, bytes);
      return existsSync(from) && lstatSync(from).isSymbolicLink();
    });
  }

  /** Whether a directory has a time within the window, and other attributes, with which it gets its very time here. */
  #isAdjustedWithinWindow(name: string): boolean {
    const pair = this.#pairs.find(({ path, old }) => old.kind === 'directory' && escaped(path) === name);
    const attributes = (entry: Entry): string => `${entry.mode} ${entry.uid} ${entry.gid}`;
    const isAdjusted = pair?.source !== undefined && attributes(pair.source) !== attributes(pair.old);
    return isAdjusted && this.#has('--modify-window=1', '--modify-window=8');
  }

  /** With -K, each symlink in the place of a directory, and the path that it leads to; none if it leads out. */
  #ledThrough(): Map<string, string | undefined> {
    const start = `${this.#scene.work}/start`;
    const to = (path: string, target = ''): string | undefined => {
      const led = followed(at(start, path)) ?? resolve(dirname(`${start}/${path}`), target);
      if (led === start) return '';
      return led.startsWith(`${start}/`) ? led.slice(start.length + 1) : undefined;
    };
    const symlinks = this.#pairs.filter(({ old, source }) => old.kind === 'symlink' && source?.kind === 'directory');
    return new Map(this.#has('-K') ? symlinks.map(({ path, old }) => [path, to(path, old.target)]) : []);
  }

  #isUnkept(path: string, { kind }: Entry): boolean {
    return kind === 'symlink' && this.#unkept.has(path);
  }

  #backupsOfUnsafe(): string[] {
    const { flags } = this.#scene;
    if (!this.#has('--safe-links') || !this.#has('-b', '--backup-dir')) return [];
    const given = flags.find((flag) => flag.startsWith('--suffix='))?.replace('--suffix=', '');
    const suffix = this.#has('--backup-dir') ? '' : (given ?? '~');
    const unsafe = this.#pairs.filter(({ path, old }) => old.kind === 'symlink' && leadsOut(path, old.target ?? ''));
    return unsafe.map(({ path }) => `${path}${suffix}`);
  }

  #carriesModes(): boolean {
    const isAsked = /[ap]/.test(this.#scene.base) || this.#scene.flags.includes('-p');
    return this.#has('-A') || (isAsked && !this.#has('--no-perms'));
  }

  #withOtherModes(): string[] {
    const replaces = ({ old, source }: Pair): boolean => source !== undefined && source.kind !== old.kind;
    return this.#carriesModes() ? [] : this.#pairs.filter(replaces).map(({ path }) => path);
  }

  /** Names of one entry of the destination that are entries of other attributes in a source. */
  #withOtherAttributes(): string[] {
    const isClose = this.#has('-A', '-X');
    const attributes = ({ source }: Pair): string[] =>
      source === undefined
        ? []
        : [`${source.mtimeNs} ${source.mode} ${source.uid} ${source.gid} ${isClose ? source.ino : ''}`];
    const differ = this.#shared().filter((pairs) => new Set(pairs.flatMap(attributes)).size > 1);
    return differ.flatMap((pairs) => pairs.map(({ path }) => path));
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
