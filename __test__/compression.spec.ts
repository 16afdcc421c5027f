// Compression by itself: on each way to a server, it is used where the path is slow, and not where the path is as fast as the processor.
import { writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { fileURLToPath } from 'node:url';

import type { ExecutionContext } from 'ava';

import { connect, sync, type SyncOptions } from '../dist/index.js';
import { assertEqual, judged } from './helpers/judge.js';
import { serveTcp } from './helpers/port.js';
import { Relay } from './helpers/relay.js';
import { remote } from './helpers/remote.js';
import { setup, type Setup } from './helpers/setup.js';
import { slowPath } from './helpers/slow-pipe.mjs';
import { dir } from './helpers/temp.js';
import { urlAt } from './helpers/url.js';

/** Less than half of it is left by compression. */
const TEXT = 'what compression makes small: 0123456789 abcdefghijklmnopqrstuvwxyz\n'.repeat(1000);
const BYTES = 24 << 20;

/** Slower than compression is worth, by far. */
const SLOW = 12 << 20;

const slowPipe = fileURLToPath(new URL('helpers/slow-pipe.mjs', import.meta.url));

function texts(work: string): string {
  const root = dir(work, 'source');
  for (let i = 0; i < 12; i += 1) writeFileSync(`${root}/text${i}`, `${i}${TEXT.repeat(BYTES / 12 / TEXT.length)}`);
  return root;
}

/** A TCP port of loopback that leads to another one as slowly. */
async function slowTcp(t: ExecutionContext, to: number): Promise<number> {
  return serveTcp(t, (near) => {
    const far = connectTcp(to, '127.0.0.1');
    for (const [from, into] of [[near, far] as const, [far, near] as const]) {
      from.on('error', () => into.destroy());
      from.on('close', () => into.destroy());
      from.pipe(slowPath(SLOW)).pipe(into);
    }
  });
}

type Ways = Record<string, { place: (path: string) => Parameters<typeof sync>[1]; options: SyncOptions }>;

async function slowWays(t: ExecutionContext, { served, server, access }: Setup): Promise<Ways> {
  const relay = await Relay.start({ to: server.port, delayMs: 20 });
  t.teardown(() => relay[Symbol.asyncDispose]());
  const slow = await slowTcp(t, server.port);
  const at = (port: number) => (path: string) => urlAt(`127.0.0.1:${port}`, 'root', path);
  const command = [process.execPath, slowPipe, String(SLOW)];
  return {
    quic: { place: at(relay.port), options: { ...access, transport: 'quic' } },
    tcp: { place: at(slow), options: { ...access, transport: 'tcp' } },
    pipe: {
      place: (path) => ({ command, path: `${served}/${path}` }),
      options: { remotePath: remote, transport: 'pipe' },
    },
  };
}

judged('content is compressed where the path is slow, whatever carries it', async (t) => {
  t.timeout(120_000);
  const made = await setup(t);
  const { work, served } = made;
  const source = texts(work);
  for (const [name, way] of Object.entries(await slowWays(t, made))) {
    const { stats } = await sync(source, way.place(`far-${name}`), way.options);
    t.true(stats.bytesSent < BYTES * 0.75, `${name}, a push: ${stats.bytesSent}`);
    assertEqual(t, source, `${served}/far-${name}`);
    const pulled = await sync(way.place(`far-${name}`), `${work}/pulled-${name}`, way.options);
    t.true(pulled.stats.bytesReceived < BYTES * 0.75, `${name}, a pull: ${pulled.stats.bytesReceived}`);
    assertEqual(t, source, `${work}/pulled-${name}`);
  }
});

judged('content is not compressed where the path is as fast as the processor', async (t) => {
  const { work, server, access } = await setup(t);
  const source = texts(work);
  for (const transport of ['quic', 'tcp'] as const) {
    const connection = await connect(server.url(), { ...access, transport });
    // A machine that is so busy that it answers itself as late as another one would is taken for a far one.
    let isNear = false;
    for (let attempt = 0; attempt < 20 && !isNear; attempt += 1) {
      const before = connection.roundTripMs();
      const { stats } = await connection.push(source, `root/${transport}${attempt}`);
      isNear = Math.max(before, connection.roundTripMs()) < 1;
      t.true(!isNear || stats.bytesSent >= BYTES * 0.9, `${transport}: ${stats.bytesSent}`);
    }
    if (!isNear) t.log(`${transport}: not judged, this machine was never near enough to itself`);
    await connection.close();
  }
});
