// Where the time went: in the result, in the files of both commands, and not where nobody asked.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { ConfigError, connect, plan, serve, sync } from '../dist/index.js';
import type { ProfileEnd, ProfileLine, ProfileRecord, ProfileSummary, SyncProfile } from '../dist/index.js';
import { profileFigureNames } from '../index.js';
import { cli, exit } from './helpers/cli.js';
import { until } from './helpers/process.js';
import { failure, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';

/** Calls from JavaScript have no types to hold them back. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- that is what a test is about
const untyped = (value: unknown): never => value as never;

const SMALL = { directories: 5, files: 40, size: 3000 };

/** Within what rounding to whole percent and to milliseconds can take or give. */
const SLACK_MS = 0.01;

/** Phases without a gap, and a line of time that says the same as the totals. */
function isSound(t: ExecutionContext, end: ProfileEnd): void {
  t.true(end.threads.length >= 3);
  for (const { name, startMs, wallMs, phases, stepMs, timeline } of end.threads) {
    const spent = Object.values(phases).reduce((sum, { ms }) => sum + ms, 0);
    t.true(Math.abs(spent - wallMs) < SLACK_MS, `${name}: phases take ${spent} of ${wallMs} ms`);
    t.true(startMs + wallMs <= end.figures.total_ms + SLACK_MS, `${name} outlives its end`);
    for (const [phase, { ms }] of Object.entries(phases)) {
      const drawn = (timeline[phase] ?? []).reduce((sum, share) => sum + (share / 100) * stepMs, 0);
      t.true(Math.abs(drawn - ms) <= (stepMs / 100) * 257, `${name} ${phase}: ${drawn} drawn, ${ms} ms in all`);
    }
  }
}

function isProfile(t: ExecutionContext, profile: SyncProfile | undefined, ends: number): SyncProfile {
  if (profile === undefined) throw new Error('there is no profile');
  t.is(profile.ends.length, ends);
  for (const end of profile.ends) {
    isSound(t, end);
    t.deepEqual(Object.keys(end.figures).toSorted(), profileFigureNames().toSorted());
  }
  return profile;
}

function lines(path: string): ProfileRecord[] {
  const texts = readFileSync(path, 'utf8').trimEnd().split('\n');
  return texts.map((text) => JSON.parse(text) as ProfileRecord);
}

test('both ends tell in the result where their time went, and nobody when it was not asked for', async (t) => {
  const { server, work, access } = await setup(t);
  plainTree(`${work}/src`, SMALL);
  const connection = await connect(server.url(), access);
  t.teardown(() => connection.close());
  t.is((await connection.push(`${work}/src`, 'root/silent')).profile, undefined);
  const first = await connection.push(`${work}/src`, 'root/a', { profile: true });
  const pushed = isProfile(t, first.profile, 2);
  t.deepEqual(
    pushed.ends.map(({ role, end }) => [role, end]),
    [
      ['sender', 'client'],
      ['receiver', 'server'],
    ],
  );
  const [own, other] = pushed.ends;
  t.is(own?.figures.disk_read_bytes, first.stats.bytesTransferred);
  t.is(own?.figures.encoded_bytes, other?.figures.encoded_bytes);
  t.is(own?.figures.streams, other?.figures.streams);
  t.is(own?.figures.request_bytes, first.stats.bytesSent);
  t.true((other?.figures.total_ms ?? Infinity) <= (own?.figures.total_ms ?? 0));
  t.true(pushed.split.senderMs > 0 && pushed.split.networkMs > 0 && pushed.split.receiverMs > 0);
  for (const direction of ['pull', 'no change'] as const) {
    const { profile } =
      direction === 'pull'
        ? await connection.pull('root/a', `${work}/back`, { profile: true })
        : await connection.pull('root/a', `${work}/back`, { profile: true, delete: true });
    t.deepEqual(
      isProfile(t, profile, 2).ends.map(({ role, end }) => [role, end]),
      [
        ['receiver', 'client'],
        ['sender', 'server'],
      ],
    );
  }
  const local = await sync(`${work}/src`, `${work}/local`, { profile: true });
  t.deepEqual(
    isProfile(t, local.profile, 2).ends.map(({ role }) => role),
    ['receiver', 'sender'],
  );
  await t.throwsAsync(
    async () => {
      for await (const _ of plan(`${work}/src`, `${work}/local`, untyped({ profile: true })));
    },
    { message: /profile/ },
  );
});

test('the command writes a line for each sync, of however many sources, and a text when the environment asks for it', async (t) => {
  const { client, server, served, work } = await setup(t);
  plainTree(`${work}/one`, SMALL);
  plainTree(`${work}/two`, SMALL);
  const file = `${work}/profile.jsonl`;
  const before = Date.now();
  const ended = await cli(t, client, ['-a', '--profile', file, `${work}/one`, `${work}/two`, server.url('root')]);
  t.deepEqual([ended.code, ended.stdout, ended.stderr], [0, '', '']);
  await cli(t, client, ['-a', '--profile', file, `${work}/one`, server.url('root', 'again')]);
  const written = lines(file) as ProfileLine[];
  t.is(written.length, 2);
  for (const line of written) {
    t.is(line.type, 'profile');
    const at = Date.parse(line.at);
    t.true(at >= before && at <= Date.now(), line.at);
    isProfile(t, line, 2);
  }
  const told = await cli(t, client, ['-a', `${work}/one`, server.url('root')], { env: { SPARSYNC_PROFILE: '1' } });
  t.is(told.code, 0);
  for (const name of ['connections', 'control_frames', 'disk_read_bytes', 'roundtrip_ms', 'state_commit_ms']) {
    t.regex(told.stderr, new RegExp(`^profile .*\\b${name}=\\d`, 'm'));
  }
  const off = await cli(t, client, ['-a', `${work}/one`, server.url('root')], { env: { SPARSYNC_PROFILE: '0' } });
  t.is(off.stderr, '');
  // A place that cannot be written is known before anything is done.
  const refused = await cli(t, client, [
    '-a',
    '--profile',
    `${work}/none/p`,
    `${work}/one/`,
    server.url('root', 'new'),
  ]);
  t.is(refused.code, exit.io);
  t.regex(refused.stderr, /none\/p/);
  t.false(existsSync(`${served}/new`));
});

test('a run that did not do everything tells where its time went as well', async (t) => {
  const { client, server, served, work } = await setup(t);
  plainTree(`${work}/src`, SMALL);
  dir(`${served}/dst`, 'taken/full/of');
  const file = `${work}/profile.jsonl`;
  plainTree(`${served}/dst/taken/full`, SMALL);
  writeFileSync(`${work}/src/taken`, 'a file where a directory is');
  const ended = await cli(t, client, ['-a', '--profile', file, `${work}/src/`, server.url('root', 'dst')]);
  t.is(ended.code, exit.partial);
  isProfile(t, lines(file)[0] as ProfileLine, 2);
});

test('a server writes a profile of each transfer, and of all of them at its end', async (t) => {
  const work = workDir(t);
  const file = `${work}/server.jsonl`;
  const { client, server } = await setup(t, { args: ['--profile', file] });
  plainTree(`${work}/src`, SMALL);
  const ends = ['-a', `${work}/src/`, server.url('root', 'dst')];
  t.is((await cli(t, client, ends)).code, 0);
  t.is((await cli(t, client, ends)).code, 0);
  await server.stop();
  const written = lines(file);
  const profiles = written.filter((line) => line.type === 'profile');
  const summaries = written.filter((line): line is ProfileSummary => line.type === 'summary');
  t.is(profiles.length, 2);
  for (const profile of profiles) {
    const [end] = isProfile(t, profile, 1).ends;
    t.deepEqual([profile.direction, end?.role, end?.end], ['push', 'receiver', 'server']);
  }
  const last = summaries.at(-1);
  t.like(last, { final: true, sessions: 2, sessionsFailed: 0, connections: 2, profilesDropped: 0 });
  const sum = (name: 'encoded_bytes' | 'packets_received'): number =>
    profiles.reduce((total, { ends: [end] }) => total + (end?.figures[name] ?? 0), 0);
  t.is(last?.figures.encoded_bytes, sum('encoded_bytes'));
  t.is(last?.figures.packets_received, sum('packets_received'));
});

test('a program is told what its server did', async (t) => {
  const work = workDir(t);
  const records: ProfileRecord[] = [];
  const roots = { root: dir(work, 'root') };
  plainTree(`${work}/src`, SMALL);
  const server = await serve({ roots, anonymous: true, profile: (record) => records.push(record) });
  t.teardown(() => server.close());
  await sync(`${work}/src`, server.url('root'), { trust: { pin: server.publicKey } });
  await until('the profile of the transfer', () => records.length > 0);
  await server.close();
  t.deepEqual(
    records.map(({ type }) => type),
    ['profile', 'summary'],
  );
  const error = await failure(t, serve({ roots, anonymous: true, profile: untyped(true) }), ConfigError);
  t.regex(error.message, /profile/);
});
