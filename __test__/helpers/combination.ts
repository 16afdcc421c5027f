// What a random combination of options is: its options, with their values, its sources and the state of the destination.
import type { Random } from './random.js';

/** Flags that belong together. */
interface Choice {
  readonly flags: (random: Random) => readonly string[];
  readonly rootOnly?: boolean;
}

const fixed = (...flags: readonly string[]): Choice => ({ flags: () => flags });
const asRoot = (...flags: readonly string[]): Choice => ({ flags: () => flags, rootOnly: true });
const oneOf = (...flags: readonly string[]): Choice => ({ flags: (random) => [random.pick(flags)] });
const rootOf = (...flags: readonly string[]): Choice => ({ flags: (random) => [random.pick(flags)], rootOnly: true });

const RULES = ['- *.o', '+ a', '- /a', 'P b', 'H c.o', 'S *', 'R a', '- a/', '- b/**', '+ */', '- *', '!', '-! */']
  .concat(['-s core', '-r a', 'P .keep', '- /src', '+ /src/***', '- [a-b]', '- ?', 'H .*', '- *tmp'])
  .concat([': .rules', ':n .rules', ':e .rules', ':C', '-C', '. names', '.- words']);

const MODES = ['D755,F644', 'u=rwX,go=rX', 'go-w', 'a+x', 'F600', 'g=u', 'D750'];

/** Files that options name, in the folder of a case, which is that of its runs. */
export const FILES = {
  names: '- *.tmp\n+ b\n- /Z\n',
  words: 'c.o\ne f\n',
} as const;

/**
 * Each option with every kind of value. Left out are those whose effect is outside the trees (`--write-devices` and `--copy-devices` read
 * and write the machine's devices), those that have a format of our own (batches), `-T`, for which rsync takes no path beside the
 * destination, and `-U`, for any look at a file changes its access time. They have specs of their own.
 */
const CHOICES: readonly Choice[] = [
  oneOf(
    '--no-perms',
    '--no-times',
    '--no-owner',
    '--no-group',
    '--no-links',
    '--no-devices',
    '--no-specials',
    '--no-D',
  ),
  oneOf('--devices', '--specials', '-D', '-p', '-t', '-o', '-g', '-l'),
  oneOf('-L', '-k', '--copy-unsafe-links', '-K', '-K'),
  oneOf('--safe-links', '--munge-links', '-M--munge-links'),
  fixed('-H'),
  fixed('-A'),
  fixed('-X'),
  fixed('-E', '--no-perms'),
  fixed('-O'),
  fixed('-J'),
  { flags: (random) => [`--chmod=${random.pick(MODES)}`] },
  { flags: (random) => [`--chmod=${random.pick(MODES)}`, `--chmod=${random.pick(MODES)}`] },
  fixed('--fake-super'),
  asRoot('--numeric-ids'),
  rootOf('--usermap=*:1000', '--usermap=0:4321,1000-5000:0', '--usermap=:7'),
  rootOf('--groupmap=*:1000', '--groupmap=0:4321', '--groupmap=4000-5000:nogroup'),
  rootOf('--chown=1000:4321', '--chown=:1000', '--chown=4321'),
  asRoot('--no-super'),
  fixed('-u'),
  fixed('-c'),
  fixed('-I'),
  fixed('--size-only'),
  oneOf('--modify-window=1', '--modify-window=86400', '--modify-window=-1'),
  oneOf('--existing', '--ignore-non-existing', '--ignore-existing'),
  oneOf('--min-size=1', '--min-size=100', '--min-size=5K'),
  oneOf('--max-size=0', '--max-size=99', '--max-size=5000', '--max-size=1K'),
  fixed('-d', '--no-r'),
  fixed('--mkpath'),
  fixed('--delete'),
  fixed('--delete-excluded'),
  oneOf('--del', '--delete-before', '--delete-during', '--delete-after', '--delete-delay'),
  oneOf('--force', '--ignore-errors'),
  { flags: (random) => ['--delete', `--max-delete=${random.pick(['0', '1', '2', '5', '-1'])}`] },
  oneOf('--ignore-missing-args', '--delete-missing-args'),
  oneOf('--delay-updates', '--inplace', '--append', '--append-verify'),
  oneOf(
    '--fsync',
    '--partial',
    '--partial-dir=.part',

    '--bwlimit=100M',
    '--timeout=300',
    '--stop-after=9',
  ),
  oneOf('--exclude=*.o', '--exclude=/a', '--exclude=a/', '--exclude=*'),
  // What is taken by one rule is left out by the next one otherwise.
  { flags: (random) => [`--include=${random.pick(['b', '*/', 'a/***', '[a-c]'])}`, '--exclude=*'] },
  oneOf('--exclude-from=words', '--include-from=words'),
  { flags: (random) => Array.from({ length: random.between(1, 4) }, () => `--filter=${random.pick(RULES)}`) },
  { flags: (random) => Array.from({ length: random.between(1, 4) }, () => `--filter=${random.pick(RULES)}`) },
  oneOf('-F', '-FF'),
  fixed('-C'),
  fixed('-m'),
  { flags: (random) => random.pick([['-b'], ['-b', '--suffix=.was'], ['--backup-dir=../backups']]) },
  oneOf('--compare-dest=../base', '--copy-dest=../base', '--link-dest=../base'),
  // The second directory is asked for what the first one does not have.
  {
    flags: (random) => {
      const flag = random.pick(['--compare-dest', '--copy-dest', '--link-dest']);
      return [`${flag}=../base`, `${flag}=../older`];
    },
  },
  oneOf('-x', '-xx'),
  fixed('--open-noatime'),
  asRoot('--super'),
  oneOf('-y', '-yy', '-W', '--no-whole-file'),
  oneOf('-S', '--preallocate'),
  { flags: (random) => random.pick([['-z'], ['--zc=lz4'], ['-z', '--zl=1'], ['-z', '--skip-compress=o/[a-c]']]) },
  fixed('--remove-source-files'),
  fixed('-n'),
];

/** What is drawn, and changes nothing that is compared; each with the reason. */
export const IDLE: Readonly<Record<string, string>> = {
  '--fsync': 'what is on a disk is not seen in its tree',
  '--partial': 'no run is cut',
  '--partial-dir': 'no run is cut',
  '--bwlimit': 'it is about time',
  '--timeout': 'it is about time',
  '--stop-after': 'it is about time',
  '--preallocate': 'blocks are not compared',
  '-S': 'blocks are not compared',
  '-x': 'no tree has another file system in it; one-file-system.spec.ts has those',
  '-xx': 'no tree has another file system in it; one-file-system.spec.ts has those',
  '--open-noatime': 'access times are not compared',
  '--super': 'root may do all of it',
  '--numeric-ids': 'both ends have the same names; owners.spec.ts has ends with others',
  '-W': 'what travels is not compared',
  '--no-whole-file': 'what travels is not compared',
  '-y': 'what travels is not compared',
  '-yy': 'what travels is not compared',
  '-z': 'what travels is not compared',
  '--zc': 'what travels is not compared',
  '-z --zl': 'what travels is not compared',
  '-z --skip-compress': 'what travels is not compared',
  '--force': 'with --delete it is implied, and without is seldom reached',
  '--ignore-errors': 'no tree fails to be read',
  '-t': 'each base has it',
  '--delay-updates': 'when names are given is not seen in the tree',
  '--munge-links': 'no source has symlinks that are munged',
  '--delete-missing-args': 'what a missing source means for deletions is told; deleting.spec.ts has it',
};

/** The same of combinations of a plain user, whose trees have no devices, and one owner and group. */
export const IDLE_FOR_USERS: Readonly<Record<string, string>> = {
  '--devices': 'he makes none',
  '--no-devices': 'he makes none',
  '-o': 'he sets no owner',
  '--no-owner': 'he sets no owner',
  '-g': 'all is of his only group',
  '--no-group': 'all is of his only group',
};

/** The name of an option in a tally: its flags without their values. */
export function optionName(flags: readonly string[]): string {
  return [...new Set(flags.map((flag) => flag.replace(/=.*$/s, '')))].join(' ');
}

/** The names of all options that are drawn. */
export function optionNames(random: Random, privileged: boolean): ReadonlySet<string> {
  const pool = CHOICES.filter(({ rootOnly }) => privileged || rootOnly !== true);
  // Each choice so often that all that it stands for comes.
  return new Set(pool.flatMap(({ flags }) => Array.from({ length: 300 }, () => optionName(flags(random)))));
}

const LIST_CHOICES: readonly Choice[] = [fixed('-r'), fixed('--no-R'), fixed('--no-implied-dirs')];

/** A run: its options, each with its flags, its sources below the folder of the case, and whether a list says what of them. */
export interface Case {
  readonly base: string;
  readonly options: ReadonlyArray<readonly string[]>;
  readonly sources: readonly string[];
  readonly listed: boolean;
  readonly starts: 'changed' | 'empty';
}

export const carriesAll = (base: string, flags: ReadonlySet<string>): boolean =>
  (base === '-a' || base === '-rlptgoD') &&
  !['--no-perms', '--no-times', '--no-owner', '--no-group', '--no-super'].some((flag) => flags.has(flag));

/** Options that rsync or this side refuses together. */
function isSound(options: ReadonlyArray<readonly string[]>, base: string): boolean {
  const flags = new Set([base, ...options.flat()]);
  const some = (test: (flag: string) => boolean): boolean => [...flags].some(test);
  if (flags.has('-A') && flags.has('--no-perms')) return false;
  // rsync may take from the owning group what an ACL gives it when modes are changed.
  if (flags.has('-A') && some((flag) => flag.startsWith('--chmod='))) return false;
  // Whether rules are for whom ACLs name by number, too, depends on how rsync walks.
  const byNumber = flags.has('-A') && flags.has('--numeric-ids');
  if (byNumber && some((flag) => /^--(usermap|groupmap|chown)=/.test(flag))) return false;
  // An existing file whose attributes are set keeps its mode here without -p, and gets the source's from rsync.
  if (flags.has('-X') && !flags.has('-A') && (flags.has('--no-perms') || !/[ap]/.test(base))) return false;
  const keepsOld = some((flag) => flag === '-b' || flag.startsWith('--backup-dir'));
  // Which name of a hard link stays, and which gives way to it with a backup, may be another.
  if (flags.has('-H') && keepsOld) return false;
  // A backup that is a copy has of attributes what the run carries, with rsync, and all that the file had here.
  const inPlace = flags.has('--inplace') || some((flag) => flag.startsWith('--append'));
  if (inPlace && keepsOld && !(carriesAll(base, flags) && flags.has('-A') && flags.has('-X'))) return false;
  // To --append a file of another state, or a similar one, is long enough in rsync, and none is made.
  if (some((flag) => flag.startsWith('--append')) && some((flag) => /=\.\.\/base$|^-y/.test(flag))) return false;
  // Where owners or modes are not carried rsync stores some number for them.
  if (flags.has('--fake-super') && !carriesAll(base, flags)) return false;
  // A symlink that rsync links to another state it leaves in the source, and what another state has as well it removes.
  if (flags.has('--remove-source-files') && some((flag) => /^--(?:link|compare)-dest=/.test(flag))) return false;
  // There rsync may wait for itself without an end.
  if (flags.has('-H') && flags.has('--compare-dest=../base')) return false;
  // A new file of which a base has another version gets the mode of that without -p in rsync, and the source's here.
  if (some((flag) => flag.endsWith('=../base')) && (flags.has('--no-perms') || !/[ap]/.test(base))) return false;
  // Of the names of a hard link another one may come first than in rsync, which shows in what is not carried.
  if (flags.has('-H') && !carriesAll(base, flags)) return false;
  // Directories beside the destination are found from there.
  if (flags.has('--mkpath') && some((flag) => flag.includes('../'))) return false;
  const deletes = some((flag) => flag.startsWith('--del'));
  // rsync takes what is a second newer for as old with a window of -1.
  if (flags.has('-u') && flags.has('--modify-window=-1')) return false;
  // Modes of what belongs to somebody else are set here, and not by rsync when it may not change the owner.
  if (flags.has('--no-super') && some((flag) => flag.startsWith('--chown='))) return false;
  // Who is not root lets a file be written to before he removes it, with rsync, which shows in its other names.
  if (flags.has('--no-super') && deletes) return false;
  return true;
}

const SOURCES = [
  ['src/'],
  ['src/'],
  ['src/'],
  ['src'],
  ['src/', 'other/'],
  ['src/a', 'other'],
  ['src/b'],
  ['src/', 'src/missing'],
];

/** Draws a combination for root, or for somebody else. */
export function draw(random: Random, privileged: boolean): Case {
  for (;;) {
    const base = random.pick(['-a', '-a', '-a', '-rlt', '-rlpt', '-rtpgoD', '-rlptgoD']);
    const listed = random.oneIn(8);
    const relative = !listed && random.oneIn(6);
    const pool = CHOICES.filter(({ rootOnly }) => privileged || rootOnly !== true);
    const drawn = Array.from({ length: random.between(2, 5) }, () => random.pick(pool));
    const some = [...new Set(drawn)].map(({ flags }) => flags(random));
    const own = listed && random.oneIn(2) ? [random.pick(LIST_CHOICES).flags(random)] : [];
    const related = relative ? [['-R'], ...(random.oneIn(3) ? [['--no-implied-dirs']] : [])] : [];
    const options = [...some, ...own, ...related];
    if (!isSound(options, base)) continue;
    const sources = listed
      ? ['src/']
      : relative
        ? random.pick([['src/./a'], ['src/./b', 'src/./e f'], ['src/./'], ['src/./Z/'], ['src/./a/b']])
        : random.pick(SOURCES);
    return { base, options, sources, listed, starts: random.oneIn(5) ? 'empty' : 'changed' };
  }
}
