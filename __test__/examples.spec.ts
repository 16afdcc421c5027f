// The programs under examples/ do what they promise, against a server on loopback.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { ExecutionContext } from 'ava';

import { issueCredential } from '../dist/index.js';
import { assertEqual, judged } from './helpers/judge.js';
import { type Ended, start } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { setup, type Setup } from './helpers/setup.js';
import { site } from './helpers/site.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';
import { names } from './helpers/walk.js';

const example = (path: string): string => fileURLToPath(new URL(`../examples/${path}`, import.meta.url));

function backup(t: ExecutionContext, { client, server }: Setup, source: string, target: string): Promise<Ended> {
  return start(t, process.execPath, [example('nightly-backup/backup.mjs')], {
    env: { ...client.env, BACKUP_SOURCE: source, BACKUP_TARGET: target, BACKUP_SERVER_KEY: server.pin },
  }).ended;
}

judged('examples/nightly-backup mirrors a folder, and refuses to mirror a loss', async (t) => {
  const made = await setup(t);
  const { work, served, url } = made;
  const source = dir(work, 'photos');
  plainTree(source, { directories: 4, files: 100 });
  const first = await backup(t, made, source, url('photos'));
  t.deepEqual([first.code, first.stderr], [0, '']);
  t.regex(first.stdout, /backup complete: .*400 files sent/);
  assertEqual(t, source, `${served}/photos`);

  writeFileSync(`${source}/dir0000/new`, 'x');
  rmSync(`${source}/dir0000/file00001`);
  const second = await backup(t, made, source, url('photos'));
  t.deepEqual([second.code, second.stderr], [0, '']);
  t.regex(second.stdout, /1 files sent .*1 deleted/);
  assertEqual(t, source, `${served}/photos`);

  const had = names(`${served}/photos`);
  rmSync(source, { recursive: true });
  mkdirSync(source);
  const refused = await backup(t, made, source, url('photos'));
  t.is(refused.code, 2);
  t.regex(refused.stderr, /allowMassDelete/);
  t.deepEqual(names(`${served}/photos`), had);
});

judged('examples/ci-artifacts stores a folder and fetches it elsewhere', async (t) => {
  const { work, served, server, address, options } = await site(t);
  const rights = { roots: ['root'], operations: ['read', 'write', 'delete', 'owner'] as const };
  const { credential } = await issueCredential('ci', address, { ...options, ...rights });
  server.reload();
  const built = dir(work, 'dist');
  plainTree(built, { directories: 2, files: 20 });
  const artifacts = (action: string, folder: string): Promise<Ended> =>
    start(t, 'sh', [example('ci-artifacts/artifacts.sh'), action, folder], {
      env: {
        SPARSYNC_CONFIG_DIR: `${work}/job`,
        SPARSYNC_STATE_DIR: `${work}/job`,
        SPARSYNC_CREDENTIAL: credential,
        ARTIFACTS_URL: `sparsync://${address}/root`,
        COMMIT: '0123abc',
        SPARSYNC: `${process.execPath} ${program}`,
      },
    }).ended;
  const stored = await artifacts('store', built);
  t.is(stored.code, 0, stored.stderr);
  assertEqual(t, built, `${served}/0123abc`, { wholeSeconds: true });
  const fetched = await artifacts('fetch', `${work}/elsewhere`);
  t.is(fetched.code, 0, fetched.stderr);
  assertEqual(t, built, `${work}/elsewhere`, { wholeSeconds: true });
  const missing = await artifacts('store', `${work}/not built`);
  t.is(missing.code, 23);
  t.true(existsSync(`${served}/0123abc/dir0000`), 'what was stored stays');
});

judged(
  'examples/sandbox fills a sandbox and brings back what changed, and leaves nothing of its own there',
  async (t) => {
    const work = workDir(t);
    const source = dir(work, 'project');
    const sandbox = dir(work, 'sandbox');
    plainTree(source, { directories: 4, files: 25 });
    const run = async (...args: readonly string[]): Promise<string> => {
      const command = ['env', '-C', sandbox, `TMPDIR=${work}/tmp`, 'PATH=/usr/bin:/bin'];
      const ended = await start(t, process.execPath, [example('sandbox/sandbox.mjs'), ...args, ...command], {
        env: client(work).env,
      }).ended;
      t.deepEqual([ended.code, ended.stderr], [0, '']);
      return ended.stdout;
    };
    dir(work, 'tmp');
    const inside = `${sandbox}/work`;
    t.regex(await run('seed', source, 'work'), /^100 files, 0 deleted/);
    assertEqual(t, source, inside);
    t.regex(await run('seed', source, 'work'), /^0 files/);
    writeFileSync(`${inside}/new`, 'made there');
    rmSync(`${inside}/dir0000`, { recursive: true });
    t.regex(await run('collect', 'work', source), /^1 files, 2[56] deleted/);
    assertEqual(t, inside, source);
    t.deepEqual([...names(`${work}/tmp`), ...names(sandbox).filter((name) => !/^work(\/|$)/.test(name))], []);
  },
);
