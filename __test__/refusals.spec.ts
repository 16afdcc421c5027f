// What rsync refuses is refused, and what it takes is taken: command lines that ask for what cannot be, beside rsync.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { cli, exit } from './helpers/cli.js';
import { judged } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { client } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { long, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

/** Runs at a time. */
const AT_ONCE = 4;

/** Command lines, one in a line: `_` is a blank within a word, and `''` an empty word. */
const LINES = `
-aW --append s/ d
-a --append-verify --whole-file s/ d
-a --no-whole-file --append s/ d
-a --append --inplace s/ d
-a --append --partial-dir=p s/ d
-a --append --delay-updates s/ d
-a --append -T ../t s/ d
-a --inplace -T ../t s/ d
-a --inplace --partial-dir=p s/ d
-a --inplace --delay-updates s/ d
-a --inplace -S s/ d
-a -T ../t s/ d
-a -T nothing s/ d
-a -T ../afile s/ d
-n -a -T nothing s/ d
-a --inplace -T nothing s/ d
-a --delay-updates -T nothing s/ d
-a --temp-dir= s/ d
-a --contimeout=5 s/ d
-a --contimeout=x s/ d
-a --contimeout=0 s/ d
-a --timeout=x s/ d
-a --timeout=-1 s/ d
-a --timeout=0 s/ d
-a --timeout= s/ d
-a --bwlimit=x s/ d
-a --bwlimit=-1 s/ d
-a --bwlimit= s/ d
-a --bwlimit=0 s/ d
-a --max-size=-1 s/ d
-a --max-size= s/ d
-a --max-size=1Q s/ d
-a --min-size=1.5K+1 s/ d
-a --max-size=1.5.5 s/ d
-a --max-size=9999999999999G s/ d
-a --min-size=1k-1 s/ d
-a --modify-window=x s/ d
-a --modify-window=-1 s/ d
-a --modify-window=1.5 s/ d
-a --delete --max-delete=x s/ d
-a --delete --max-delete=-1 s/ d
-a --delete --max-delete= s/ d
-a --max-delete=1 s/ d
-a --chmod=x s/ d
-a --chmod=D9 s/ d
-a --chmod= s/ d
-a --chmod=u+q s/ d
-a --chmod=F644,D s/ d
-a --chmod=,F644 s/ d
-a --chmod=F99999 s/ d
-a --usermap=x s/ d
-a --usermap= s/ d
-a --usermap=*:nosuchuser s/ d
-a --usermap=1-:0 s/ d
-a --groupmap=nosuchgroup:0 s/ d
-a --chown= s/ d
-a --chown=: s/ d
-a --chown=0 --usermap=*:0 s/ d
-a --chown=:0 --groupmap=*:0 s/ d
-a --suffix=/ s/ d
-a -b --suffix= s/ d
-a -b --suffix=a/b s/ d
-a --backup-dir= s/ d
-a --backup-dir=../backups --suffix= s/ d
-a --partial-dir= s/ d
-a --compare-dest=a --copy-dest=b s/ d
-a --compare-dest=a --link-dest=b s/ d
-a --copy-dest=a --link-dest=b s/ d
-a --link-dest=nothing s/ d
-a --compare-dest=../afile s/ d
-a --delete-before --delete-after s/ d
-a --delete-during --delete-delay s/ d
-a --delete-delay --delete-during s/ d
-a --delete-delay --del s/ d
-a --del --delete-before s/ d
-a --delete-after --delete-delay s/ d
--delete s/ d
--delete-excluded s/ d
-l --delete-after s/ d
--del s/a d
-d --delete s/ d
-a --delete --ignore-errors s/ d
-a --delete-missing-args nothing d
-a --delete-missing-args --ignore-missing-args nothing d
-a --ignore-missing-args nothing d
-a --files-from=nothing s d
-a --files-from=list s t d
-a --files-from=list d
-a --files-from=s s d
-a --files-from= s d
-a --files-from=:list s d
-a --files-from=box:list s d
-a --files-from=list nothing d
-a -0 --files-from=nothing s d
-a --exclude-from=nothing s/ d
-a --include-from=nothing s/ d
-a -0 --exclude-from=nothing s/ d
-a -0 --include-from=nothing s/ d
-a --exclude-from=s s/ d
-a -0 --exclude-from=s s/ d
-a --exclude= s/ d
-a --include= s/ d
-a --filter=x s/ d
-a --filter= s/ d
-a --filter=._nothing s/ d
-a --filter=merge_nothing s/ d
-a --filter=:_nothing s/ d
-a --filter=-_ s/ d
-a --filter=!x s/ d
-a --filter=: s/ d
-a --filter=P s/ d
-a --filter=-z_foo s/ d
-a --filter=dir-merge,qq_.f s/ d
-a --filter=exclude s/ d
-a --filter=hide,q_foo s/ d
-a --filter=-foo s/ d
-a -f s/ d
-a --block-size=0 s/ d
-a --block-size=-1 s/ d
-az --compress-level=x s/ d
-az --compress-level=99 s/ d
-az --compress-level=-99 s/ d
-az --skip-compress=[ s/ d
-a --skip-compress=a//b s/ d
-a --out-format= s/ d
-a --out-format=% s/ d
-a --log-file-format= s/ d
-a --info=nothing s/ d
-a --info=name9 s/ d
-a --info= s/ d
-a --info=del,,name s/ d
-a --info=2name s/ d
-a --debug=nothing s/ d
-a --read-batch=nothing d
-a --read-batch=afile d
-a --read-batch=s d
-a --write-batch=b --read-batch=b d
-a --write-batch=no/such/b s/ d
-a --write-batch=s s/ d
-a --write-batch= s/ d
-a --write-batch=b -n s/ d
-a --stop-at=x s/ d
-a --stop-at=2001-01-01T00:00 s/ d
-a --stop-at=99:99 s/ d
-a --stop-after=x s/ d
-a --stop-after=0 s/ d
-a --stop-after=-1 s/ d
-a --time-limit=x s/ d
-a --time-limit=9 s/ d
-a --max-alloc=x s/ d
-a --fake-super --super s/ d
-a --fuzzy --inplace s/ d
-a --remove-source-files --list-only s/ d
-aA --no-perms s/ d
-a --mkpath s/ n/m/
-a s/ n/m/
-a s/ afile
-a s/ afile/
-a s/a s/sub afile
-a s/a afile/
-a s/a afile/x
-a nothing d
-a nothing/ d
-a nothing s/a d
-a s/a/ d
-a s/a/x d
-a '' d
-a s/ ''
-a
-a s/ t/ box:d host:e
-a box:s box:d
-a box:s other:t d
-a s/ box:t d
-a s/ t/no/x/y
--no-such-option s/ d
-a? s/ d
--arch s/ d
--no-verbose=1 s/ d
--recursive=1 s/ d
--human-readable=2 s/ d
-a --exclude
-a --max-size
-a -T
-a --no-exclude s/ d
-a --no-bwlimit s/ d
-a --password-file=nothing s/ d
-a -Mnonsense s/ d
-a --existing --ignore-existing s/ d
-a --size-only -I s/ d
-a -cI s/ d
-a --safe-links --copy-unsafe-links s/ d
-R -a s/../s/a d
-a -R --no-implied-dirs s/sub/b d
-aHAX --numeric-ids --usermap=0:1 s/ d
--list-only s/
--list-only nothing/
--log-format=%n -a s/ d
-a -- s/ d
-a s/ d --
-a s/ -- -d
-s/ d`
  .trim()
  .split('\n');

/** The lines of which docs/rsync.md tells that they end otherwise here, with the exit code. */
const TOLD: Readonly<Record<string, number>> = {
  '-a --bwlimit= s/ d': exit.usage,
  '-a --max-size= s/ d': exit.usage,
  '-a --delete --max-delete= s/ d': exit.usage,
  '-a --partial-dir= s/ d': exit.usage,
  '-a --timeout= s/ d': exit.usage,
  '-a --timeout=-1 s/ d': exit.usage,
  '-a --contimeout=5 s/ d': exit.ok,
  '-a --exclude-from=s s/ d': exit.io,
  '-a -0 --exclude-from=s s/ d': exit.io,
  '-a --files-from=s s d': exit.usage,
  '-a --files-from=list d': exit.partial,
  '-a --files-from=list nothing d': exit.partial,
  '-a --read-batch=afile d': exit.usage,
  '-a --write-batch= s/ d': exit.usage,
  '-a --write-batch=no/such/b s/ d': exit.io,
  '-a --no-exclude s/ d': exit.ok,
  '-a -T ../t s/ d': exit.ok,
};

function makeFolder(at: string): string {
  mkdirSync(`${at}/s/sub`, { recursive: true });
  for (const name of ['t', 'd']) mkdirSync(`${at}/${name}`);
  for (const [name, text] of [
    ['s/a', 'a'],
    ['s/sub/b', 'b'],
    ['afile', 'text'],
    ['list', 'a\n'],
  ] as const) {
    writeFileSync(`${at}/${name}`, text);
  }
  return at;
}

judged('command lines that ask for what cannot be, or almost, end as with rsync', async (t) => {
  t.timeout(300_000);
  t.log(`seed ${seed}`);
  t.true(LINES.length >= 150, `${LINES.length} of them`);
  const random = new Random(t.title);
  const lines = LINES.filter(() => long || random.oneIn(3));
  const work = workDir(t);
  const user = client(work);
  const model = makeFolder(dir(work, 'model'));
  const env = { LC_ALL: 'C.UTF-8', SPARSYNC_GUARDS: 'off' };
  const differ: Record<string, unknown> = {};
  const run = async (line: string, at: number): Promise<void> => {
    const words = line.split(' ').map((word) => (word === "''" ? '' : word.replaceAll('_', ' ')));
    const [theirs, ours] = ['theirs', 'ours'].map((who) => `${work}/${who}${at}`);
    if (theirs === undefined || ours === undefined) return;
    for (const place of [theirs, ours]) cpSync(model, place, { recursive: true });
    const expected = await start(t, 'rsync', words, { cwd: theirs, env }).ended;
    const found = await cli(t, user, words, { cwd: ours, env });
    const wanted = TOLD[line] ?? expected.code;
    if (found.code === wanted && (TOLD[line] === undefined || wanted !== expected.code)) return;
    differ[line] = { codes: [found.code, expected.code], stderr: found.stderr, theirs: expected.stderr };
  };
  const queue = lines.map((line, at) => [line, at] as const);
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await run(...next);
    }),
  );
  t.deepEqual(differ, {});
  t.deepEqual(
    Object.keys(TOLD).filter((line) => !LINES.includes(line)),
    [],
  );
});

test('a pattern that no shell of the other side expands gets a hint', async (t) => {
  const { served, url, client: user } = await setup(t);
  writeFileSync(`${served}/f`, 'f');
  const asked = await cli(t, user, ['-a', url('*.c'), `${served}/to/`]);
  t.is(asked.code, exit.partial, asked.stderr);
  t.regex(asked.stderr, /help: the other side expands no wildcards/);
  const plain = await cli(t, user, ['-a', url('missing'), `${served}/to/`]);
  t.notRegex(plain.stderr, /wildcards/);
});
