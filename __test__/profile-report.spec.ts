// What `sparsync profile report` says of profiles: figures that add up, a page that holds nothing but itself, and a word
// with file and line on whatever is no profile.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

import test, { type ExecutionContext } from 'ava';
import * as fc from 'fast-check';

import { outlines } from '../ts/cli/profile/areas.js';
import { FIGURE_NAMES, FIGURES } from '../ts/cli/profile/figures.js';
import { PHASE_NAMES, phaseOf } from '../ts/cli/profile/phases.js';
import { profileFigureNames, profilePhaseNames } from '../index.js';
import type { ProfileFigures, ProfileThread, SyncProfile } from '../ts/profile.js';
import { cli, exit } from './helpers/cli.js';
import { type Client, client } from './helpers/product.js';
import { assertContained, show } from './helpers/profile-page.js';
import { noFigures, profileLine, sampleProfile, summaryLine } from './helpers/profiles.js';
import { Random, seed } from './helpers/random.js';
import { dir, workDir } from './helpers/temp.js';

const read = (file: string): string => readFileSync(new URL(file, import.meta.url), 'utf8');

/** A folder, a client, and a file for each list of lines. */
function files(
  t: ExecutionContext,
  lines: Readonly<Record<string, readonly string[]>>,
): { work: string; user: Client } {
  const work = workDir(t);
  for (const [name, each] of Object.entries(lines)) {
    writeFileSync(`${work}/${name}`, each.map((line) => `${line}\n`).join(''));
  }
  return { work, user: client(work) };
}

/** Runs `profile report` where the files are. */
async function report(
  t: ExecutionContext,
  { work, user }: { readonly work: string; readonly user: Client },
  args: readonly string[],
): Promise<string> {
  const ran = await cli(t, user, ['profile', 'report', ...args], { cwd: work });
  t.deepEqual({ code: ran.code, stderr: ran.stderr }, { code: 0, stderr: '' }, args.join(' '));
  return ran.stdout;
}

/** The objects of `--json`. */
function records(stdout: string): Readonly<Record<string, unknown>>[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

function thread(fields: Partial<ProfileThread> & Pick<ProfileThread, 'name'>): ProfileThread {
  return { startMs: 0, wallMs: 100, cpuMs: 0, phases: {}, stepMs: 25, timeline: {}, ...fields };
}

/** A sync whose figures a reader can add up. */
function knownProfile(figures: Partial<ProfileFigures> = {}, threads: readonly ProfileThread[] = []): SyncProfile {
  return {
    schema: 1,
    direction: 'push',
    ends: [
      {
        role: 'sender',
        end: 'client',
        startedAtMs: 1_800_000_000_000,
        figures: { ...noFigures(), total_ms: 100, connections: 1, ...figures },
        threads: [
          thread({
            name: 'read',
            cpuMs: 45,
            phases: {
              read: { ms: 40, count: 8 },
              hash: { ms: 20, count: 8 },
              wait_room: { ms: 30, count: 2 },
            },
            timeline: { read: [80, 80, 0, 0], hash: [0, 0, 80, 0], wait_room: [0, 0, 20, 100] },
          }),
          ...threads,
        ],
      },
    ],
    split: { senderMs: 60, networkMs: 20, receiverMs: 120 },
  };
}

test('the figures of a sync add up, in words, in JSON and on the page', async (t) => {
  const at = files(t, { profile: [profileLine(knownProfile({ packets_sent: 1000, packets_lost: 5 }))] });
  const text = await report(t, at, ['profile']);
  t.regex(text, /^profile:1 {2}push, 2026-11-24 13:22:41 UTC, 100 ms$/m);
  t.regex(text, /work: sender 60\.0 ms \(30%\), network 20\.0 ms \(10%\), receiver 120 ms \(60%\)/);
  // 40 + 20 of 100 are work, 30 are waits, 10 have no name; 45 were on a processor.
  t.regex(text, /^ +read +100 ms +60% +30% +10% +45%$/m);
  const phases = [...text.matchAll(/^ {4}(read|wait_room|hash) +(\S+ ms) +(\d+%) +\d+ +[a-z]/gm)].map((found) =>
    found.slice(1, 4),
  );
  t.deepEqual(phases, [
    ['read', '40.0 ms', '40%'],
    ['wait_room', '30.0 ms', '30%'],
    ['hash', '20.0 ms', '20%'],
  ]);
  t.regex(text, /1,000 sent, 0 received, 5 lost \(0\.5%\)/);

  const [sync, last] = records(await report(t, at, ['profile', '--json']));
  t.like(sync, {
    type: 'sync',
    direction: 'push',
    totalMs: 100,
    workMs: 200,
    split: { senderMs: 60, networkMs: 20, receiverMs: 120, senderShare: 0.3, networkShare: 0.1, receiverShare: 0.6 },
    ends: [{ workMs: 60, waitMs: 30, otherMs: 10, wallMs: 100, cpuMs: 45 }],
  });
  t.deepEqual(last, { type: 'summary', schema: 1, exitCode: 0, syncs: 1, syncsShown: 1, servers: 0 });

  await report(t, at, ['profile', '--output', 'page.html']);
  const markup = readFileSync(`${at.work}/page.html`, 'utf8');
  assertContained(t, markup);
  for (const share of ['30%', '10%', '60%']) t.true(markup.includes(`<b>${share}</b>`), share);
});

test('a second file stands beside the first, with ratios and what they mean', async (t) => {
  const at = files(t, {
    now: [profileLine(knownProfile({ total_ms: 100, round_trips: 3, packets_lost: 4, mtu_bytes: 1452 }))],
    before: [profileLine(knownProfile({ total_ms: 200, round_trips: 2, packets_lost: 4, mtu_bytes: 1200 }))],
    pulls: [profileLine({ ...knownProfile(), direction: 'pull' })],
  });
  const text = await report(t, at, ['now', '--against', 'before', '--output', 'page.html']);
  t.regex(text, /^ +total_ms +200 ms +100 ms +0\.50× +better$/m);
  t.regex(text, /^ +round_trips +2 +3 +1\.50× +worse$/m);
  t.regex(text, /^ +packets_lost +4 +4 +1\.00× +same$/m);
  t.regex(text, /^ +mtu_bytes +1,200 B +1,452 B +1\.21× +better$/m);
  const markup = readFileSync(`${at.work}/page.html`, 'utf8');
  assertContained(t, markup);
  // A word and a sign stand beside the colour.
  t.regex(markup, /0\.50×<\/b\s*> ✓ better/);
  t.regex(markup, /1\.50×<\/b\s*> ✗ worse/);

  const json = records(await report(t, at, ['now', '--against', 'before', '--json']));
  const comparison = json.find(({ type }) => type === 'comparison');
  t.like(comparison, { totals: [{ name: 'total', now: 100, before: 200, ratio: 0.5, verdict: 'better' }] });

  t.regex(await report(t, at, ['now', '--against', 'pulls']), /nothing to compare/);
});

test('of several syncs on a side the medians are compared', async (t) => {
  const line = (ms: number): string => profileLine(knownProfile({ total_ms: ms }));
  const at = files(t, { now: [line(10), line(900), line(30)], before: [line(100), line(200)] });
  t.regex(await report(t, at, ['now', '--against', 'before']), /^ +total_ms +150 ms +30\.0 ms +0\.20× +better$/m);
});

test('the last syncs of a long file are shown, and the rest is counted', async (t) => {
  const lines = Array.from({ length: 30 }, (_, index) => profileLine(knownProfile({ total_ms: index + 1 })));
  const at = files(t, { profile: lines });
  const shown = async (args: readonly string[]): Promise<unknown[]> =>
    records(await report(t, at, ['profile', '--json', ...args]))
      .filter(({ type }) => type === 'sync')
      .map((sync) => sync['line']);
  t.deepEqual(
    await shown([]),
    Array.from({ length: 20 }, (_, index) => index + 11),
  );
  t.deepEqual(await shown(['--last=2']), [29, 30]);
  t.deepEqual(
    await shown(['--last=99']),
    Array.from({ length: 30 }, (_, index) => index + 1),
  );
  t.regex(await report(t, at, ['profile', '--output', 'page.html']), /the last 20 of 30 syncs/);
  const markup = readFileSync(`${at.work}/page.html`, 'utf8');
  assertContained(t, markup);
  t.regex(markup, /<h1>30 syncs<\/h1>/);
  t.is([...markup.matchAll(/<details class="sync"/g)].length, 20);
  for (const [, target] of markup.matchAll(/href="#([^"]+)"/g)) t.true(markup.includes(`id="${target}"`), target);
});

test('what a server did: figures, rates, and its runs apart from each other', async (t) => {
  const at = files(t, {
    server: [
      summaryLine({ uptimeMs: 10_000, sessions: 1, final: true }),
      summaryLine({ uptimeMs: 10_000, sessions: 2, figures: { request_bytes: 4_000_000 } }),
      profileLine(knownProfile()),
      summaryLine({
        uptimeMs: 60_000,
        sessions: 30,
        sessionsFailed: 2,
        connections: 7,
        figures: { request_bytes: 120_000_000, hash_ms: 6000, rtt_ms: 12, packets_sent: 600 },
      }),
    ],
  });
  const text = await report(t, at, ['server', '--output', 'page.html']);
  t.regex(text, /server:1 {2}server, .*, up 10\.0 s\n {2}1 session \(/);
  t.regex(text, /server:4 {2}server, .*, running, up 1:00\n {2}30 sessions \(30 a minute\), 2 failed, 7 connections/);
  t.regex(text, /^ +request_bytes +120\.0 MB +2\.00 MB\/s +4\.00 MB$/m);
  t.regex(text, /^ +hash_ms +6\.00 s +100 ms\/s +200 ms$/m);
  t.regex(text, /^ +packets_sent +600 +10\/s +20$/m);
  // The round trip is a state: it has no rate.
  t.regex(text, /^ +rtt_ms +12\.0 ms +– +–$/m);
  const markup = readFileSync(`${at.work}/page.html`, 'utf8');
  assertContained(t, markup);
  t.true(markup.includes('30 a minute'));
});

test('phases and figures that only a newer program knows are shown, in no colour of another', async (t) => {
  const unknown = thread({
    name: 'gather',
    phases: { teleport: { ms: 50, count: 1 }, wait_moon: { ms: 50, count: 3 } },
    timeline: { teleport: [100, 100, 0, 0], wait_moon: [0, 0, 100, 100] },
  });
  const profile = knownProfile({ parcels_lost: 77 } as Partial<ProfileFigures>, [unknown]);
  const at = files(t, { profile: [JSON.stringify({ ...JSON.parse(profileLine(profile)), added: 'later' })] });
  const text = await report(t, at, ['profile', '--output', 'page.html']);
  t.regex(text, /^ +teleport +50\.0 ms +25% +1 +unknown$/m);
  t.regex(text, /^ +wait_moon +50\.0 ms +25% +3 +waits: unknown waits$/m);
  t.regex(text, /^ +gather +100 ms +50% +50%/m);
  const markup = readFileSync(`${at.work}/page.html`, 'utf8');
  t.regex(markup, /<path\s+class="s-unknown"\s+data-phase="unknown\/teleport"/);
  t.regex(markup, /<path\s+class="w-unknown wait"\s+data-phase="unknown\/wait_moon"/);
  t.true(markup.includes('<code>parcels_lost</code>'));
  t.true(markup.includes('77'));
});

test('clocks that disagree are noticed: the server is drawn within the time of its client', async (t) => {
  const random = new Random(t.title);
  const at = files(t, {
    near: [profileLine(sampleProfile(random, { totalMs: 1000 }))],
    ahead: [profileLine(sampleProfile(random, { totalMs: 1000, clockMs: 3_600_000 }))],
    behind: [profileLine(sampleProfile(random, { totalMs: 1000, clockMs: -5000 }))],
  });
  const differ = async (file: string): Promise<unknown> =>
    records(await report(t, at, [file, '--json', '--output', `${file}.html`]))[0]?.['clocksDifferMs'];
  const note = (file: string): boolean =>
    readFileSync(`${at.work}/${file}.html`, 'utf8').includes('clocks of the two ends');
  t.is(await differ('near'), undefined);
  t.false(note('near'));
  // The server lives 12 ms less than the client and began 6 ms after it: the middle is where it was.
  t.is(await differ('ahead'), -3_600_000);
  t.true(note('ahead'));
  t.is(await differ('behind'), 5000);
  t.true(note('behind'));
  // Every thread of the moved end lies within the axis.
  for (const file of ['ahead', 'behind']) {
    const data = /<script type="application\/json" id="data-sync-1"\s*>(.*?)<\/script\s*>/s.exec(
      readFileSync(`${at.work}/${file}.html`, 'utf8'),
    )?.[1];
    const { spanMs, threads } = JSON.parse(data ?? '{}');
    t.is(spanMs, 1000);
    for (const { startMs, endMs } of threads) t.true(startMs >= 0 && endMs <= 1000 + 1e-6, `${startMs} to ${endMs}`);
  }
});

test('whatever a file says stays text: on the page, in the data of its script, on the terminal', async (t) => {
  const evil = '</script><script>alert(1)</script>';
  const profile = knownProfile({ ['"><img onerror=alert(1)>']: 1 } as Partial<ProfileFigures>, [
    thread({
      name: evil,
      phases: {
        [evil]: { ms: 50, count: 1 },
        '" onload="alert(1)': { ms: 1, count: 1 },
        __proto__x: { ms: 1, count: 1 },
      },
      timeline: { [evil]: [100], '" onload="alert(1)': [0, 100] },
    }),
    thread({
      name: '\u001b[31mred\u202e',
      phases: JSON.parse('{"__proto__":{"ms":9,"count":1},"constructor":{"ms":1,"count":1}}'),
    }),
  ]);
  const name = "a'&<b>.jsonl";
  const at = files(t, { [name]: [profileLine(profile)] });
  const text = await report(t, at, [name, '--against', name, '--output', 'page.html']);
  t.false(text.includes('\u001b') || text.includes('\u202e'), 'nothing moves the cursor');
  t.true(text.includes('\\#033[31mred'));
  t.regex(text, /^ +__proto__ +9\.0 ms/m);
  const markup = readFileSync(`${at.work}/page.html`, 'utf8');
  assertContained(t, markup);
  t.true(markup.includes('&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;'));
  t.true(markup.includes('a&#39;&amp;&lt;b&gt;.jsonl'));
  t.false(markup.includes('\u001b') || markup.includes('\u202e'));
});

test('a browser runs the page’s own script and no other', (t) => {
  const { markup } = show([profileLine(knownProfile())]);
  const policy =
    /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(markup)?.[1]?.replaceAll('&#39;', "'") ?? '';
  t.true(policy.includes("default-src 'none'"));
  const script = /<script>(.*?)<\/script>/s.exec(markup)?.[1] ?? '';
  t.true(script.length > 0);
  const hash = createHash('sha256').update(script).digest('base64');
  t.true(policy.includes(`script-src 'sha256-${hash}'`), policy);
});

test('what is no profile is refused with its file and line, and nothing is written', async (t) => {
  const good = JSON.parse(profileLine(knownProfile()));
  const [end] = good.ends;
  const [reader] = end.threads;
  const withThread = (fields: object): object => ({ ...good, ends: [{ ...end, threads: [{ ...reader, ...fields }] }] });
  const broken: ReadonlyArray<readonly [string, RegExp]> = [
    ['{', /JSON/],
    ['null', /object/],
    ['[]', /object/],
    ['{"type":"sync"}', /type must be "profile" or "summary"/],
    [JSON.stringify({ ...good, schema: 0 }), /schema must be 1/],
    [JSON.stringify({ ...good, schema: '1' }), /schema must be 1/],
    [JSON.stringify({ ...good, at: 'yesterday' }), /at must be a time/],
    [JSON.stringify({ ...good, direction: 'sideways' }), /direction must be "push" or "pull" or "local"/],
    [JSON.stringify({ ...good, ends: [] }), /ends must be a list of 1 to 2/],
    [JSON.stringify({ ...good, ends: [end, end] }), /ends\[1\]\.role/],
    [
      JSON.stringify({ ...good, split: { ...good.split, networkMs: -1 } }),
      /split\.networkMs must be a number of 0 or more/,
    ],
    [
      JSON.stringify({ ...good, ends: [{ ...end, figures: { ...end.figures, rtt_ms: 'fast' } }] }),
      /ends\[0\]\.figures\.rtt_ms/,
    ],
    [
      JSON.stringify({ ...good, ends: [{ ...end, figures: { ...end.figures, mtu_bytes: undefined } }] }),
      /mtu_bytes .*absent/,
    ],
    [JSON.stringify(withThread({ name: '' })), /threads\[0\]\.name/],
    [JSON.stringify(withThread({ name: 'n'.repeat(65) })), /threads\[0\]\.name/],
    [JSON.stringify(withThread({ wallMs: null })), /threads\[0\]\.wallMs/],
    [JSON.stringify(withThread({ wallMs: 0 })).replace('"wallMs":0', '"wallMs":1e999'), /threads\[0\]\.wallMs/],
    [JSON.stringify(withThread({ phases: { read: 5 } })), /phases\.read must be an object/],
    [JSON.stringify(withThread({ timeline: { read: [50, 101] } })), /timeline\.read\[1\] must be a number of 0 to 100/],
    [
      JSON.stringify(withThread({ timeline: { read: Array.from({ length: 1025 }, () => 0) } })),
      /timeline\.read must be a list/,
    ],
    [JSON.stringify(withThread({ stepMs: 0 })), /stepMs/],
    [
      JSON.stringify({ ...good, ends: [{ ...end, threads: Array.from({ length: 257 }, () => reader) }] }),
      /threads must be a list/,
    ],
    [
      JSON.stringify({ ...JSON.parse(summaryLine({ uptimeMs: 1, sessions: 1 })), final: 1 }),
      /final must be true or false/,
    ],
    [`"${'x'.repeat(9 << 20)}"`, /longer than/],
  ];
  const at = files(t, { against: [profileLine(knownProfile())] });
  for (const [line, reason] of broken) {
    writeFileSync(`${at.work}/broken`, `${profileLine(knownProfile())}\n\n${line}\n`);
    for (const args of [['broken'], ['against', '--against', 'broken']]) {
      const ran = await cli(t, at.user, ['profile', 'report', ...args, '--output', 'page.html'], { cwd: at.work });
      const label = `${line.slice(0, 60)}: ${ran.stderr}`;
      t.is(ran.code, exit.usage, label);
      t.regex(ran.stderr, /ERR_SPARSYNC_CONFIG.*broken:3: not a profile: /, label);
      t.regex(ran.stderr, reason, label);
      t.is(ran.stdout, '', label);
      t.notRegex(ran.stderr, /\n\s+at /, label);
    }
  }
  t.false(existsSync(`${at.work}/page.html`));
});

test('a form of profiles that is newer says so, and a line that was cut off does', async (t) => {
  const good = profileLine(knownProfile());
  const at = files(t, { newer: [good, JSON.stringify({ type: 'profile', schema: 2, all: 'different' })], empty: [] });
  const refused = async (file: string): Promise<string> => {
    const ran = await cli(t, at.user, ['profile', 'report', file], { cwd: at.work });
    t.is(ran.code, exit.usage);
    t.is(ran.stdout, '');
    return ran.stderr;
  };
  t.regex(await refused('newer'), /newer:2: this profile has the form 2, .* knows 1: read it with a newer version/);
  writeFileSync(`${at.work}/cut`, `${good}\n${good.slice(0, 200)}`);
  t.regex(await refused('cut'), /cut:2: .* ends in its middle/);
  t.regex(await refused('empty'), /empty/);
  t.regex(await refused('missing'), /cannot read the profile: ENOENT.*\(missing\)/);
  t.regex(await refused('.'), /cannot read the profile: EISDIR/);
  const json = await cli(t, at.user, ['profile', 'report', 'newer', '--json'], { cwd: at.work });
  t.is(json.code, exit.usage);
  t.like(records(json.stdout).at(-1), {
    type: 'error',
    code: 'ERR_SPARSYNC_CONFIG',
    details: { file: 'newer', line: 2 },
  });
});

test('a page never takes the place of what it is made from, and what cannot be written is said', async (t) => {
  const line = profileLine(knownProfile());
  const at = files(t, { profile: [line] });
  dir(at.work, 'folder');
  const ran = async (args: readonly string[]): Promise<{ code: number | null; stderr: string }> =>
    cli(t, at.user, ['profile', 'report', ...args], { cwd: at.work });
  const over = await ran(['profile', '--output', './profile']);
  t.is(over.code, exit.usage);
  t.is(readFileSync(`${at.work}/profile`, 'utf8'), `${line}\n`);
  const folder = await ran(['profile', '--output', 'folder']);
  t.is(folder.code, exit.io);
  t.regex(folder.stderr, /cannot write the page: EISDIR/);
});

test('profile is a verb as the exact first word alone, and says what it takes', async (t) => {
  const work = workDir(t);
  const user = client(work);
  mkdirSync(`${work}/profile`);
  writeFileSync(`${work}/profile/file`, 'content');
  const synced = await cli(t, user, ['./profile/', 'copy', '-a'], { cwd: work });
  t.is(synced.code, 0, synced.stderr);
  t.is(readFileSync(`${work}/copy/file`, 'utf8'), 'content');
  for (const args of [['--help'], ['report', '--help']]) {
    const help = await cli(t, user, ['profile', ...args]);
    t.is(help.code, 0);
    t.regex(help.stdout, /^usage: sparsync profile report FILE\.\.\./);
    for (const flag of ['--output', '--against', '--last', '--json']) t.true(help.stdout.includes(flag), flag);
  }
  const main = await cli(t, user, ['--help']);
  t.regex(main.stdout, /^ {2}profile report FILE/m);
  for (const args of [[], ['report'], ['copy'], ['report', 'x', '--agianst=y']]) {
    const ran = await cli(t, user, ['profile', ...args]);
    t.is(ran.code, exit.usage, args.join(' '));
    t.regex(ran.stderr, /profile report FILE|--against/, args.join(' '));
  }
});

test('figures and phases have one meaning: in the types, in the report, in the documents', (t) => {
  const types = /interface ProfileFigures \{[^}]*\}/.exec(read('../ts/profile.ts'))?.[0] ?? '';
  const document = read('../docs/profile.md').replaceAll(/\s+/g, ' ');
  const fields = [...types.matchAll(/\/\*\* ((?:[^*]|\*(?!\/))*?) \*\/\s+(\w+_\w+|connections|streams): number;/g)];
  const meanings = new Map(fields.map(([, meaning = '', name = '']) => [name, meaning.replaceAll(/\s+\*?\s*/g, ' ')]));
  t.deepEqual([...meanings.keys()].toSorted(), [...FIGURE_NAMES].toSorted());
  t.deepEqual([...FIGURE_NAMES].toSorted(), profileFigureNames().toSorted());
  for (const name of FIGURE_NAMES) {
    t.is(FIGURES[name].meaning, meanings.get(name) ?? '', name);
    t.true(document.includes(`| \`${name}\` | ${FIGURES[name].meaning} |`.replaceAll(/\s+/g, ' ')), name);
  }
  t.deepEqual([...PHASE_NAMES].toSorted(), profilePhaseNames().toSorted());
  for (const name of PHASE_NAMES) {
    const { meaning } = phaseOf(name, 'sender');
    t.true(document.includes(`| \`${name}\` |`), name);
    t.true(document.includes(` ${meaning} |`), name);
  }
});

/** The area within an outline of horizontal and vertical lines. */
function areaOf(path: string): number {
  let area = 0;
  for (const loop of path.split('Z').filter((each) => each !== '')) {
    const points: [number, number][] = [];
    for (const [, letter, numbers = ''] of loop.matchAll(/([MHV])([-\d. ]+)/g)) {
      const [x, y] = points.at(-1) ?? [0, 0];
      const [first = 0, second = 0] = numbers.trim().split(' ').map(Number);
      points.push(letter === 'M' ? [first, second] : letter === 'H' ? [first, y] : [x, first]);
    }
    const turned = points.map(([x, y], index) => {
      const [nextX, nextY] = points[(index + 1) % points.length] ?? [0, 0];
      return x * nextY - nextX * y;
    });
    area += Math.abs(turned.reduce((sum, each) => sum + each, 0)) / 2;
  }
  return area;
}

test('what is drawn is as large as what was measured, and stands where it belongs', (t) => {
  // Two steps: the first layer from the bottom up, the second one on it and where it is alone.
  t.deepEqual(
    outlines(
      [
        [10, 0],
        [5, 20],
      ],
      2,
      100,
    ),
    ['M0 90H1V100H0Z', 'M0 85H1V80H2V100H1V90H0Z'],
  );
  fc.assert(
    fc.property(
      fc
        .integer({ min: 1, max: 40 })
        .chain((count) =>
          fc.array(fc.array(fc.integer({ min: 0, max: 12 }), { minLength: count, maxLength: count }), { maxLength: 8 }),
        ),
      (layers) => {
        const count = layers[0]?.length ?? 1;
        const paths = outlines(layers, count, 100);
        for (const [index, layer] of layers.entries()) {
          const sum = layer.reduce((total, value) => total + value, 0);
          if (Math.abs(areaOf(paths[index] ?? '') - sum) > 1e-6) return false;
        }
        return true;
      },
    ),
    { seed: Number(seed) },
  );
  t.pass();
});
