// A peer that is gone, restarted or silent: what a run says of it, and that it does not wait in vain.
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { connect, sync, SparsyncError, type SyncEvent } from '../dist/index.js';
import { CertifiedTree } from './helpers/certified.js';
import { cli, exit } from './helpers/cli.js';
import { assertEqual, judged, judgedWhere } from './helpers/judge.js';
import { serveInside, wired } from './helpers/networks.js';
import { start, until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { Relay } from './helpers/relay.js';
import { startServer } from './helpers/server.js';
import { accessOf, canMount, failure, scaled, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { urlAt } from './helpers/url.js';

const DIRECTIONS = ['push', 'pull'] as const;

/** What a server is started with. By itself it would choose Cubic, as a client would: these links are on loopback. */
const BY_BBR = { args: ['--congestion', 'bbr'] };

/** The datagrams that an MTU of 1280 leaves: 20 bytes are of IPv4, 8 of UDP. */
const PAYLOAD_OF_1280 = 1252;

function largeFiles(root: string): void {
  const sizes = new Map<string, number>();
  for (let i = 0; i < 12; i += 1) sizes.set(`file${i}`, 6 << 20);
  new CertifiedTree(sizes).write(root, 1);
}

/** A run in a direction over a relay, slow enough to be interrupted. */
function run(
  direction: (typeof DIRECTIONS)[number],
  { work, served, url }: { work: string; served: string; url: string },
  options: Parameters<typeof sync>[2],
): { job: ReturnType<typeof sync>; from: string; to: string } {
  const [from, to] = direction === 'push' ? [`${work}/source`, `${served}/tree`] : [`${served}/source`, `${work}/tree`];
  largeFiles(from);
  const slow = { ...options, bwlimit: 24 << 20, durability: 'none' as const, congestion: 'bbr' as const };
  const job = direction === 'push' ? sync(from, `${url}/tree`, slow) : sync(`${url}/source`, to, slow);
  return { job, from, to };
}

async function retries(job: AsyncIterable<SyncEvent>): Promise<string[]> {
  const messages: string[] = [];
  for await (const event of job) if (event.type === 'retry') messages.push(event.message);
  return messages;
}

judged('packets that overtake others are not taken for lost', async (t) => {
  const { work, served, server, access } = await setup(t, BY_BBR);
  await using relay = await Relay.start({ to: server.port, delayMs: 25, overtakes: true });
  const source = dir(work, 'source');
  writeFileSync(`${source}/a`, randomBytes(8 << 20));
  const options = { ...access, transport: 'quic', congestion: 'bbr', compression: 'never', profile: true } as const;
  // On a busy machine the relay itself holds some datagrams back for so long that they count as lost.
  const shares: number[] = [];
  do {
    const tree = `tree${shares.length}`;
    const { profile } = await sync(source, relay.url('root', tree), options);
    const { packets_sent: sent = 0, packets_lost: lost = sent } = profile?.ends[0]?.figures ?? {};
    t.true(sent > 1000);
    shares.push(lost / sent);
    assertEqual(t, source, `${served}/${tree}`);
  } while (shares.length < 8 && Math.min(...shares) >= 0.02);
  t.true(Math.min(...shares) < 0.02, shares.map((share) => share.toFixed(3)).join(' '));
});

for (const direction of DIRECTIONS) {
  judged(
    `a server that is killed in the middle of a ${direction} and back at once says that it is another one`,
    async (t) => {
      t.timeout(120_000);
      const work = workDir(t);
      const served = dir(work, 'served');
      const user = client(work);
      const options = { ...BY_BBR, home: work, roots: { root: served }, clients: [user] };
      let server = await startServer(t, options);
      await using relay = await Relay.start({ to: server.port });
      // So long an idle timeout does not end before the test does.
      const access = { ...accessOf(user, server), idleTimeoutMs: 600_000, retry: { attempts: 50, baseDelayMs: 50 } };
      const { job, from, to } = run(direction, { work, served, url: relay.url('root') }, access);
      const messages = retries(job);
      await relay.passed(direction === 'push' ? 'up' : 'down', 40 << 20);
      await server.stop('SIGKILL');
      server = await startServer(t, { ...options, port: server.port });
      // What was verified before is kept: of all attempts together little travels twice.
      const { bytesTransferred, bytesTotal = 0 } = (await job).stats;
      t.true(bytesTransferred < bytesTotal + (18 << 20), `${bytesTransferred} of ${bytesTotal}`);
      t.regex((await messages)[0] ?? '', /no longer knows the connection/);
      assertEqual(t, from, to);
      await server.stop();
    },
  );

  judged(`a server that is killed in the middle of a ${direction} is known to be gone`, async (t) => {
    t.timeout(120_000);
    const { work, served, server, access } = await setup(t, BY_BBR);
    const { job } = run(direction, { work, served, url: server.url('root') }, { ...access, idleTimeoutMs: 600_000 });
    const error = failure(t, job, SparsyncError);
    while (job.stats().bytesTransferred < 4 << 20) await new Promise((resolve) => void setTimeout(resolve, 20));
    server.kill('SIGKILL');
    t.is((await error).code, 'ERR_SPARSYNC_CLOSED');
    t.regex((await error).message, /not running any more/);
    t.true((await error).retryable);
  });

  judged(`a ${direction} over a link that falls silent says for how long it was`, async (t) => {
    t.timeout(120_000);
    const { work, served, server, access } = await setup(t, BY_BBR);
    await using relay = await Relay.start({ to: server.port });
    const options = { ...access, timeoutMs: 1500 };
    const { job } = run(direction, { work, served, url: relay.url('root') }, options);
    const error = failure(t, job, SparsyncError);
    await relay.passed(direction === 'push' ? 'up' : 'down', 8 << 20);
    relay.cut = true;
    t.is((await error).code, 'ERR_SPARSYNC_TIMEOUT');
    t.regex((await error).message, /the peer was silent for \d+ seconds/);
  });

  judged(`a ${direction} goes on after a silence, over another port`, async (t) => {
    t.timeout(120_000);
    const { work, served, server, access } = await setup(t, BY_BBR);
    await using relay = await Relay.start({ to: server.port });
    const { job, from, to } = run(direction, { work, served, url: relay.url('root') }, access);
    await relay.passed(direction === 'push' ? 'up' : 'down', 8 << 20);
    relay.cut = true;
    await new Promise((resolve) => void setTimeout(resolve, scaled(2500, 10_000)));
    relay.rebind();
    relay.cut = false;
    t.is((await job).attempts, 1);
    assertEqual(t, from, to);
  });
}

for (const direction of DIRECTIONS) {
  judged(`a ${direction} goes on when the path takes smaller datagrams than before`, async (t) => {
    t.timeout(120_000);
    const { work, served, server, access } = await setup(t, BY_BBR);
    await using relay = await Relay.start({ to: server.port });
    const { job, from, to } = run(direction, { work, served, url: relay.url('root') }, access);
    await relay.passed(direction === 'push' ? 'up' : 'down', 8 << 20);
    const lost = () => relay.lost.up + relay.lost.down;
    t.is(lost(), 0);
    relay.most = PAYLOAD_OF_1280;
    t.is((await job).attempts, 1);
    t.true(lost() > 0, 'no datagram was too large');
    assertEqual(t, from, to);
  });
}

judgedWhere(canMount)('a run goes on from another network, without the address that it began with', async (t) => {
  t.timeout(120_000);
  const work = workDir(t);
  const user = client(work);
  const { near, far, farAddress, nearAddress, ip, inside } = wired(t, 'spsbad', '10.213.19');
  const served = `${work}/served`;
  const pin = await serveInside(t, inside(far), farAddress, { work, user, args: ['--congestion=bbr'] });
  const [subnet, other] = [
    [nearAddress, farAddress],
    ['10.213.20.1', '10.213.20.2'],
  ] as const;
  ip(`-n ${far} address add ${other[1]}/30 dev sp1`);
  largeFiles(`${work}/source`);
  for (const [direction, from, to] of [
    ['push', `${work}/source`, `${served}/tree`],
    ['pull', `${served}/tree`, `${work}/back`],
  ] as const) {
    const url = urlAt(farAddress, 'root', 'tree/');
    const ends = direction === 'push' ? [`${from}/`, url] : [url, `${to}/`];
    const words = ['-rlpt', '--transport=quic', '--congestion=bbr', '--bwlimit=24m', '--pin', pin, ...ends];
    const [ipCommand, ...within] = [...inside(near), process.execPath, program];
    const running = start(t, ipCommand, [...within, ...words], { env: user.env });
    await until('files', () => running.over() || (existsSync(to) && readdirSync(to).length >= 3));
    t.false(running.over(), running.stderr());
    ip(`-n ${near} address add ${other[0]}/30 dev sp0`);
    ip(`-n ${near} address del ${subnet[0]}/30 dev sp0`);
    ip(`-n ${near} route add ${subnet[1]}/32 via ${other[1]} dev sp0`);
    const { code, stderr } = await running.ended;
    t.deepEqual([code, stderr], [0, ''], direction);
    assertEqual(t, from, to);
    ip(`-n ${near} address add ${subnet[0]}/30 dev sp0`);
    ip(`-n ${near} route del ${subnet[1]}/32 via ${other[1]} dev sp0`);
    ip(`-n ${near} address del ${other[0]}/30 dev sp0`);
  }
});

judged('a path that drops datagrams of 1200 bytes is named with its MTU', async (t) => {
  const { work, server, client: user } = await setup(t);
  largeFiles(`${work}/source`);
  await using relay = await Relay.start({ to: server.port });
  relay.most = 1199;
  const words = ['-a', '--transport=quic', '--contimeout=5', `${work}/source/`, relay.url('root', 'tree')];
  const { code, stderr } = await cli(t, user, words);
  t.is(code, exit.connect, stderr);
  t.regex(
    stderr,
    /datagrams of \d+ bytes are answered and those of \d+ are not, and QUIC needs 1200: the MTU on the way/,
  );
});

const congestions = ['auto', 'bbr', 'cubic'] as const;

judged('each congestion control moves a tree, and no other word is taken', async (t: ExecutionContext) => {
  t.timeout(120_000);
  const { work, served, server, access, client: user } = await setup(t, { args: ['--congestion', 'bbr'] });
  largeFiles(`${work}/source`);
  for (const congestion of congestions) {
    await sync(`${work}/source`, server.url('root', congestion), { ...access, congestion });
    assertEqual(t, `${work}/source`, `${served}/${congestion}`);
    await sync(server.url('root', congestion), `${work}/${congestion}`, { ...access, congestion });
    assertEqual(t, `${work}/source`, `${work}/${congestion}`);
  }
  // @ts-expect-error: there is none of this name
  const error = await failure(t, connect(server.url('root'), { ...access, congestion: 'reno' }), SparsyncError);
  t.regex(error.message, /congestion/);
  const refused = await cli(t, user, ['-a', '--congestion=reno', `${work}/source/`, server.url('root', 'x')]);
  t.is(refused.code, 1);
  t.regex(refused.stderr, /--congestion must be one of auto, bbr, cubic/);
});
