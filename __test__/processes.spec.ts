// Servers in the process of a test, and jobs in workers and in processes that end in the middle of them.
import { writeFileSync } from 'node:fs';
import { lookup } from 'node:dns/promises';

import test from 'ava';

import { connect, serve, SparsyncError, sync } from '../dist/index.js';
import { certify } from './helpers/certified.js';
import { child } from './helpers/child.js';
import { assertEqual, judged } from './helpers/judge.js';
import { client } from './helpers/product.js';
import { failure, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';
import { urlAt } from './helpers/url.js';
import { names } from './helpers/walk.js';

judged('a server in this process: address, url, stats of its clients, close and asyncDispose', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  plainTree(`${work}/source`, { directories: 2, files: 10 });
  const options = {
    listen: '127.0.0.1:0',
    roots: { root: served },
    identity: { keyPath: `${work}/server.pem` },
    allow: [{ name: 'me', key: user.publicKey }],
  };
  let port = 0;
  {
    await using server = await serve(options);
    port = server.port;
    t.true(port > 0);
    t.is(server.url('root'), `sparsync://127.0.0.1:${port}/root`);
    await using connection = await connect(server.url(), {
      identity: { keyPath: user.keyPath },
      trust: { pin: server.publicKey },
    });
    await connection.push(`${work}/source`, 'root/tree');
    assertEqual(t, `${work}/source`, `${served}/tree`);
  }
  const gone = await failure(
    t,
    connect(`sparsync://127.0.0.1:${port}`, {
      identity: { keyPath: user.keyPath },
      trust: { pin: user.publicKey },
      connectTimeoutMs: 500,
    }),
    SparsyncError,
  );
  t.true(['ERR_SPARSYNC_CONNECT', 'ERR_SPARSYNC_TIMEOUT'].includes(gone.code), gone.code);

  const again = await serve(options);
  await Promise.all([again.close(), again.close()]);
  await again.close();
});

test('two servers cannot have one port, and a root has to be there', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const options = {
    listen: '127.0.0.1:0',
    roots: { root: served },
    identity: { keyPath: `${work}/server.pem` },
    allow: [{ name: 'me', key: client(work).publicKey }],
  };
  const one = await serve(options);
  try {
    await failure(t, serve({ ...options, listen: `127.0.0.1:${one.port}` }), SparsyncError);
    const missing = await failure(t, serve({ ...options, roots: { root: `${work}/missing` } }), SparsyncError);
    t.regex(missing.message + String(missing.path), /missing/);
  } finally {
    await one.close();
  }
});

test('IPv6, and a server on all addresses', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  plainTree(`${work}/source`, { directories: 1, files: 3 });
  const options = {
    roots: { root: served },
    identity: { keyPath: `${work}/server.pem` },
    allow: [{ name: 'me', key: user.publicKey }],
  };
  const access = (pin: string) => ({ identity: { keyPath: user.keyPath }, trust: { pin } });
  // A name is tried with each of its addresses, the ones where nobody listens among them.
  const addresses = (await lookup('localhost', { all: true })).map(({ address }) => address);
  for (const [listen, ...hosts] of [
    ['[::1]:0', '[::1]', ...(addresses.includes('::1') ? ['localhost'] : [])],
    ['[::]:0', '[::1]', '127.0.0.1', 'localhost'],
    ['127.0.0.1:0', '127.0.0.1', ...(addresses.includes('127.0.0.1') ? ['localhost'] : [])],
  ]) {
    const server = await serve({ ...options, listen: listen ?? '' });
    for (const [i, host] of hosts.entries()) {
      const name = `${listen}-${i}`.replaceAll(/[^0-9a-z-]/g, '_');
      await sync(`${work}/source`, urlAt(`${host}:${server.port}`, 'root', name), access(server.publicKey));
      t.is(names(`${served}/${name}`).length, 4, `${host} at ${listen}`);
    }
    await server.close();
  }
});

for (const mode of ['exit', 'throw'] as const) {
  test(`a process that ${mode === 'exit' ? 'exits' : 'throws'} in mid-job ends as it should, without a crash`, async (t) => {
    const { work, url, access, served } = await setup(t);
    const source = dir(work, 'source');
    writeFileSync(`${source}/large`, certify('large', 1, 128 << 20));
    for (let i = 0; i < 3; i += 1) {
      const ended = await child(t, mode, { source, destination: url(`tree${i}`), options: access });
      t.deepEqual([ended.code, ended.signal], [mode === 'exit' ? 7 : 1, null], ended.stderr);
      const local = await child(t, mode, { source, destination: `${work}/local${i}`, options: {} });
      t.deepEqual([local.code, local.signal], [mode === 'exit' ? 7 : 1, null], local.stderr);
    }
    await sync(source, url('tree0'), { ...access, delete: true });
    assertEqual(t, source, `${served}/tree0`);
  });
}

test('it works in worker threads, several at once', async (t) => {
  const { work, url, access, served } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 5, files: 40 });
  const ended = await child(t, 'workers', { source, destination: url('tree'), options: access });
  t.deepEqual([ended.code, ended.signal, ended.stdout], [0, null, '[200,200,200]\n'], ended.stderr);
  for (const i of [0, 1, 2]) assertEqual(t, source, `${served}/tree${i}`);
});

test('a worker that is terminated in mid-job takes nothing with it', async (t) => {
  const { work, url, access } = await setup(t);
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, certify('large', 1, 128 << 20));
  const ended = await child(t, 'terminate', { source, destination: url('tree'), options: access });
  t.deepEqual([ended.code, ended.signal, ended.stdout], [0, null, 'terminated\n'], ended.stderr);
});

test('a process ends by itself when its job, its connection or its unref-ed server is all that is left', async (t) => {
  const { work, url, access, server } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 2, files: 5 });
  const plain = await child(t, 'sync', { source, destination: url('a'), options: access });
  t.deepEqual([plain.code, plain.signal, plain.stdout], [0, null, '{"transferred":10,"failures":[]}\n'], plain.stderr);
  const kept = await child(t, 'connection', { source, destination: server.url(), options: access });
  t.deepEqual([kept.code, kept.signal, kept.stdout], [0, null, 'pushed\n'], kept.stderr);

  const options = {
    listen: '127.0.0.1:0',
    roots: { root: dir(work, 'other') },
    identity: { keyPath: `${work}/server.pem` },
    allow: [{ name: 'me', key: client(work, 'me').publicKey }],
  };
  const unref = await child(t, 'unref', { options });
  t.deepEqual([unref.code, unref.signal, unref.stdout], [0, null, 'listening true\n'], unref.stderr);
  const ref = await child(t, 'ref', { options });
  t.deepEqual([ref.code, ref.signal, ref.stdout], [0, null, 'still here\n'], ref.stderr);
});
