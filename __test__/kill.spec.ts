// Either side is killed at any moment: what stands at a path is its old or its new content, whole, and the next run
// works at once and leaves nothing behind. That the checker sees a torn file and a leftover is shown in
// harness.spec.ts, with a sync that writes in place.
import { mkdirSync, readdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import type { ExecutionContext } from 'ava';

import { BusyError, sync } from '../dist/index.js';
import { CertifiedTree, certify } from './helpers/certified.js';
import { cli, startCli } from './helpers/cli.js';
import { assertEqual, judged } from './helpers/judge.js';
import { type Client, client } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { Relay } from './helpers/relay.js';
import { startServer, type TestServer } from './helpers/server.js';
import { accessOf, failure, scaled, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

const runs = scaled(12, 200);
const withTemps = scaled(6, 150);

/** How many of some files of a folder a process has open. */
function openOf(pid: number, folder: string, files: readonly string[]): number {
  const paths = new Set(files.map((file) => `${folder}/${file}`));
  let found = 0;
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      try {
        if (paths.has(readlinkSync(`/proc/${pid}/fd/${fd}`))) found += 1;
      } catch {
        // Closed since the listing.
      }
    }
  } catch {
    // The process has gone.
  }
  return found;
}

function someFiles(random: Random): CertifiedTree {
  const sizes = new Map<string, number>();
  for (let i = 0; i < 120; i += 1) sizes.set(`small/${i % 7}/file${i}`, random.between(300, 20_000));
  for (let i = 0; i < 12; i += 1) sizes.set(`large/${i % 2}/file${i}`, random.between(2 << 20, 8 << 20));
  return new CertifiedTree(sizes);
}

interface Stage {
  readonly t: ExecutionContext;
  readonly work: string;
  readonly user: Client;
  readonly tree: CertifiedTree;
  server: TestServer;
}

async function restart(stage: Stage): Promise<void> {
  stage.server = await startServer(stage.t, {
    home: stage.work,
    roots: { root: dir(stage.work, 'served') },
    clients: [stage.user],
  });
}

judged(`${runs} runs with either side killed, at least ${withTemps} of them while temp files were there`, async (t) => {
  t.timeout(scaled(300_000, 3_600_000));
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const tree = someFiles(random);
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user] });
  const stage: Stage = { t, work, user, tree, server };

  const source = { push: `${work}/source`, pull: `${served}/origin` };
  const destination = { push: `${served}/tree`, pull: `${work}/copy` };
  const version = { push: 0, pull: 0 };
  for (const way of ['push', 'pull'] as const) {
    tree.write(source[way], 0);
    tree.write(destination[way], 0);
  }

  let temps = 0;
  let open = 0;
  let killedInTime = 0;
  const victims = { sender: 0, receiver: 0 };
  for (let run = 0; run < runs; run += 1) {
    const way = run % 4 < 2 ? 'push' : 'pull';
    const victim = run % 2 === 0 ? 'receiver' : 'sender';
    const label = `run ${run} (${way}, the ${victim} killed, seed ${seed})`;
    const [from, to] = [source[way], destination[way]];
    const was = version[way];
    const is = was + 1;
    version[way] = is;
    tree.write(from, is);

    const address = stage.server.url('root', way === 'push' ? 'tree' : 'origin');
    const args = ['-a', '--delete', ...(way === 'push' ? [`${from}/`, address] : [`${address}/`, to])];
    const running = startCli(t, user, args);
    const serverIsVictim = (way === 'push') === (victim === 'receiver');
    const target = serverIsVictim ? stage.server : running;
    // One in eight at any moment at all, from before the first to after the last byte; the others somewhen after the
    // first temp file has come up.
    if (random.oneIn(8)) await sleep(random.below(400));
    else {
      while (!running.over() && tree.strangers(to).length === 0) await sleep(1);
      await sleep(random.pick([0, 0, 0, 1, 2, 5, 20]));
    }
    const receiverPid = way === 'push' ? stage.server.pid : running.pid;
    if (victim === 'receiver') target.kill('SIGSTOP');
    else target.kill('SIGKILL');
    if (!running.over()) killedInTime += 1;
    const seen = tree.strangers(to);
    if (seen.length > 0) {
      temps += 1;
      victims[victim] += 1;
      if (openOf(receiverPid, to, seen) > 0) open += 1;
    }
    if (victim === 'receiver') target.kill('SIGKILL');
    await target.ended;
    t.deepEqual(tree.torn(to, [was, is], { mayBeAbsent: false }), [], label);

    if (serverIsVictim) {
      // The client may still be waiting for a server that has gone; that is its own affair.
      running.kill('SIGKILL');
      await running.ended;
      await restart(stage);
    }
    const next = stage.server.url('root', way === 'push' ? 'tree' : 'origin');
    const again = await cli(t, user, ['-a', '--delete', ...(way === 'push' ? [`${from}/`, next] : [`${next}/`, to])]);
    t.deepEqual([again.code, again.stderr], [0, ''], `${label}: the next run`);
    t.deepEqual(tree.torn(to, [is], { mayBeAbsent: false }), [], `${label}: after the next run`);
    t.deepEqual(tree.strangers(to), [], `${label}: leftovers`);
    assertEqual(t, from, to, { label, wholeSeconds: true });
  }
  t.log(
    `${temps} of ${runs} killed while temp files were there (${victims.sender} senders, ${victims.receiver} receivers;`,
    `in ${open} of them they were held open at that moment), ${killedInTime} before the end of the run`,
  );
  t.true(temps >= withTemps, `only ${temps} of ${runs} were killed while temp files were there`);
});

judged('a first sync that was killed leaves files that are whole or absent', async (t) => {
  t.timeout(300_000);
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  const { work, served, server, client: user } = await setup(t);
  const tree = someFiles(random);
  const source = `${work}/source`;
  tree.write(source, 1);
  for (let run = 0; run < scaled(3, 30); run += 1) {
    const to = `${served}/tree${run}`;
    const running = startCli(t, user, ['-a', `${source}/`, server.url('root', `tree${run}`)]);
    while (!running.over() && tree.strangers(to).length === 0) await sleep(1);
    await sleep(random.below(20));
    running.kill('SIGKILL');
    await running.ended;
    t.deepEqual(tree.torn(to, [1], { mayBeAbsent: true }), []);
    const again = await cli(t, user, ['-a', '--delete', `${source}/`, server.url('root', `tree${run}`)]);
    t.deepEqual([again.code, again.stderr], [0, '']);
    t.deepEqual(tree.strangers(to), []);
    assertEqual(t, source, to, { wholeSeconds: true });
  }
});

judged('a large file goes on from what is there, and what is there is not trusted', async (t) => {
  t.timeout(300_000);
  const { work, served, server, client: user, access } = await setup(t);
  const size = scaled(48 << 20, 512 << 20);
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, certify('large', 1, size));
  mkdirSync(`${served}/tree`);

  // A relay tells how far the transfer is: it is cut at three quarters.
  const interrupt = async (): Promise<void> => {
    await using relay = await Relay.start({ to: server.port });
    user.trust(relay.port, server.pin);
    const running = startCli(t, user, ['-a', `${source}/`, relay.url('root', 'tree')]);
    await Promise.race([relay.passed('up', (size * 3) / 4), running.ended]);
    running.kill('SIGKILL');
    const { signal } = await running.ended;
    t.is(signal, 'SIGKILL', 'the run was over before it was killed');
  };

  await interrupt();
  const result = await sync(source, server.url('root', 'tree'), access);
  t.log(`${result.stats.bytesReused} of ${size} bytes reused`);
  t.true(result.stats.bytesReused > size / 4, `${result.stats.bytesReused} bytes reused`);
  t.true(result.stats.bytesTransferred <= size - result.stats.bytesReused);
  assertEqual(t, source, `${served}/tree`);

  // A partial whose bytes are spoilt, at the same length: whoever trusts the length puts the spoilt bytes in place.
  writeFileSync(`${source}/large`, certify('large', 2, size + 1));
  await interrupt();
  const partials = readdirSync(`${served}/tree`).filter((name) => name !== 'large');
  for (const name of partials) {
    const length = statSync(`${served}/tree/${name}`).size;
    writeFileSync(`${served}/tree/${name}`, Buffer.alloc(length, 0x55));
  }
  t.true(partials.length > 0, 'nothing was kept of the interrupted file');
  await sync(source, server.url('root', 'tree'), { ...access, delete: true });
  assertEqual(t, source, `${served}/tree`);
});

judged('a run that was killed does not block the next one from another client with the same key', async (t) => {
  const { work, served, server, client: user, access, url } = await setup(t);
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, certify('large', 1, 64 << 20));
  await using relay = await Relay.start({ to: server.port });
  user.trust(relay.port, server.pin);
  const running = startCli(t, user, ['-a', `${source}/`, relay.url('root', 'tree')]);
  await relay.passed('up', 8 << 20);
  running.kill('SIGKILL');
  await running.ended;
  // The server has heard nothing of the death: no datagram says so.
  relay.cut = true;
  await sync(source, url('tree'), access);
  assertEqual(t, source, `${served}/tree`);
});

judged('a second writer to the same destination is told who holds it, or waits', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const [user, other] = [client(work, 'first'), client(work, 'second')];
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user, other] });
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, certify('large', 1, 32 << 20));
  await using relay = await Relay.start({ to: server.port });
  user.trust(relay.port, server.pin);
  const first = startCli(t, user, ['-a', `${source}/`, relay.url('root', 'tree')]);
  await relay.passed('up', 1 << 20);
  relay.cut = true;

  const access = accessOf(other, server);
  const busy = await failure(t, sync(source, server.url('root', 'tree'), access), BusyError);
  t.is(busy.code, 'ERR_SPARSYNC_BUSY');
  t.regex(busy.holder ?? '', /client0/);
  const alsoBelow = await failure(t, sync(source, server.url('root', 'tree/below'), access), BusyError);
  t.is(alsoBelow.code, 'ERR_SPARSYNC_BUSY');
  // Elsewhere nobody is in the way.
  await sync(source, server.url('root', 'elsewhere'), access);

  const waiting = sync(source, server.url('root', 'tree'), { ...access, lockWaitMs: 60_000 });
  relay.cut = false;
  t.is((await first.ended).code, 0);
  await waiting;
  assertEqual(t, source, `${served}/tree`);
});
