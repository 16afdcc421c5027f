// A server with more clients than it wants: what it holds stays within what it says, and who is honest goes on.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { connect as dial, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

import test, { type ExecutionContext } from 'ava';

import { sync } from '../dist/index.js';
import { HalfOpen } from './helpers/half-open.js';
import { assertEqual } from './helpers/judge.js';
import { freePort } from './helpers/port.js';
import { start, until } from './helpers/process.js';
import { client } from './helpers/product.js';
import { Relay } from './helpers/relay.js';
import { startServer, type TestServer } from './helpers/server.js';
import { accessOf, scaled } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

const crowdScript = fileURLToPath(new URL('helpers/crowd.mjs', import.meta.url));

const CLIENTS = 200;
/** How often each of them pushes: the mean of one wave, beside which a sync goes a dozen times, says little. */
const WAVES = 4;
const HANDSHAKES = 10_000;

/** What a server may have in memory that serves so many, and the files and sockets that it may have open. */
const MEMORY_MAX = 900 << 20;
const DESCRIPTORS_MAX = 3000;

/** Handshakes under way at once over QUIC and over TCP, as documented. */
const OPEN_QUIC = 1024;
const OPEN_TCP = 512;

/** So many sources take all of QUIC together. Each may have 32. */
const SOURCES = 40;

interface Held {
  readonly memory: number;
  readonly descriptors: number;
}

/** What a process holds, as the kernel says: at most so far, and now. */
function held(server: TestServer): Held {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  const memory = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) << 10;
  return { memory, descriptors: readdirSync(`/proc/${server.pid}/fd`).length };
}

function within(t: ExecutionContext, server: TestServer, what: string): void {
  const { memory, descriptors } = held(server);
  t.log(`${what}: ${Math.round(memory / 2 ** 20)} MiB at most, ${descriptors} descriptors`);
  t.true(memory < MEMORY_MAX, `${what}: ${memory} bytes`);
  t.true(descriptors < DESCRIPTORS_MAX, `${what}: ${descriptors} descriptors`);
}

/** Handshakes that the server has under way. */
async function handshakes(metrics: string): Promise<number> {
  const text = await (await fetch(`http://${metrics}/metrics`)).text();
  return Number(/^sparsync_handshakes_active (\d+)$/m.exec(text)?.[1]);
}

function mean(times: readonly number[]): number {
  return times.reduce((sum, time) => sum + time, 0) / times.length;
}

async function crowded(t: ExecutionContext, limits: readonly string[] = []) {
  const work = workDir(t);
  const served = dir(work, 'served');
  const [honest, crowd] = [client(work, 'honest'), client(work, 'crowd')];
  const metrics = `127.0.0.1:${await freePort()}`;
  const server = await startServer(t, {
    home: work,
    roots: { root: served },
    allow: [`honest ${honest.publicKey}`, `crowd ${crowd.publicKey}`],
    args: ['--max-connections-per-key', '400', '--metrics', metrics, ...limits],
  });
  const source = dir(work, 'source');
  for (let file = 0; file < 50; file += 1) writeFileSync(`${source}/${file}`, Buffer.alloc(file * 1000, `${file}`));
  let runs = 0;
  /** A sync of who is honest, with the time that it takes. */
  const goesOn = async (): Promise<number> => {
    runs += 1;
    const began = performance.now();
    await sync(source, server.url('root', `honest${runs}`), accessOf(honest, server));
    const took = performance.now() - began;
    assertEqual(t, source, `${served}/honest${runs}`);
    return took;
  };
  const ratio = (what: string, took: number, alone: number): void =>
    t.log(
      `${what}: an honest client took ${Math.round(took)} ms, alone ${Math.round(alone)} ms: ${(took / alone).toFixed(1)} times`,
    );
  await goesOn();
  return { work, served, server, source, crowd: accessOf(crowd, server), goesOn, ratio, metrics };
}

/** How many may transfer at once. Who meets such a limit tries again. */
const LIMITS: readonly (readonly [string, readonly string[]])[] = [
  ['its own limits', []],
  ['all of them at once', ['--max-sessions', '300', '--max-sessions-per-key', '300']],
];

for (const [name, limits] of LIMITS) {
  test.serial(`two hundred clients at once: ${name}`, async (t) => {
    const { served, server, source, crowd, goesOn, ratio } = await crowded(t, limits);
    const before = held(server).descriptors;
    const alone: number[] = [];
    for (let time = 0; time < 10; time += 1) alone.push(await goesOn());
    // They stand for other machines, and what they compute themselves is not to be waited for here.
    const facts = { url: server.url(), source, access: crowd, clients: CLIENTS };
    const others = start(t, 'nice', ['-n', '19', process.execPath, crowdScript, JSON.stringify(facts)], {
      input: null,
    });
    const said = (word: string): boolean => {
      if (others.over()) throw new Error(`the crowd ended: ${others.stderr()}`);
      return others.stdout().includes(word);
    };
    await until('the crowd to be connected', () => said('connected'));
    const took: number[] = [];
    for (let wave = 0; wave < WAVES; wave += 1) {
      others.child.stdin?.write(`${wave}\n`);
      await until('the crowd to begin', () => said(`pushing ${wave}`));
      do took.push(await goesOn());
      while (!said(`done ${wave}`));
    }
    ratio(`beside 200, ${took.length} times`, mean(took), mean(alone));
    within(t, server, 'with 200 clients');
    for (const number of [0, CLIENTS - 1]) assertEqual(t, source, `${served}/crowd${number}-${WAVES - 1}`);
    others.child.stdin?.end();
    t.is((await others.ended).code, 0, others.stderr());
    await until('its descriptors to be given back', () => held(server).descriptors <= before + 5);
  });
}

test.serial('ten thousand handshakes that are left half open, and as many connections as TCP takes', async (t) => {
  const { server, goesOn, ratio, metrics } = await crowded(t);
  const before = held(server).descriptors;
  const alone = mean([await goesOn(), await goesOn(), await goesOn()]);
  // Most of them are asked to show their address, which is forgotten; those that do are as many as there may be.
  using forged = await HalfOpen.begin(server.port, HANDSHAKES / 2, 1, false);
  ratio('beside forged addresses', await goesOn(), alone);
  // As many sources as it takes, each with all that it may have; on loopback a source is a port.
  using shown = await HalfOpen.begin(server.port, HANDSHAKES / 2, SOURCES, true);
  await until('the server to take as many as it does', () => forged.begun + shown.begun >= 0.95 * OPEN_QUIC);
  const open = await handshakes(metrics);
  t.true(open >= 0.9 * OPEN_QUIC && open <= OPEN_QUIC, `${open} at once, as documented`);
  const silent: Socket[] = [];
  for (let number = 0; number < 2 * OPEN_TCP; number += 1) {
    const socket = dial(server.port, '127.0.0.1');
    socket.on('error', () => undefined);
    silent.push(socket);
  }
  await until('the server to take no more over TCP', () => silent.some((socket) => socket.closed));
  const all = await handshakes(metrics);
  t.true(all <= OPEN_QUIC + OPEN_TCP, `${all} at once over both`);
  within(t, server, `with ${forged.begun + shown.begun} of ${HANDSHAKES} handshakes`);
  t.true(held(server).descriptors <= before + OPEN_TCP + 100, 'TCP takes as many as it says');
  t.true(forged.retried > HANDSHAKES / 4, `${forged.retried} were asked for their address`);
  const crowdedOut: number[] = [];
  for (let time = 0; time < 3; time += 1) crowdedOut.push(await goesOn());
  ratio('when no more handshakes fit', mean(crowdedOut), alone);
  for (const socket of silent) socket.destroy();
  await until('its descriptors to be given back', () => held(server).descriptors <= before + 5);
  await goesOn();
});

test.serial('clients that stall in each phase', async (t) => {
  const { work, server, crowd, goesOn, ratio } = await crowded(t);
  const before = held(server).descriptors;
  const alone = await goesOn();
  const large = dir(work, 'large');
  writeFileSync(`${large}/a`, Buffer.alloc(32 << 20, 'a'));
  for (let file = 0; file < 500; file += 1) writeFileSync(`${large}/small${file}`, `${file}`);
  // The first packet, the handshake, the request, the tree, the lists, content; each several times.
  const phases = [1, 1500, 3000, 5000, 9000, 20_000, 200_000, 2 << 20, 16 << 20];
  const relays: Relay[] = [];
  const jobs: PromiseLike<unknown>[] = [];
  const stalled: PromiseLike<void>[] = [];
  for (let time = 0; time < scaled(3, 20); time += 1) {
    for (const bytes of phases) {
      const relay = await Relay.start({ to: server.port });
      relays.push(relay);
      t.teardown(() => relay.close());
      stalled.push(relay.passed('up', bytes).then(() => void (relay.cut = true)));
      const to = relay.url('root', `stalled${relays.length}`);
      const job = sync(large, to, { ...crowd, transport: 'quic', idleTimeoutMs: 60_000, compression: 'never' });
      jobs.push(job.result.catch(() => undefined));
      t.teardown(() => job.cancel());
    }
  }
  await Promise.all(stalled);
  within(t, server, `with ${relays.length} clients that have stalled`);
  ratio('beside them', await goesOn(), alone);
  for (const relay of relays) relay.cut = false;
  await Promise.all(jobs);
  within(t, server, 'when they have gone on');
  t.true(held(server).descriptors <= before + relays.length * 4, 'nothing is left open for ever');
  await goesOn();
});
