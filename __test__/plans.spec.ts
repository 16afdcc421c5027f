// Plans in files: --plan writes what would be done, --apply does exactly that or refuses.
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';

import test from 'ava';

import { PlanStaleError, plan, sync } from '../dist/index.js';
import { copied, make, shape } from './helpers/beside.js';
import { cli, exit } from './helpers/cli.js';
import { judged, rsyncSays } from './helpers/judge.js';
import { setup } from './helpers/setup.js';

const FLAGS = ['-aH', '--delete', '--force'];

/** Trees in which everything is to be done that a run does. */
function model(at: string): string {
  make(at, {
    's/new/deep/file': 'new',
    's/changed': 'changed',
    's/mode@1500000000%600': 'mode',
    's/link': '-> changed',
    's/file-for-directory': 'file',
    's/same@1500000000': 'same',
    'd/changed@1500000000': 'old',
    'd/mode@1500000000%644': 'mode',
    'd/link': '-> old',
    'd/file-for-directory/x/y': 'gone',
    'd/same@1500000000': 'same',
    'd/gone/a/b': 'gone',
    'd/gone/c': 'gone',
  });
  for (const name of ['one', 'two']) spawnLink(`${at}/s`, name);
  writeFileSync(Buffer.concat([Buffer.from(`${at}/d/`), Buffer.from([0xe9])]), 'no text');
  return at;
}

function spawnLink(at: string, name: string): void {
  if (name === 'one') writeFileSync(`${at}/one`, 'linked');
  else linkSync(`${at}/one`, `${at}/two`);
}

for (const way of ['local', 'push', 'pull'] as const) {
  judged(
    `${way}: a plan that is applied makes the tree that rsync makes, and is refused when a tree has moved`,
    async (t) => {
      const { work, served, url, client: user } = await setup(t);
      const tree = model(`${way === 'local' ? work : served}/model`);
      const fresh = (name: string): { at: string; words: string[] } => {
        // The end that is not on the server is a copy beside it.
        const at = copied(tree, `${work}/${name}`);
        if (way !== 'local') copied(tree, `${served}/${name}`);
        const from = way === 'pull' ? url(`${name}/s/`) : `${at}/s/`;
        const to = way === 'push' ? url(`${name}/d/`) : `${at}/d/`;
        return { at: way === 'push' ? `${served}/${name}` : at, words: [...FLAGS, from, to] };
      };
      const file = `${work}/plan`;
      const done = fresh('done');
      const before = shape(`${done.at}/d`);
      const planned = await cli(t, user, ['-i', `--plan=${file}`, ...done.words]);
      t.is(planned.code, 0, planned.stderr);
      t.deepEqual(shape(`${done.at}/d`), before);
      const dry = await cli(t, user, ['-ni', ...done.words]);
      // A plan tells of deletions when they are done, which is last.
      const lines = (said: string): string[] => said.split('\n').toSorted();
      t.deepEqual(lines(planned.stdout), lines(dry.stdout), 'it says what -n says');
      t.true(readFileSync(file, 'utf8').includes('"pathBase64":"6Q=="'));
      const applied = await cli(t, user, ['-i', `--apply=${file}`, ...done.words]);
      t.is(applied.code, 0, applied.stderr);
      // What is in a directory that gives way is deleted last.
      t.deepEqual(lines(applied.stdout), lines(dry.stdout));
      t.is(rsyncSays(`${tree}/s`, `${done.at}/d`), '');
      const again = await cli(t, user, [`--apply=${file}`, ...done.words]);
      t.is(again.code, exit.planStale, 'it is done');
      t.false(readdirSync(work).some((name) => name.endsWith('.tmp')));

      const moves: Record<string, (at: { s: string; d: string }) => void> = {
        'a file of the source': ({ s }) => writeFileSync(`${s}/changed`, 'other!!'),
        'a new file of the source': ({ s }) => writeFileSync(`${s}/new/another`, 'x'),
        'a file that was to be replaced': ({ d }) => writeFileSync(`${d}/changed`, 'edited'),
        'attributes that were to be set': ({ d }) => chmodSync(`${d}/mode`, 0o640),
        'attributes of it': ({ d }) => chmodSync(`${d}/changed`, 0o640),
        'one that was right': ({ d }) => writeFileSync(`${d}/same`, 'edited'),
        'one that was to be deleted': ({ d }) => writeFileSync(`${d}/gone/c`, 'precious'),
        'one beside it': ({ d }) => writeFileSync(`${d}/gone/a/new`, 'precious'),
        'one in what gives way': ({ d }) => writeFileSync(`${d}/file-for-directory/x/new`, 'precious'),
        'a file in what gives way': ({ d }) => writeFileSync(`${d}/file-for-directory/x/y`, 'precious'),
        'one that is done already': ({ d }) => rmSync(`${d}/gone/a/b`),
      };
      for (const [number, [what, move]] of Object.entries(moves).entries()) {
        // Where the ends are matters to how the plan travels alone.
        if (way !== 'local' && number % 4 !== 1) continue;
        const moved = fresh(`moved${number}`);
        const made = await cli(t, user, [`--plan=${file}`, ...moved.words]);
        t.is(made.code, 0, made.stderr);
        const base = `${work}/moved${number}`;
        move({ s: way === 'pull' ? `${served}/moved${number}/s` : `${base}/s`, d: `${moved.at}/d` });
        const there = shape(`${moved.at}/d`);
        const refused = await cli(t, user, [`--apply=${file}`, ...moved.words]);
        t.is(refused.code, exit.planStale, `${what}: ${refused.stderr}`);
        t.regex(refused.stderr, /ERR_SPARSYNC_PLAN_STALE.*nothing was written/, what);
        t.deepEqual(shape(`${moved.at}/d`), there, what);
      }
    },
  );
}

test('a plan of something else, cut short or edited is refused by file and line', async (t) => {
  const { work, client: user } = await setup(t);
  model(work);
  const file = `${work}/plan`;
  const words = [...FLAGS, `${work}/s/`, `${work}/d/`];
  await cli(t, user, [`--plan=${file}`, ...words]);
  const text = readFileSync(file, 'utf8');
  const lines = text.trimEnd().split('\n');
  const before = shape(`${work}/d`);
  const count = lines.length;
  const cases: [string, string, RegExp, (readonly string[])?][] = [
    ['cut', `${lines.slice(0, 4).join('\n')}\n`, /plan:5: the plan is cut short/],
    ['cut in a line', text.slice(0, 500), /plan:\d+: /],
    ['empty', '', /plan:1: the plan is cut short/],
    ['edited', text.replace('"changed"', '"new/deep"'), new RegExp(`plan:${count}: the lines above`)],
    ['without a line', [...lines.slice(0, 3), ...lines.slice(4), ''].join('\n'), /the lines above/],
    ['with more', `${text}{}\n`, new RegExp(`plan:${count + 1}: there is something after the end`)],
    [
      'twice',
      [lines[0], lines[1], lines[1], ...lines.slice(2), ''].join('\n'),
      /plan:3: the entry has no stamp of its own/,
    ],
    ['no JSON', 'hello\n', /plan:1: this is not a line of a plan/],
    [
      'another version',
      text.replace('"version":1', '"version":2'),
      /plan:1: the plan has version 2, and this sparsync reads version 1/,
    ],
    ['a line without an end', `${lines[0]}\n${'x'.repeat(1 << 20)}`, /plan:2: the line is too long/],
    [
      'other options',
      text,
      /plan:1: the plan was made with other options/,
      ['-aH', '--delete', `${work}/s/`, `${work}/d/`],
    ],
    [
      'other operands',
      text,
      /plan:1: the plan was made for another source or destination/,
      [...FLAGS, `${work}/s`, `${work}/d/`],
    ],
    ['with retries', text, /applyPlan and retry cannot be combined/, ['--retry=1', ...words]],
  ];
  for (const [what, content, message, others] of cases) {
    writeFileSync(file, content);
    const refused = await cli(t, user, [`--apply=${file}`, ...(others ?? words)]);
    t.is(refused.code, exit.usage, `${what}: ${refused.stderr}`);
    t.regex(refused.stderr, message, what);
  }
  t.deepEqual(shape(`${work}/d`), before);
  const missing = await cli(t, user, [`--apply=${work}/missing`, ...words]);
  t.is(missing.code, exit.io, missing.stderr);
});

test('in the API a plan is saved by any run, and applied by sync', async (t) => {
  const { work } = await setup(t);
  model(work);
  const savePlan = `${work}/plan`;
  const options = { delete: true, force: true, hardLinks: true, allowMassDelete: true };
  const stamps: (string | undefined)[] = [];
  for await (const { stamp } of plan(`${work}/s`, `${work}/d`, { ...options, savePlan })) stamps.push(stamp);
  t.true(stamps.length > 8 && stamps.every((stamp) => /^[0-9a-f]{48}$/.test(stamp ?? '')));
  const first = readFileSync(savePlan, 'utf8');
  t.true((await sync(`${work}/s`, `${work}/d`, { ...options, savePlan })).dryRun);
  t.is(readFileSync(savePlan, 'utf8'), first, 'it is the same each time');
  // A plan that is stopped leaves no file.
  for await (const _ of plan(`${work}/s`, `${work}/d`, { ...options, savePlan: `${work}/stopped` })) break;
  t.false(existsSync(`${work}/stopped`));
  const result = await sync(`${work}/s`, `${work}/d`, { ...options, applyPlan: savePlan });
  t.is(result.dryRun, false);
  const error = await t.throwsAsync(async () => sync(`${work}/s`, `${work}/d`, { ...options, applyPlan: savePlan }));
  t.true(error instanceof PlanStaleError && error.details['wrote'] === false && error.path !== undefined);
  mkdirSync(`${work}/empty`);
  renameSync(`${work}/d`, `${work}/old`);
  await t.throwsAsync(async () => sync(`${work}/s`, `${work}/d`, { ...options, applyPlan: savePlan, publish: true }), {
    message: /applyPlan and publish cannot be combined/,
  });
});

test('a plan that cannot be written is told, and hides nothing of a run in which something failed', async (t) => {
  const { work } = await setup(t);
  model(work);
  for (const isPartial of [false, true]) {
    mkdirSync(`${work}/plans`);
    const options = { delete: true, force: true, allowMassDelete: true, savePlan: `${work}/plans/p` };
    const sources = [`${work}/s`, ...(isPartial ? [`${work}/missing`] : [])];
    const items = async (): Promise<void> => {
      for await (const _ of plan(sources, `${work}/d`, options)) {
        rmSync(`${work}/plans`, { recursive: true, force: true });
      }
    };
    const error = await t.throwsAsync(items);
    t.regex(error?.message ?? '', /cannot write the plan/);
    t.is(Reflect.get(error ?? {}, 'code'), isPartial ? 'ERR_SPARSYNC_NOT_FOUND' : 'ERR_SPARSYNC_IO');
  }
});
