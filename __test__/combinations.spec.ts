// Options as people combine them: random trees with everything, random options, and what rsync makes of both.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, lstatSync, lutimesSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { inspect } from 'node:util';

import type { ExecutionContext } from 'ava';

import {
  carriesAll,
  type Case,
  draw,
  FILES,
  IDLE,
  IDLE_FOR_USERS,
  optionName,
  optionNames,
} from './helpers/combination.js';
import { judgedWhere } from './helpers/judge.js';
import { comparable } from './helpers/output-corpus.js';
import { type Ended, start } from './helpers/process.js';
import { type Client, client, program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { type Riches, RichTree } from './helpers/rich-tree.js';
import { startServer, type TestServer } from './helpers/server.js';
import { hasSsh, startSshd } from './helpers/sshd.js';
import { isRoot, long, scaled } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import {
  isDirectory,
  isOther,
  leadsThroughSymlink,
  type Outcome,
  ToldDifferences,
} from './helpers/told-differences.js';
import { at, differences, walk } from './helpers/walk.js';

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;

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

/** With these a symlink that leads up has no end. */
const FOLLOWING: readonly string[] = ['-L', '-k', '--copy-unsafe-links'];

/** Some trees make rsync wait for itself, with -H. */
const RSYNC_HANGS_MS = 30_000;

/** How many combinations are drawn at the most, until each option has mattered. */
const DRAWN_MAX = 20_000;

const LOCALE = { LC_ALL: 'C.UTF-8', TZ: 'UTC' };

/** What rsync would still change, but for times that no run has set. */
function differs(
  theirs: string,
  ours: string,
  { since, stored, told }: { since: number; stored: boolean; told: ToldDifferences },
): string[] {
  const isNew = (root: string, path: string): boolean =>
    (lstatSync(at(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0) >= since;
  const plain = (name: string): string =>
    name.replace(/\\#(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
  const isUnset = (line: string): boolean => {
    const path = /^[.h][dfLDS]\.\.t\.+ (.*?)( -> .*)?$/.exec(line)?.[1];
    return path !== undefined && isNew(theirs, plain(path)) && isNew(ours, plain(path));
  };
  // Symlinks that lead in a circle are told by rsync, and compared all the same.
  // Of what --fake-super stores rsync sees nothing at the one end, without a second X.
  const judged = [stored ? '-aHAXXinc' : '-aHAXinc', '--delete', `${theirs}/`, `${ours}/`];
  const { status, stdout, stderr } = spawnSync('rsync', judged, {
    encoding: 'latin1',
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (status !== 0 && status !== 23) throw new Error(stderr);
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.flatMap((line) => told.judged(line) ?? []).filter((line) => !isUnset(line));
}

interface Tally {
  /** Runs of ours, by their way. */
  readonly runs: Map<string, number>;
  /** Cases that are left out, by what is told of them. */
  readonly told: Map<string, number>;
  /** In how many combinations that were compared each option has changed what came of them. */
  readonly matters: Map<string, number>;
  /** Combinations in which each of two options or more changes what comes of them. */
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
  readonly #told: ToldDifferences;
  readonly #since = Date.now() - 1000;

  constructor(t: ExecutionContext, actor: Actor, number: number) {
    this.#t = t;
    this.#actor = actor;
    this.#random = new Random(`${t.title} ${number}`, actor.seed);
    this.#work = dir(actor.served, String(number));
    this.#case = draw(this.#random, actor.privileged);
    this.#list = this.#grow();
    const { base, options, sources, starts } = this.#case;
    const { flags, list } = { flags: this.#flags(), list: this.#list };
    this.#told = new ToldDifferences({ work: this.#work, base, flags, sources, list, starts });
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
      // What stands for a symlink has another mode here.
      symlinks: !flags.has('--fake-super'),
      // Without -p rsync gives an entry the mode of what it replaces.
      leadsUp: ![...flags].some((flag) => FOLLOWING.includes(flag)),
      replaced: carriesModes,
      // Who may execute what a default ACL lets fewer read, rsync asks of the file before it has it.
      acls: (!flags.has('-H') || flags.has('-A')) && !flags.has('-E'),
      xattrs: !flags.has('-H') || flags.has('-X'),
      socket: `${served}/socket`,
    };
    for (const name of ['src', 'other']) new RichTree(`${this.#work}/${name}`, random, riches).grow();
    this.#plant('src');
    if (flags.has('--copy-unsafe-links')) this.#leadOut();
    mkdirSync(`${this.#work}/start`);
    // Which of several names is the first that is there already, rsync decides otherwise.
    const changed = { ...riches, links: !flags.has('-H') };
    const bases = ['base', 'older'].filter((name) => [...flags].some((flag) => flag.endsWith(`=../${name}`)));
    for (const name of [...(this.#case.starts === 'changed' ? ['start'] : []), ...bases]) {
      const relative = flags.has('-R') ? ['-R'] : [];
      const fake = flags.has('--fake-super') ? ['--fake-super'] : [];
      spawnSync('rsync', ['-aHAX', ...fake, ...relative, ...this.#case.sources, `${name}/`], { cwd: this.#work });
      new RichTree(`${this.#work}/${name}`, random, changed).change();
      this.#plant(name);
    }
    // What stands aside is in no source, so that a run which deletes takes it away under the symlinks.
    const deletes = [...flags].some((flag) => flag.startsWith('--del'));
    if (flags.has('-K') && !deletes && this.#case.sources.length === 1) this.#leadAside();
    lutimesSync(`${this.#work}/start`, 1_200_000_000, 1_200_000_000);
    for (const [name, text] of Object.entries(FILES)) writeFileSync(`${this.#work}/${name}`, text);
    if (this.#removes) {
      mkdirSync(`${this.#work}/kept`);
      execFileSync('cp', ['-a', 'src', 'other', 'kept/'], { cwd: this.#work });
    }
    if (!privileged) execFileSync('chown', ['-R', '-h', '65534:65534', this.#work]);
    if (!this.#case.listed) return [];
    const paths = [...walk(`${this.#work}/src`).keys()].filter((path) => path !== '');
    const listed = Array.from({ length: random.between(1, 6) }, () => random.pick(paths.length > 0 ? paths : ['a']));
    if (random.oneIn(4)) listed.push('missing/one');
    writeFileSync(`${this.#work}/list`, Buffer.from(listed.map((path) => `${path}\0`).join(''), 'latin1'));
    return listed;
  }

  get #removes(): boolean {
    return this.#case.options.flat().includes('--remove-source-files');
  }

  /** Files of rules, of the same time everywhere. */
  #plant(root: string): void {
    const random = this.#random;
    for (const path of this.#directories(root)) {
      if (!random.oneIn(3)) continue;
      const folder = Buffer.concat([Buffer.from(`${this.#work}/${root}/`), Buffer.from(path, 'latin1')]);
      const name = random.pick(['.rules', '.rsync-filter', '.cvsignore']);
      const rules = name === '.cvsignore' ? ['*.o', 'b'] : ['- a', '- *.o', '+ b', '- b/', 'P Z', 'H -x'];
      const { atime, mtime } = lstatSync(folder);
      const file = Buffer.concat([folder, Buffer.from(`/${name}`)]);
      writeFileSync(file, `${random.pick(rules)}\n${random.pick(rules)}\n`);
      lutimesSync(file, 1_600_000_000, 1_600_000_000);
      lutimesSync(folder, atime, mtime);
    }
  }

  #directories(root: string): string[] {
    return [...walk(`${this.#work}/${root}`)].flatMap(([path, { kind }]) => (kind === 'directory' ? path : []));
  }

  /** Symlinks of the source lead out of it, to a file. */
  #leadOut(): void {
    for (const path of this.#directories('src')) {
      const target = relative(`/src/${path}`, '/names');
      if (this.#random.oneIn(2)) symlinkSync(target, at(`${this.#work}/src`, join(path, 'leads out')));
    }
  }

  /** Directories at the top of the destination are behind symlinks of their names, but for one that is a source. */
  #leadAside(): void {
    const others = this.#directories('start').filter((path) => path !== '' && !path.includes('/'));
    for (const path of others.filter((path) => !this.#case.sources.includes(path))) {
      renameSync(at(`${this.#work}/start`, path), at(`${this.#work}/start`, `${path} aside`));
      symlinkSync(Buffer.from(`${path} aside`, 'latin1'), at(`${this.#work}/start`, path));
    }
  }

  /** A destination as it was before the run. */
  #fresh(name: string): string {
    execFileSync('cp', ['-a', `${this.#work}/start`, `${this.#work}/${name}`]);
    return `${this.#work}/${name}`;
  }

  #flags(without?: number): string[] {
    const { base, options, listed } = this.#case;
    const list = listed ? [`--files-from=${this.#work}/list`, '-0'] : [];
    return [base, '-i', ...options.filter((_, index) => index !== without).flat(), ...list];
  }

  /** The flags of a run over a connection: what rsync has for an end of a run within one machine, or for both. */
  #flagsOf(name: string): string[] {
    const flags = this.#flags();
    if (name === 'local') return flags;
    const both = flags.includes('--fake-super') ? ['-M--fake-super'] : [];
    if (name === 'pushed') return [...flags, ...both];
    const turned = new Map([
      ['--munge-links', '-M--munge-links'],
      ['-M--munge-links', '--munge-links'],
    ]);
    return [...flags.map((flag) => turned.get(flag) ?? flag), ...both];
  }

  /** What a run gets for DEST: with --mkpath there is more to be made. */
  #destination(name: string): string {
    return this.#flags().includes('--mkpath') ? `${name}/new/deep/` : `${name}/`;
  }

  #byRsync(name: string, without?: number): Outcome {
    const root = this.#fresh(name);
    const { sources } = this.#case;
    // Of several sources it applies the files of rules of one to others otherwise, where it lists as it goes.
    const whole = sources.length > 1 ? ['--no-inc-recursive'] : [];
    const words = [...this.#flags(without), ...sources, this.#destination(name)];
    const [first = '', ...rest] = [...this.#actor.words, 'rsync', ...whole, ...words];
    const env = { ...process.env, ...LOCALE };
    const options = { cwd: this.#work, encoding: 'utf8', env, timeout: RSYNC_HANGS_MS, killSignal: 'SIGKILL' } as const;
    const { status, stdout, stderr } = spawnSync(first, rest, options);
    return this.#outcome(root, { code: status, stdout, stderr });
  }

  async #byProduct(name: string, words: readonly string[]): Promise<Outcome> {
    const root = this.#fresh(name);
    const [first = '', ...rest] = [...this.#actor.words, process.execPath, program, ...this.#flagsOf(name), ...words];
    const env = { ...this.#actor.user.env, ...LOCALE, SPARSYNC_GUARDS: 'off' };
    return this.#outcome(root, await start(this.#t, first, rest, { env, cwd: this.#work }).ended);
  }

  #outcome(root: string, { code, stdout, stderr }: Pick<Ended, 'code' | 'stdout' | 'stderr'>): Outcome {
    // What a run has backed up is put aside, for the next one has the same place for it.
    mkdirSync(`${this.#work}/backups`, { recursive: true });
    renameSync(`${this.#work}/backups`, `${root}.backups`);
    const lines = comparable(
      stdout
        .replaceAll(basename(root), 'DEST')
        .replaceAll(`${this.#work}/DEST`, 'DEST')
        .replaceAll(`${this.#number()}/DEST`, 'DEST'),
      [],
      this.#flags().join(' '),
    );
    // What a push sends has another sign.
    const signed = lines.map((line) => line.replace(/^</, '>'));
    const shown = signed.map((line) => this.#told.comparable(line)).filter((line) => !/^c[df]\.{9} /.test(line));
    return { root, code, shown, stderr, left: this.#removes ? this.#settle() : [] };
  }

  /** What a run has left of the sources, which are put back. */
  #settle(): string[] {
    const trees = ['src', 'other'];
    const left = trees.flatMap((name) => [...walk(`${this.#work}/${name}`).keys()].map((path) => `${name}/${path}`));
    execFileSync('rm', ['-rf', ...trees], { cwd: this.#work });
    execFileSync('cp', ['-a', ...trees.map((name) => `kept/${name}`), '.'], { cwd: this.#work });
    return left;
  }

  /** What differs between two outcomes, in words. */
  #compare(theirs: Outcome, ours: Outcome): string[] {
    const of = (what: string, their: readonly string[], our: readonly string[]): string[] => [
      ...their.filter((line) => !our.includes(line)).map((line) => `${what}: rsync ${line}`),
      ...our.filter((line) => !their.includes(line)).map((line) => `${what}: here ${line}`),
    ];
    const [their, our] = this.#told.masked(theirs, ours);
    const shown = of('shown', their, our);
    const ordered = their.join('\n') === our.join('\n');
    return [
      ...of('code', [String(this.#told.code(theirs))], [String(ours.code)]),
      ...differs(theirs.root, ours.root, {
        since: this.#since,
        stored: this.#flags().includes('--fake-super'),
        told: this.#told,
      }),
      ...differences(this.#told.tree(theirs.root), this.#told.tree(ours.root), { times: false }),
      ...of('backup', this.#told.backups(`${theirs.root}.backups`), this.#told.backups(`${ours.root}.backups`)),
      ...of('link', this.#told.linked(theirs.root), this.#told.linked(ours.root)),
      ...of('source', theirs.left, ours.left),
      ...shown,
      ...(shown.length === 0 && !ordered ? [`order: rsync\n${their.join('\n')}\nhere\n${our.join('\n')}`] : []),
    ];
  }

  async run(tally: Tally): Promise<string | undefined> {
    const judge = this.#byRsync('theirs');
    // What rsync refuses is no case, nor is one in which its own bookkeeping fails (13), or that it never ends.
    if (judge.code === null || [1, 2, 4, 13].includes(judge.code) || /cannot be used with/.test(judge.stderr))
      return undefined;
    const told = this.#told.told(judge);
    if (told !== undefined) {
      tally.told.set(told, (tally.told.get(told) ?? 0) + 1);
      return undefined;
    }
    const matter = this.#mattering(judge);
    if (matter.length < 2) return undefined;
    const differ: string[] = [];
    for (const { name, words } of this.#ways(judge)) {
      const ours = await this.#byProduct(name, words);
      const found = this.#compare(judge, ours);
      if (found.length > 0) differ.push(`${name}: ${ours.stderr}\nrsync: ${judge.stderr}\n${found.join('\n')}`);
      tally.runs.set(name, (tally.runs.get(name) ?? 0) + 1);
    }
    tally.counted += 1;
    for (const name of new Set(matter)) tally.matters.set(name, (tally.matters.get(name) ?? 0) + 1);
    return differ.length === 0 ? undefined : `${this.#label}\n${differ.join('\n')}`;
  }

  /** The options that each change what comes of the case; two of them, which are enough to count it, where not all are tallied. */
  #mattering(judge: Outcome): string[] {
    const matter: string[] = [];
    for (const [index, flags] of this.#case.options.entries()) {
      if (matter.length === 2 && !long) break;
      const without = this.#byRsync(`without${index}`, index);
      if (without.code !== null && this.#compare(judge, without).length > 0) matter.push(optionName(flags));
    }
    return matter;
  }

  #ways(judge: Outcome): { readonly name: string; readonly words: readonly string[] }[] {
    const { sources } = this.#case;
    const { rsh, server } = this.#actor;
    const there = (path: string): string =>
      rsh === undefined ? server.url('root', `${this.#number()}/${path}`) : `box:${this.#work}/${path}`;
    const by = rsh === undefined ? [] : ['-e', rsh];
    const ways = [
      { name: 'local', words: [...sources, this.#destination('local')] },
      { name: 'pushed', words: [...by, ...sources, there(this.#destination('pushed'))] },
      { name: 'pulled', words: [...by, ...sources.map(there), this.#destination('pulled')] },
    ];
    return ways.filter(({ name }) => {
      if (name === 'local') return rsh === undefined;
      if (name === 'pushed') {
        // On a server what is no directory in the place of a directory that has its name is refused.
        const refused = (source: string): boolean =>
          isDirectory(`${this.#work}/${source}`) && isOther(`${this.#work}/start/${basename(source)}`);
        if (sources.some((source) => !source.endsWith('/') && refused(source))) return false;
        // Nor is a file with further names written over there.
        const inPlace = this.#flags().some((flag) => flag === '--inplace' || flag.startsWith('--append'));
        return !(inPlace && this.#told.writesToLinked(judge));
      }
      // Nor does a path of a server lead through a symlink, where rsync says that nothing is there.
      return rsh !== undefined || !sources.some((source) => leadsThroughSymlink(this.#work, source));
    });
  }

  clear(): void {
    execFileSync('rm', ['-rf', '--', this.#work]);
  }

  #number(): string {
    return this.#work.slice(this.#actor.served.length + 1);
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

/** Runs combinations until as many as wanted count, and tells every one that differs. */
async function trials(t: ExecutionContext, who: Actor): Promise<void> {
  t.log(`seed ${who.seed}`);
  const tally: Tally = { runs: new Map(), told: new Map(), matters: new Map(), counted: 0 };
  const wanted = scaled(6, 300);
  const only = process.env['SPARSYNC_TEST_ONLY'];
  const differ: string[] = [];
  const names = [...optionNames(new Random('all options', who.seed), who.privileged)];
  const reasons = who.privileged ? IDLE : { ...IDLE, ...IDLE_FOR_USERS };
  const idle = (): string[] => names.filter((name) => !tally.matters.has(name) && reasons[name] === undefined);
  /** Whether a combination has an option that has changed nothing in any so far: when enough count, these alone are run. */
  const isNeeded = (at: number): boolean => {
    const missing = new Set(idle());
    const { options } = draw(new Random(`${t.title} ${at}`, who.seed), who.privileged);
    return options.some((flags) => missing.has(optionName(flags)));
  };
  const isDone = (at: number): boolean =>
    differ.length >= 20 || (tally.counted >= wanted && (!long || at >= DRAWN_MAX || idle().length === 0));
  let number = only === undefined ? 0 : Number(only);
  for (; !isDone(number); number += 1) {
    if (tally.counted >= wanted && !isNeeded(number)) continue;
    const trial = new Trial(t, who, number);
    // A case that cannot be judged is told with its number, and the others go on.
    const found = await trial.run(tally).catch((error: unknown) => `${number}: ${inspect(error)}`);
    if (found !== undefined) {
      differ.push(found);
      console.error(found);
    }
    if (only !== undefined) break;
    trial.clear();
  }
  const list = (counts: ReadonlyMap<string, number>): string[] =>
    [...counts].map(([name, count]) => `${count} ${name}`);
  t.log(`${number} drawn, ${tally.counted} in which two options or more change what comes of them`, list(tally.runs));
  t.log('left out, by what docs/rsync.md tells', list(tally.told));
  t.log('in how many of them each option has changed something', list(tally.matters).toSorted());
  t.deepEqual(differ, []);
  if (!long || only !== undefined) return;
  t.deepEqual(idle(), [], 'each option has mattered, or there is a reason why it does not');
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
