// What formats of --out-format and --log-file-format show, beside rsync: of each kind of source, and of what changes in part.
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, existsSync, lutimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import type { ExecutionContext } from 'ava';

import { make } from './helpers/beside.js';
import { cli } from './helpers/cli.js';
import { judged, judgedWhere } from './helpers/judge.js';
import { comparable, figures, logged } from './helpers/output-corpus.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { start } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { dir, workDir } from './helpers/temp.js';
import { walk } from './helpers/walk.js';

/** Runs at a time. */
const AT_ONCE = 4;

/** Sources, some with options that say how they arrive. `@` is the folder that the run is in. */
const SOURCES = [
  's/',
  's',
  './s/',
  '././s',
  's/.',
  's//d//',
  '@/s/',
  '@/s',
  's/a',
  './s/d/x',
  's/a s/d t',
  'u/ v/',
  'u/x v/x t/',
  't/ t/t s/',
  's/d/..',
  '-R s/d/',
  '-R s/./d/',
  '-R s/d t/./t',
  '-R s/d/x s/a',
  '-R u/./x v/./x',
  '-R @/s/d',
  '--files-from=list s',
  '-r --files-from=list ./s/',
  '--no-R --files-from=files s',
];

const OPTIONS = ['-a', '-ai', '-aii', '-av', '-avv', '-aivv', '-an', '-ain', '-aq', '-aqi', '-aqii'];

const FORMATS = [undefined, '', '%i|%n', '%n%L', '%o-%n-%l', '%f|%B|%U|%G|%M|%-8n|%8n|%%|%q'];

function makeFolder(at: string): string {
  make(at, {
    's/a': 'content',
    's/d/x': 'x',
    's/d/y': 'y',
    's/d/deep/z': 'z',
    's/link': '-> a',
    't/t': 't',
    'u/x/1': 'one',
    'u/x/both': 'both',
    'v/x/2': 'two',
    'v/x/both': 'other',
    'from/extra': 'extra',
    'from/gone/1': '1',
    'from/s/extra': 'extra',
  });
  writeFileSync(`${at}/list`, 'a\nd/x\nd/deep/\n');
  writeFileSync(`${at}/files`, 'a\nd/x\nd/deep/z\n');
  for (const path of walk(at).keys()) lutimesSync(`${at}/${path}`, 1_600_000_000, 1_600_000_000);
  return at;
}

/** Runs both programs in copies of a folder, and gives what each has printed and logged. */
async function differences(
  t: ExecutionContext,
  work: string,
  lines: readonly (readonly string[])[],
): Promise<Record<string, unknown>> {
  const user = client(work);
  const model = `${work}/model`;
  const masks = figures();
  const env = { LC_ALL: 'C.UTF-8', TZ: 'UTC', SPARSYNC_GUARDS: 'off' };
  const differ: Record<string, unknown> = {};
  const run = async (line: readonly string[], at: number): Promise<void> => {
    const options = line.join(' ');
    const outcome = async (who: 'theirs' | 'ours'): Promise<object> => {
      const place = `${model}.${at}.${who}`;
      spawnSync('cp', ['-a', model, place]);
      const words = line.map((word) => word.replaceAll('@', place));
      const ran = await (who === 'theirs'
        ? start(t, 'rsync', words, { cwd: place, env }).ended
        : cli(t, user, words, { cwd: place, env }));
      const plain = (text: string): string[] =>
        comparable(text.replaceAll(place.slice(1), 'HERE'), masks, options).map((each) =>
          each.replace(/^(sent|total size is) .*$/, '$1'),
        );
      const log = existsSync(`${place}/log`) ? plain(logged(`${place}/log`).join('\n')) : [];
      // Directories above the folder are those of all runs, and where rsync's other process says a name changes from run to run.
      const told = (all: string[]): string[] => {
        const own = options.includes('@') ? all.filter((each) => each.includes('HERE/s')) : all;
        return options.startsWith('-avv') ? own.toSorted() : own;
      };
      return { code: ran.code, stdout: told(plain(ran.stdout)), log: told(log) };
    };
    const [theirs, ours] = [await outcome('theirs'), await outcome('ours')];
    if (JSON.stringify(theirs) !== JSON.stringify(ours)) differ[options] = { theirs, ours };
  };
  const queue = lines.map((line, at) => [line, at] as const);
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await run(...next);
    }),
  );
  return differ;
}

judged(
  '%f and its like name what comes from each kind of source as rsync does, on stdout and in the log',
  async (t) => {
    t.timeout(120_000);
    const work = workDir(t);
    makeFolder(`${work}/model`);
    const format = '%o|%f|%n|%L|%l|%B|%M';
    const options = ['-a', '--delete-delay', `--out-format=${format}`, '--log-file=log', `--log-file-format=${format}`];
    const lines = SOURCES.map((sources) => options.concat(sources.split(' '), 'from/'));
    t.deepEqual(await differences(t, work, lines), {});
  },
);

judged('the log has what rsync’s has of what changes in part, in each format, with each option', async (t) => {
  t.timeout(120_000);
  const work = workDir(t);
  const model = makeFolder(`${work}/model`);
  spawnSync('mkfifo', [`${model}/s/pipe`]);
  lutimesSync(`${model}/s/pipe`, 1_600_000_000, 1_600_000_000);
  cpSync(`${model}/s`, `${model}/to`, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (from) => !from.endsWith('pipe'),
  });
  spawnSync('cp', ['-a', `${model}/s/pipe`, `${model}/to/pipe`]);
  for (const path of walk(`${model}/to`).keys()) lutimesSync(`${model}/to/${path}`, 1_600_000_000, 1_600_000_000);
  // Attributes of each kind, content, what is new and what is gone.
  chmodSync(`${model}/to/a`, 0o600);
  chmodSync(`${model}/to/d`, 0o700);
  for (const name of ['link', 'pipe', 'd/deep']) lutimesSync(`${model}/to/${name}`, 1_500_000_000, 1_500_000_000);
  writeFileSync(`${model}/to/d/y`, 'longer');
  writeFileSync(`${model}/to/extra`, 'extra');
  writeFileSync(`${model}/s/new`, 'new');
  for (const path of ['s/new', 'to/d', 's', 'to']) lutimesSync(`${model}/${path}`, 1_600_000_000, 1_600_000_000);
  const logging = FORMATS.map((format) => (format === undefined ? [] : [`--log-file-format=${format}`]));
  const lines = OPTIONS.flatMap((options) =>
    logging.map((words) => [options, '--delete-delay', '--log-file=log'].concat(words, 's/', 'to/')),
  );
  t.deepEqual(await differences(t, work, lines), {});
});

judgedWhere(canBecome)('a group that a plain user may not set is told as none', async (t) => {
  const work = workDir(t);
  const user = client(work);
  for (const path of [work, dirname(work)]) chmodSync(path, 0o755);
  const source = dir(work, 'source');
  writeFileSync(`${source}/f`, 'content');
  chownSync(`${source}/f`, 65_534, 12_345);
  const to = dir(work, 'to');
  const state = dir(work, 'state');
  for (const path of [to, state]) chownSync(path, 65_534, 65_534);
  const words = [...becoming(65_534), process.execPath, program, '-a', '--out-format=%G %n', `${source}/f`, `${to}/`];
  const { code, stdout, stderr } = await start(t, 'setpriv', words, { env: { ...user.env, SPARSYNC_STATE_DIR: state } })
    .ended;
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'DEFAULT f\n', stderr: '' });
});
