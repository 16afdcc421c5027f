// Command lines as backup tools, mirrors and deployments run them, unchanged but for the name of the command: rsync runs each on an
// equal tree, first, after changes, and again without any, and says what comes of it.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';

import type { ExecutionContext } from 'ava';

import { cli } from './helpers/cli.js';
import { judged, judgedWhere } from './helpers/judge.js';
import { comparable, figures } from './helpers/output-corpus.js';
import { start } from './helpers/process.js';
import { type Client, client } from './helpers/product.js';
import { isRoot } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { differences, walk } from './helpers/walk.js';

/** A command line: what follows the command's name, in each of the rounds 1 to 3. It runs beside `src`, and writes below `to`. */
type Line = (round: number) => string;

const always =
  (words: string): Line =>
  () =>
    words;

/** A snapshot beside the one before, as most tools take them. */
const series =
  (options: string, source: string, name: string): Line =>
  (round) =>
    `${options} ${round > 1 ? `--link-dest=../${name}.${round - 1} ` : ''}${source} to/${name}.${round}/`;

/** What decides about output, deletion and how files are put in place. */
const WRITING: Readonly<Record<string, Line>> = {
  rsnapshot: series('-a --delete --numeric-ids --relative --delete-excluded --exclude=cache/', 'src/./', 'daily'),
  Timeshift: series(
    '-aii --recursive --verbose --delete --force --stats --sparse --delete-excluded --log-file=to/rsync-log --exclude-from=exclude.list',
    'src/',
    'localhost',
  ),
  'rsync-time-backup': series(
    '-D --numeric-ids --links --hard-links --one-file-system --itemize-changes --times --recursive --perms --owner --group --stats --human-readable --log-file to/backup.log --exclude-from exclude.list --',
    'src/',
    '2024-05-06',
  ),
  dirvish: series('-vrltH --delete -pgo -D --numeric-ids -x --exclude-from=exclude.list --stats', 'src/', 'tree'),
  'Back In Time': series(
    '--recursive --times --devices --specials --hard-links --human-readable -s --links --perms --executability --group --owner --no-inc-recursive --delete --delete-excluded -v -i --out-format=BACKINTIME:_%i_%n%L --chmod=Du+wx --exclude=*.tmp --exclude=cache/ --include=/home/ --include=/home/** --exclude=*',
    'src/',
    'backup',
  ),
  'Ansible synchronize': always(
    '--delay-updates -F --compress --archive --delete-after --rsh=ssh --out-format=<<CHANGED>>%i_%n%L src/ to/tree',
  ),
  'a Debian mirror, first stage': always(
    '-prltvHSB8192 --safe-links --chmod=D755,F644 --timeout=120 --stats --no-human-readable --no-inc-recursive --include=*.diff/ --exclude=cache/ --exclude=*.tmp src/ to/tree/',
  ),
  'a Debian mirror, second stage': always(
    '-prltvHSB8192 --safe-links --chmod=D755,F644 --timeout=120 --stats --no-human-readable --no-inc-recursive --max-delete=40000 --delay-updates --delete --delete-delay --delete-excluded --exclude=cache/ src/ to/tree/',
  ),
  'an Arch mirror': always(
    '-rlptH --safe-links --delete-delay --delay-updates --timeout=600 --no-motd -h -v --exclude=*.links.tar.gz* src/ to/tree',
  ),
  'a deployment': always(
    '-az --delete --no-owner --no-group --exclude=.git --exclude-from=exclude.list -v src/ to/www/',
  ),
  'a backup with what it replaces': (round) =>
    `-avh --delete --backup --backup-dir=../old.${round} --exclude=cache src/ to/current/`,
  'a plain copy to a disk': always('-avP --partial --inplace --whole-file --stats src/ to/disk/'),
};

/** What decides about which paths, and about their attributes. */
const SELECTING: Readonly<Record<string, Line>> = {
  'a whole system': always(
    '-aHv --numeric-ids --delete --exclude=/proc/* --exclude=/home/*/cache/* --exclude=/lost+found src/ to/system/',
  ),
  'configuration alone': always('-avm --delete --include=*/ --include=*.conf --exclude=* src/ to/conf/'),
  'rules in the folders themselves': always('-avFF --delete --delete-excluded -f-_*.tmp src/ to/tree/'),
  'rules in a file': always('-ai --delete -f._rules src/ to/tree/'),
  'a list of paths': always('-avR --files-from=list --ignore-missing-args src/ to/listed/'),
  'sources of a version control system': always('-aCvu --delete --exclude=.git/ src/ to/sources/'),
  'a disk of another system': always(
    '-rltvu --modify-window=2 --no-perms --no-owner --no-group --omit-dir-times --size-only src/ to/fat/',
  ),
  'what is new and not too large': always('-avi --existing --max-size=50k --min-size=1 src/home/ src/etc to/tree/'),
  'symlinks as what they lead to': always('-rLtvi --copy-unsafe-links --exclude=dangling src/ to/flat/'),
  'several folders of one machine': always('-avR --delete src/./etc src/./home/user to/parts/'),
};

/** What takes root. */
const ATTRIBUTES: Readonly<Record<string, Line>> = {
  'a whole system with all attributes': always('-aAXHv --delete --exclude=/home/*/cache/* src/ to/system/'),
  'files of a web server': always('-rltvi --chown=33:33 --chmod=D2755,F644 --delete src/ to/www/'),
  'owners under other numbers': always('-aHi --usermap=1000:2000,*:0 --groupmap=1000-1999:3000 src/ to/tree/'),
  'attributes stored for a disk that has none': always(
    '-aHX --fake-super --numeric-ids -ii --exclude=link --exclude=other --exclude=dangling src/ to/stored/',
  ),
};

const NEW = 1_714_979_289;

/** The source, as it is before the first run. */
function makeTree(place: string): void {
  for (const name of ['', '/etc', '/etc/empty', '/home', '/home/user', '/home/user/cache', '/home/user/.git', '/proc'])
    mkdirSync(`${place}/src${name}`);
  const files: Readonly<Record<string, string | number>> = {
    'etc/a.conf': 'a = 1\n',
    'etc/fstab': 'none\n',
    'home/user/notes.txt': 'notes\n',
    'home/user/large': 80_000,
    'home/user/x.tmp': 't',
    'home/user/main.o': 'object',
    'home/user/cache/1': 'cached',
    'home/user/.git/HEAD': 'ref',
    'home/user/old name': 'to be renamed',
    'home/.rsync-filter': '- /user/large\nP kept\n',
    'proc/1': '1',
    'readme.conf': '',
  };
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(`${place}/src/${name}`, typeof content === 'number' ? Buffer.alloc(content, 'x') : content);
  }
  chmodSync(`${place}/src/etc/fstab`, 0o600);
  chmodSync(`${place}/src/home/user/main.o`, 0o755);
  symlinkSync('a.conf', `${place}/src/etc/link`);
  symlinkSync('../home/user/notes.txt', `${place}/src/etc/other`);
  symlinkSync('nowhere', `${place}/src/home/dangling`);
  linkSync(`${place}/src/etc/a.conf`, `${place}/src/etc/b.conf`);
  writeFileSync(`${place}/exclude.list`, '# what nobody needs\n*.tmp\n/proc/*\ncache/\n');
  writeFileSync(`${place}/rules`, '+ /home/\n+ /home/user/\n- *.o\n- cache/\nP /etc/***\n- /proc\n');
  writeFileSync(`${place}/list`, 'etc/a.conf\nhome/user/\nno/such\n');
  mkdirSync(`${place}/to`);
  date(place, NEW);
}

/** The changes between the first and the second run. */
function change(place: string): void {
  const at = `${place}/src`;
  writeFileSync(`${at}/etc/fstab`, 'changed\n');
  writeFileSync(`${at}/home/user/new.conf`, 'new\n');
  renameSync(`${at}/home/user/old name`, `${at}/home/user/new name`);
  chmodSync(`${at}/home/user/notes.txt`, 0o640);
  rmSync(`${at}/home/user/.git`, { recursive: true });
  unlinkSync(`${at}/etc/link`);
  symlinkSync('fstab', `${at}/etc/link`);
  rmSync(`${at}/etc/empty`, { recursive: true });
  date(place, NEW + 86_400);
}

/** Gives what has the time of its making another one, so that no run depends on the clock. */
function date(place: string, seconds: number): void {
  const paths = [...walk(`${place}/src`)].filter(
    ([, { mtimeNs }]) => mtimeNs > BigInt(NEW + 1_000_000) * 1_000_000_000n,
  );
  for (const [path] of paths) lutimesSync(`${place}/src/${path}`, seconds, seconds);
  for (const [path, { kind }] of walk(`${place}/src`)) {
    if (kind === 'directory') lutimesSync(`${place}/src/${path}`, seconds, seconds);
  }
}

/** What rsync would still change, but for times that neither run has set. */
function wouldChange(theirs: string, ours: string, since: number): string {
  const judge = spawnSync('rsync', ['-aHAXinc', '--delete', '--exclude=*log', `${theirs}/`, `${ours}/`], {
    encoding: 'utf8',
  });
  const isOfRun = (line: string): boolean => /^\.[df]\.\.t\.+ /.test(line) && isNew(theirs, line.slice(12), since);
  return judge.stdout
    .split('\n')
    .filter((line) => !isOfRun(line))
    .join('\n');
}

function isNew(root: string, path: string, since: number): boolean {
  const found = walk(root).get(path.replace(/^\.\/$|\/$/, ''));
  return found !== undefined && found.mtimeNs > BigInt(since) * 1_000_000n;
}

/** Which of the names of a hard link is sent, and where the others stand, docs/rsync.md says to differ. */
function withoutLeader(lines: readonly string[], words: readonly string[]): string[] {
  if (!words.some((word) => word === '--hard-links' || /^-[a-zA-Z]*H/.test(word))) return [...lines];
  return lines
    .map((line) => (line.includes('etc/b.conf') || line.includes('etc/a.conf') ? 'a name of the link' : line))
    .toSorted();
}

async function run(t: ExecutionContext, lines: Readonly<Record<string, Line>>): Promise<void> {
  t.timeout(300_000);
  const masks = figures();
  const work = workDir(t);
  const user: Client = client(work);
  const env = { LC_ALL: 'C.UTF-8', TZ: 'UTC', SPARSYNC_GUARDS: 'off' };
  for (const [name, line] of Object.entries(lines)) {
    const since = Date.now() - 1000;
    const [theirs, ours] = [dir(work, `${name}.theirs`), dir(work, `${name}.ours`)];
    for (const place of [theirs, ours]) makeTree(place);
    for (const round of [1, 2, 3]) {
      const words = line(round)
        .split(' ')
        .map((word) => word.replaceAll('_', ' '));
      if (round === 2) for (const place of [theirs, ours]) change(place);
      const expected = await start(t, 'rsync', words, { cwd: theirs, env }).ended;
      const found = await cli(t, user, words, { cwd: ours, env });
      const label = `${name}, round ${round}: ${words.join(' ')}`;
      t.is(found.code, expected.code, `${label}: ${found.stderr} | ${expected.stderr}`);
      const told = (text: string): string[] => withoutLeader(comparable(text, masks, words.join(' ')), words);
      t.deepEqual(told(found.stdout), told(expected.stdout), label);
      t.is(wouldChange(`${theirs}/to`, `${ours}/to`, since), '', label);
      const content = { content: true } as const;
      const differ = differences(walk(`${theirs}/to`, content), walk(`${ours}/to`, content), { times: false });
      t.deepEqual(
        differ.filter((each) => !/log/.test(JSON.stringify(each))),
        [],
        label,
      );
    }
  }
}

judged('ten command lines of tools that back up, mirror and deploy do what they do with rsync', async (t) => {
  t.true(Object.keys(WRITING).length >= 10);
  await run(t, WRITING);
});

judged('ten command lines with filters and lists of backup scripts do what they do with rsync', async (t) => {
  t.true(Object.keys(SELECTING).length >= 10);
  await run(t, SELECTING);
});

/**
 * What may surprise in what the command lines of {@link SELECTING} leave out or take: a path as `-i` shows it, and what `--explain` has
 * to name as its reason.
 */
const SURPRISES: Readonly<Record<string, readonly (readonly [string, RegExp])[]>> = {
  'a whole system': [
    ['home/user/cache/1', /rule "- \/home\/\*\/cache\/\*"/],
    ['home/user/cache', /no rule matches/],
    ['proc/1', /rule "- \/proc\/\*"/],
  ],
  'configuration alone': [
    ['home/user/notes.txt', /rule "- \*"/],
    ['etc/a.conf', /rule "\+ \*\.conf"/],
    ['etc', /rule "\+ \*\/"/],
  ],
  // With --delete-excluded what leaves something out is for the sender alone.
  'rules in the folders themselves': [
    ['home/user/large', /rule "H \/user\/large" \(.*src\/home\/\.rsync-filter, line 1\)/],
    ['home/.rsync-filter', /rule "H \.rsync-filter"/],
    ['home/user/x.tmp', /rule "H \*\.tmp"/],
  ],
  'rules in a file': [
    ['home/user/main.o', /rule "- \*\.o" \(rules, line 3\)/],
    ['home/user/cache', /rule "- cache\/" \(rules, line 4\)/],
    ['home/user', /rule "\+ \/home\/user\/" \(rules, line 2\)/],
    ['proc', /rule "- \/proc" \(rules, line 6\)/],
  ],
  'a list of paths': [['etc/fstab', /no rule matches/]],
  'sources of a version control system': [
    ['home/user/main.o', /rule "-C?.*\*\.o"/],
    ['home/user/.git', /rule "- \.git\/"/],
  ],
  'a disk of another system': [['home/user/x.tmp', /no rule matches/]],
  'what is new and not too large': [['etc/fstab', /no rule matches/]],
  'symlinks as what they lead to': [['home/dangling', /rule "- dangling"/]],
  'several folders of one machine': [['home/user/cache/1', /no rule matches/]],
};

judged(
  '--explain names the rule for what the command lines of backup scripts leave out, and says what rsync does',
  async (t) => {
    t.deepEqual(Object.keys(SURPRISES), Object.keys(SELECTING));
    const work = workDir(t);
    const user = client(work);
    for (const [name, line] of Object.entries(SELECTING)) {
      const place = dir(work, name);
      makeTree(place);
      const words = line(1)
        .split(' ')
        .map((word) => word.replaceAll('_', ' '));
      const paths = SURPRISES[name] ?? [];
      const explained = await cli(t, user, [...paths.map(([path]) => `--explain=${path}`), ...words], { cwd: place });
      t.is(explained.code, 0, `${name}: ${explained.stderr}`);
      const told = explained.stdout.split('\n').filter((each) => each.startsWith('source: '));
      t.is(told.length, paths.length, explained.stdout);
      t.deepEqual(readdirSync(`${place}/to`), [], 'nothing is done');
      await start(t, 'rsync', words, { cwd: place }).ended;
      for (const [index, [path, why]] of paths.entries()) {
        const said = told[index] ?? '';
        t.regex(said, why, name);
        // What no rule is about, other options may leave out.
        if (said.includes('no rule matches')) t.regex(said, / may be sent: /, name);
        else
          t.is(/ may be sent: /.test(said), existsSync(`${place}/${words.at(-1) ?? ''}/${path}`), `${name}: ${said}`);
      }
    }
  },
);

judgedWhere(isRoot)('command lines of backups with all owners and attributes do what they do with rsync', async (t) => {
  await run(t, ATTRIBUTES);
});
