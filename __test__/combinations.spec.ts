// Options as people combine them: random trees with everything, random options, and what rsync makes of both.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, lutimesSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';

import type { ExecutionContext } from 'ava';

import { judgedWhere } from './helpers/judge.js';
import { type Ended, start } from './helpers/process.js';
import { type Client, client, program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { type Riches, RichTree } from './helpers/rich-tree.js';
import { startServer, type TestServer } from './helpers/server.js';
import { hasSsh, startSshd } from './helpers/sshd.js';
import { isRoot, scaled } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { at, differences, type Entry, walk } from './helpers/walk.js';

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;

/** Flags that belong together. Those that follow symlinks have random trees of their own. */
interface Choice {
  readonly flags: (random: Random) => readonly string[];
  readonly rootOnly?: boolean;
}

const fixed = (...flags: readonly string[]): Choice => ({ flags: () => flags });
const asRoot = (...flags: readonly string[]): Choice => ({ flags: () => flags, rootOnly: true });
const oneOf = (...flags: readonly string[]): Choice => ({ flags: (random) => [random.pick(flags)] });

const RULES = ['- *.o', '+ a', '- /a', 'P b', 'H c.o', 'S *', 'R a', '- a/', '- b/**', '+ */', '- *', '!', '-! */']
  .concat(['-s core', '-r a', 'P .keep', '- /src', '+ /src/***', '- [a-b]', '- ?', 'H .*', '- *tmp'])
  .concat([': .rules', ':n .rules', ':e .rules', ':C', '-C']);

const MODES = ['D755,F644', 'u=rwX,go=rX', 'go-w', 'a+x', 'F600', 'g=u', 'D750'];

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
  fixed('-H'),
  fixed('-A'),
  fixed('-X'),
  fixed('-E', '--no-perms'),
  fixed('-O'),
  fixed('-J'),
  { flags: (random) => [`--chmod=${random.pick(MODES)}`] },
  asRoot('--numeric-ids'),
  {
    flags: (random) => [random.pick(['--usermap=*:1000', '--usermap=0:4321,1000-5000:0', '--usermap=:7'])],
    rootOnly: true,
  },
  {
    flags: (random) => [random.pick(['--groupmap=*:1000', '--groupmap=0:4321', '--groupmap=4000-5000:nogroup'])],
    rootOnly: true,
  },
  asRoot('--chown=1000:4321'),
  asRoot('--no-super'),
  fixed('-u'),
  fixed('-c'),
  fixed('-I'),
  fixed('--size-only'),
  oneOf('--modify-window=1', '--modify-window=86400', '--modify-window=-1'),
  oneOf('--existing', '--ignore-existing'),
  oneOf('--min-size=1', '--min-size=100', '--min-size=5K'),
  oneOf('--max-size=0', '--max-size=99', '--max-size=5000', '--max-size=1K'),
  fixed('-d', '--no-r'),
  fixed('--delete'),
  fixed('--delete-excluded'),
  oneOf('--delete-before', '--delete-after', '--delete-delay'),
  oneOf('--delay-updates', '--inplace', '--fsync', '--partial-dir=.part', '--ignore-missing-args'),
  oneOf('--exclude=*.o', '--exclude=/a', '--exclude=a/', '--include=b', '--exclude=*'),
  { flags: (random) => Array.from({ length: random.between(1, 4) }, () => `--filter=${random.pick(RULES)}`) },
  { flags: (random) => Array.from({ length: random.between(1, 4) }, () => `--filter=${random.pick(RULES)}`) },
  oneOf('-F', '-FF'),
  fixed('-C'),
  fixed('-m'),
  fixed('--safe-links'),
  { flags: (random) => random.pick([['-b'], ['-b', '--suffix=.was'], ['--backup-dir=../backups']]) },
  oneOf('--compare-dest=../base', '--copy-dest=../base', '--link-dest=../base'),
  oneOf('-y', '-yy', '-W', '--no-whole-file'),
  oneOf('-S', '--preallocate'),
  { flags: (random) => random.pick([['-z'], ['--zc=lz4'], ['-z', '--zl=1'], ['-z', '--skip-compress=o/[a-c]']]) },
];

const LIST_CHOICES: readonly Choice[] = [fixed('-r'), fixed('--no-R'), fixed('--no-implied-dirs')];

/** A run: its options, each with its flags, its sources below the folder of the case, and what its list names. */
interface Case {
  readonly base: string;
  readonly options: ReadonlyArray<readonly string[]>;
  readonly sources: readonly string[];
  readonly list: readonly string[] | undefined;
  readonly starts: 'changed' | 'empty';
}

const carriesAll = (base: string, flags: ReadonlySet<string>): boolean =>
  (base === '-a' || base === '-rlptgoD') &&
  !['--no-perms', '--no-times', '--no-owner', '--no-group', '--no-super'].some((flag) => flags.has(flag));

/** Options that rsync or this side refuses together. */
function isSound(options: ReadonlyArray<readonly string[]>, base: string, list: boolean): boolean {
  const flags = new Set([base, ...options.flat()]);
  const some = (test: (flag: string) => boolean): boolean => [...flags].some(test);
  if (flags.has('-A') && flags.has('--no-perms')) return false;
  // rsync may take from the owning group what an ACL gives it when modes are changed.
  if (flags.has('-A') && some((flag) => flag.startsWith('--chmod='))) return false;
  // Whether rules are for whom ACLs name by number, too, depends on how rsync walks.
  const byNumber = flags.has('-A') && flags.has('--numeric-ids');
  if (byNumber && some((flag) => /^--(usermap|groupmap|chown)=/.test(flag))) return false;
  // Directories on the way to a listed path are made here, and not by rsync, when rules leave them out.
  if (list && some((flag) => /^--(filter|exclude|include|delete-excluded)|^-F|^-C/.test(flag))) return false;
  // An existing file whose attributes are set keeps its mode here without -p, and gets the source's from rsync.
  if (flags.has('-X') && !flags.has('-A') && (flags.has('--no-perms') || !/[ap]/.test(base))) return false;
  const keepsOld = some((flag) => flag === '-b' || flag.startsWith('--backup-dir'));
  // Which name of a hard link stays, and which gives way to it with a backup, may be another.
  if (flags.has('-H') && keepsOld) return false;
  // A backup that is a copy has of attributes what the run carries, with rsync, and all that the file had here.
  if (flags.has('--inplace') && keepsOld && !(carriesAll(base, flags) && flags.has('-A') && flags.has('-X')))
    return false;
  // There rsync may wait for itself without an end.
  if (flags.has('-H') && flags.has('--compare-dest=../base')) return false;
  // A new file of which a base has another version gets the mode of that without -p in rsync, and the source's here.
  if (some((flag) => flag.endsWith('=../base')) && (flags.has('--no-perms') || !/[ap]/.test(base))) return false;
  // Of the names of a hard link another one may come first than in rsync, which shows in what is not carried.
  if (flags.has('-H') && !carriesAll(base, flags)) return false;
  const deletes = some((flag) => flag.startsWith('--delete'));
  // rsync takes what is a second newer for as old with a window of -1.
  if (flags.has('-u') && flags.has('--modify-window=-1')) return false;
  // Modes of what belongs to somebody else are set here, and not by rsync when it may not change the owner.
  if (flags.has('--no-super') && flags.has('--chown=1000:4321')) return false;
  // Who is not root lets a file be written to before he removes it, with rsync, which shows in its other names.
  if (flags.has('--no-super') && deletes) return false;
  return !(deletes && list);
}

function draw(random: Random, privileged: boolean): Case {
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
    if (!isSound(options, base, listed)) continue;
    const sources = listed
      ? ['src/']
      : relative
        ? random.pick([['src/./a'], ['src/./b', 'src/./e f'], ['src/./'], ['src/./Z/'], ['src/./a/b']])
        : random.pick([['src/'], ['src/'], ['src/'], ['src'], ['src/', 'other/'], ['src/a', 'other'], ['src/b']]);
    const list = listed ? [] : undefined;
    return { base, options, sources, list, starts: random.oneIn(5) ? 'empty' : 'changed' };
  }
}

/** Who runs all programs of a case. */
interface Actor {
  readonly words: readonly string[];
  readonly user: Client;
  readonly server: TestServer;
  readonly served: string;
  readonly privileged: boolean;
  readonly seed: string;
  /** The command that leads to this machine by a real sshd, whose paths are those of the machine; without it a server is asked. */
  readonly rsh?: string;
}

function ranBy(actor: Actor, cwd: string, words: readonly string[]): { status: number | null; stderr: string } {
  const [first = '', ...rest] = [...actor.words, ...words];
  const { status, stderr } = spawnSync(first, rest, { cwd, encoding: 'latin1' });
  return { status, stderr };
}

/** What rsync would still change, but for times that no run has set. */
function differs(theirs: string, ours: string, since: number): string {
  const isNew = (root: string, path: string): boolean =>
    (lstatSync(at(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0) >= since;
  const plain = (name: string): string =>
    name.replace(/\\#(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
  const isUnset = (line: string): boolean => {
    const path = /^[.h][dfLDS]\.\.t\.+ (.*?)( -> .*)?$/.exec(line)?.[1];
    return path !== undefined && isNew(theirs, plain(path)) && isNew(ours, plain(path));
  };
  // Symlinks that lead in a circle are told by rsync, and compared all the same.
  const judged = ['-aHAXinc', '--delete', `${theirs}/`, `${ours}/`];
  const { status, stdout, stderr } = spawnSync('rsync', judged, {
    encoding: 'latin1',
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (status !== 0 && status !== 23) throw new Error(stderr);
  const lines = stdout.split('\n');
  return lines.filter((line) => !isUnset(line)).join('\n');
}

/** Whether something stands there that is no directory, a symlink to one among them. */
const isOther = (path: string | Buffer): boolean => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === false;

/** Whether a symlink stands on the way to a path, before its last name. */
function leadsThroughSymlink(root: string, path: string): boolean {
  const names = path.split('/').slice(0, -1);
  return names.some((_, index) => {
    const stats = lstatSync([root, ...names.slice(0, index + 1)].join('/'), { throwIfNoEntry: false });
    return stats?.isSymbolicLink() === true;
  });
}

const isDirectory = (path: string): boolean => existsSync(path) && lstatSync(path).isDirectory();

/** Which names are one entry. */
function linked(root: string): string[] {
  const groups = new Map<bigint, string[]>();
  for (const [path, { ino, kind }] of walk(root)) {
    if (kind !== 'directory') groups.set(ino, [...(groups.get(ino) ?? []), path]);
  }
  return [...groups.values()]
    .filter(({ length }) => length > 1)
    .map((paths) => paths.toSorted().join(' = '))
    .toSorted();
}

/** What a run has put aside, by its content. */
function backups(root: string): string[] {
  const kept = walk(`${root}.backups`, { content: true });
  return [...kept].map(([path, { kind, hash }]) => `${path} ${kind} ${hash ?? ''}`).toSorted();
}

interface Tally {
  run: number;
  /** In which each of two options or more changes what comes of it. */
  counted: number;
}

class Trial {
  readonly #t: ExecutionContext;
  readonly #actor: Actor;
  readonly #work: string;
  readonly #random: Random;
  readonly #label: string;
  readonly #case: Case;
  readonly #list: readonly string[];

  constructor(t: ExecutionContext, actor: Actor, number: number) {
    this.#t = t;
    this.#actor = actor;
    this.#random = new Random(`${t.title} ${number}`, actor.seed);
    this.#work = dir(actor.served, String(number));
    this.#case = draw(this.#random, actor.privileged);
    this.#list = this.#grow();
    const { base, options, sources } = this.#case;
    this.#label = `${number}: ${base} ${options.flat().join(' ')} ${sources.join(' ')} ${JSON.stringify(this.#list)}`;
  }

  #grow(): readonly string[] {
    const random = this.#random;
    const { privileged, served } = this.#actor;
    const flags = new Set(this.#case.options.flat());
    const maps = [...flags].some((flag) => /^--(usermap|groupmap|chown|no-super)/.test(flag));
    const carriesModes = flags.has('-A') || (/[ap]/.test(this.#case.base) && !flags.has('--no-perms'));
    const riches: Riches = {
      owned: privileged,
      // Here a set-id bit is dropped under another owner than the source's.
      setId: !maps && privileged && carriesAll(this.#case.base, flags),
      links: true,
      // Without -p rsync gives an entry the mode of what it replaces.
      leadsUp: true,
      replaced: carriesModes,
      // Who may execute what a default ACL lets fewer read, rsync asks of the file before it has it.
      acls: (!flags.has('-H') || flags.has('-A')) && !flags.has('-E'),
      xattrs: !flags.has('-H') || flags.has('-X'),
      socket: `${served}/socket`,
    };
    for (const name of ['src', 'other']) new RichTree(`${this.#work}/${name}`, random, riches).grow();
    this.#plant('src');
    mkdirSync(`${this.#work}/start`);
    // Which of several names is the first that is there already, rsync decides otherwise.
    const changed = { ...riches, links: !flags.has('-H') };
    const hasBase = [...flags].some((flag) => flag.endsWith('=../base'));
    for (const name of [...(this.#case.starts === 'changed' ? ['start'] : []), ...(hasBase ? ['base'] : [])]) {
      const relative = flags.has('-R') ? ['-R'] : [];
      spawnSync('rsync', ['-aHAX', ...relative, ...this.#case.sources, `${name}/`], { cwd: this.#work });
      new RichTree(`${this.#work}/${name}`, random, changed).change();
      this.#plant(name);
    }
    lutimesSync(`${this.#work}/start`, 1_200_000_000, 1_200_000_000);
    if (!privileged) execFileSync('chown', ['-R', '-h', '65534:65534', this.#work]);
    if (this.#case.list === undefined) return [];
    const paths = [...walk(`${this.#work}/src`).keys()].filter((path) => path !== '');
    const listed = Array.from({ length: random.between(1, 6) }, () => random.pick(paths.length > 0 ? paths : ['a']));
    if (random.oneIn(4)) listed.push('missing/one');
    writeFileSync(`${this.#work}/list`, Buffer.from(listed.map((path) => `${path}\0`).join(''), 'latin1'));
    return listed;
  }

  /** Files of rules, of the same time everywhere. */
  #plant(root: string): void {
    const random = this.#random;
    for (const [path, { kind }] of walk(`${this.#work}/${root}`)) {
      if (kind !== 'directory' || !random.oneIn(3)) continue;
      const folder = Buffer.concat([Buffer.from(`${this.#work}/${root}/`), Buffer.from(path, 'latin1')]);
      const name = random.pick(['.rules', '.rsync-filter', '.cvsignore']);
      const rules = name === '.cvsignore' ? ['*.o', 'b'] : ['- a', '- *.o', '+ b', '- b/', 'P Z', 'H -x'];
      const { atimeMs, mtimeMs } = lstatSync(folder);
      const file = Buffer.concat([folder, Buffer.from(`/${name}`)]);
      writeFileSync(file, `${random.pick(rules)}\n${random.pick(rules)}\n`);
      lutimesSync(file, 1_600_000_000, 1_600_000_000);
      lutimesSync(folder, atimeMs / 1000, mtimeMs / 1000);
    }
  }

  /** A destination as it was before the run. */
  #fresh(name: string): string {
    execFileSync('cp', ['-a', `${this.#work}/start`, `${this.#work}/${name}`]);
    return `${this.#work}/${name}`;
  }

  #flags(without?: number): string[] {
    const { base, options, list } = this.#case;
    const listed = list === undefined ? [] : [`--files-from=${this.#work}/list`, '-0'];
    return [base, ...options.filter((_, index) => index !== without).flat(), ...listed];
  }

  #byRsync(name: string, without?: number): { root: string; code: number | null; stderr: string } {
    const root = this.#fresh(name);
    const { sources } = this.#case;
    // Of several sources it applies the files of rules of one to others otherwise, where it lists as it goes.
    const whole = sources.length > 1 ? ['--no-inc-recursive'] : [];
    const words = ['rsync', ...whole, ...this.#flags(without), ...sources, `${name}/`];
    const { status, stderr } = ranBy(this.#actor, this.#work, words);
    this.#keepBackups(root);
    return { root, code: status, stderr };
  }

  /** Puts aside what a run has backed up, for the next one has the same place for it. */
  #keepBackups(root: string): void {
    mkdirSync(`${this.#work}/backups`, { recursive: true });
    renameSync(`${this.#work}/backups`, `${root}.backups`);
  }

  async run(tally: Tally): Promise<void> {
    const since = Date.now() - 1000;
    const judge = this.#byRsync('theirs');
    // What rsync refuses is no case, nor is one in which its own bookkeeping fails (13).
    if ([1, 2, 4, 13].includes(judge.code ?? 0)) return;
    const { sources } = this.#case;
    if (this.#isTold(judge.stderr) || this.#isLeftOut(judge.root)) return;
    const { rsh, server } = this.#actor;
    const there = (path: string): string =>
      rsh === undefined ? server.url('root', `${this.#number()}/${path}`) : `box:${this.#work}/${path}`;
    const by = rsh === undefined ? [] : ['-e', rsh];
    const ways = [
      ...(rsh === undefined ? [{ name: 'local', words: [...sources, 'local/'] }] : []),
      { name: 'pushed', words: [...by, ...sources, there('pushed/')] },
      { name: 'pulled', words: [...by, ...sources.map(there), 'pulled/'] },
    ];
    for (const { name, words } of ways) {
      // On a server what is no directory in the place of a source that has its name is refused.
      if (name === 'pushed' && sources.some((source) => isOther(`${this.#work}/start/${basename(source)}`))) continue;
      // Nor is a file with further names written over there.
      if (name === 'pushed' && this.#flags().includes('--inplace')) continue;
      // Nor does a path of a server lead through a symlink, where rsync says that nothing is there.
      if (name === 'pulled' && rsh === undefined && sources.some((source) => leadsThroughSymlink(this.#work, source)))
        continue;
      const ours = this.#fresh(name);
      const ended = await this.#product(words);
      this.#keepBackups(ours);
      const label = `${this.#label}, ${name}, ${this.#work}`;
      this.#t.is(ended.code, judge.code, `${label}: ${ended.stderr}\nrsync: ${judge.stderr}`);
      this.#t.is(differs(judge.root, ours, since), '', `${label}: ${ended.stderr}\nrsync: ${judge.stderr}`);
      const found = differences(walk(judge.root, { content: true }), walk(ours, { content: true }), { times: false });
      this.#t.deepEqual(found, [], label);
      this.#t.deepEqual(backups(ours), backups(judge.root), label);
      this.#t.deepEqual(linked(ours), linked(judge.root), label);
    }
    tally.run += 1;
    const matter = this.#case.options.filter((_, index) => {
      const less = this.#byRsync(`without${index}`, index);
      return less.code !== judge.code || differs(judge.root, less.root, since) !== '';
    });
    if (matter.length >= 2) tally.counted += 1;
    execFileSync('rm', ['-rf', '--', this.#work]);
  }

  /** Whether a source below a directory on the way did not come: rsync has that directory for what comes, and it is there for what is named here. */
  #isLeftOut(theirs: string): boolean {
    return this.#case.sources.some((source) => {
      const [, below = ''] = source.split('/./');
      return /[^/]\/[^/]/.test(below) && !existsSync(`${theirs}/${below}`);
    });
  }

  /** Whether the destination has something else in the place of a directory that leads to a source. */
  #standsOnTheWay(): boolean {
    return this.#case.sources.some((source) => {
      const names = source
        .replace(/^.*\/\.\//, '')
        .split('/')
        .filter((name) => name !== '');
      return names.some((_, index) => index > 0 && isOther(`${this.#work}/start/${names.slice(0, index).join('/')}`));
    });
  }

  /** Whether it is a case of what docs/rsync.md tells to differ. */
  #isTold(stderr: string): boolean {
    const flags = this.#flags();
    const has = (...some: readonly string[]): boolean =>
      flags.some((flag) => some.some((each) => flag.startsWith(each)));
    const at = (path: string): string => `${this.#work}/${path}`;
    const { sources } = this.#case;
    // A base beside a destination that has something: what is right there is left alone here.
    if (has('--compare-dest', '--link-dest') && this.#case.starts === 'changed') return true;
    // Attributes of one entry are set by several names in turn: here as they were listed, there as each name finds it.
    if (!has('-H') && this.#sharesAttributes()) return true;
    // Without -p rsync gives an entry the mode of what it takes the place of.
    const carriesModes = has('-A') || (/[ap]/.test(this.#case.base) && !has('--no-perms'));
    if (!carriesModes && this.#pairs().some(([old, source]) => source !== undefined && source.kind !== old.kind)) {
      return true;
    }
    // What stands in the place of a directory gets the directory's time there, and what is below fails.
    if (has('--ignore-existing') && this.#standsForDirectory()) return true;
    // What stands in the place of a directory on the way gives way here, and fails with rsync.
    const isBelow = /Not a directory|No such file or directory/.test(stderr);
    if (has('--no-implied-dirs') && (isBelow || this.#standsOnTheWay())) return true;
    // Files of rules below a symlink of a stranger that an operand leads through are read here.
    const distrusts = stderr.includes('refusing to follow a symlink');
    if (distrusts && sources.some((source) => leadsThroughSymlink(this.#work, source))) return true;
    // What is below something else than a directory is not there, to rsync that is a failure of its own.
    if (isBelow && has('--ignore-missing-args')) return true;
    // Of several sources, what a file of rules says is of its own tree.
    if (sources.length > 1 && has('-C', '-F', '--filter=:', '--filter=-C')) return true;
    // A directory that cannot give way stays as it is.
    if (has('--delete') && stderr.includes('could not make way')) return true;
    // Nothing is deleted here when a source is missing.
    if (has('--delete') && sources.some((source) => !existsSync(at(source)))) return true;
    // A directory that is named twice is there twice for rsync, and not empty.
    if (has('-m') && new Set(this.#list).size < this.#list.length) return true;
    // A slash says that it is a directory.
    return sources.some(
      (source) => source.endsWith('/') && isOther(at(source.slice(0, -1))) && !isDirectory(at(source)),
    );
  }

  /** The entries of the destination as it was, each with that of a source. */
  #pairs(): (readonly [Entry, Entry | undefined])[] {
    const sources = ['src', 'other'].map((name) => walk(`${this.#work}/${name}`));
    const sourceOf = (path: string): Entry | undefined => {
      // What a list names arrives under its last name, without -R.
      const listed = this.#list.filter((each) => path === basename(each) || path.startsWith(`${basename(each)}/`));
      const names = [path, path.slice(path.indexOf('/') + 1), ...listed.map((each) => `${dirname(each)}/${path}`)];
      return sources.flatMap((source) => names.flatMap((name) => source.get(name) ?? []))[0];
    };
    return [...walk(`${this.#work}/start`)].map(([path, entry]) => [entry, sourceOf(path)]);
  }

  /** Whether names of one entry of the destination are entries of other attributes in a source. */
  #sharesAttributes(): boolean {
    const groups = new Map<bigint, Set<string>>();
    for (const [{ ino, kind }, source] of this.#pairs()) {
      const attributes = source && `${source.mtimeNs} ${source.mode} ${source.uid} ${source.gid}`;
      if (kind !== 'directory') groups.set(ino, (groups.get(ino) ?? new Set()).add(attributes ?? ''));
    }
    return [...groups.values()].some((all) => all.size > 1);
  }

  /** Whether something else stands at the destination where the sources have a directory. */
  #standsForDirectory(): boolean {
    const whole = `${this.#work}/whole`;
    const relative = this.#flags().includes('-R') ? ['-R'] : [];
    spawnSync('rsync', ['-r', ...relative, ...this.#case.sources, 'whole/'], { cwd: this.#work });
    const all = existsSync(whole) ? [...walk(whole)] : [];
    return all.some(([path, { kind }]) => kind === 'directory' && isOther(at(`${this.#work}/start`, path)));
  }

  #number(): string {
    return this.#work.slice(this.#actor.served.length + 1);
  }

  async #product(words: readonly string[]): Promise<Ended> {
    const [first = '', ...rest] = [...this.#actor.words, process.execPath, program, ...this.#flags(), ...words];
    const env = { ...this.#actor.user.env, SPARSYNC_GUARDS: 'off' };
    return start(this.#t, first, rest, { env, cwd: this.#work }).ended;
  }
}

async function actor(t: ExecutionContext, words: readonly string[]): Promise<Actor> {
  const work = workDir(t);
  for (const path of [work, dirname(work)]) chmodSync(path, 0o755);
  const served = dir(work, 'served');
  const bind = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', bind, `${served}/socket`]);
  const user = client(work);
  for (const name of ['server.config', 'server.state', 'client.state']) dir(work, name);
  if (words.length > 0) execFileSync('chown', ['-R', '65534:65534', work]);
  const rights = 'read,write,delete,owner,special,xattrs,acls';
  const roots = { root: served };
  const server = await startServer(t, { home: work, roots, clients: [user], rights, under: words });
  if (words.length > 0) execFileSync('chown', ['-R', '65534:65534', user.configDir]);
  return { words, user, server, served, privileged: words.length === 0, seed };
}

async function trials(t: ExecutionContext, who: Actor): Promise<void> {
  t.log(`seed ${who.seed}`);
  const tally: Tally = { run: 0, counted: 0 };
  const wanted = scaled(4, 300);
  for (let number = 0; tally.counted < wanted; number += 1) await new Trial(t, who, number).run(tally);
  t.log(`${tally.run} combinations, in ${tally.counted} of which two options or more change what comes of them`);
}

const canJudge = isRoot && has('setfattr') && has('setfacl');
const asUser = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

judgedWhere(canJudge)(
  'random combinations of options make of random trees what rsync makes of them, as root',
  async (t) => {
    t.timeout(3_600_000);
    await trials(t, await actor(t, []));
  },
);

judgedWhere(canJudge && spawnSync('setpriv', [...asUser.slice(1), 'true']).status === 0)(
  'random combinations of options make of random trees what rsync makes of them, as a plain user',
  async (t) => {
    t.timeout(3_600_000);
    await trials(t, await actor(t, asUser));
  },
);

judgedWhere(canJudge && hasSsh)(
  'random combinations of options make of random trees what rsync makes of them, through a real sshd',
  async (t) => {
    t.timeout(3_600_000);
    const { rsh } = await startSshd(t, workDir(t));
    await trials(t, { ...(await actor(t, [])), rsh });
  },
);
