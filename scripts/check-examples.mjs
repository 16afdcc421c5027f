// Runs the programs under examples/ as their READMEs say, against a server on loopback, and looks at what they did.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identity, issueCredential, serve } from '../dist/index.js';
import { ROOT, run } from './process.mjs';
import { runChecks } from './tap.mjs';
import { compareTrees } from './tree-compare.mjs';

const work = mkdtempSync(join(tmpdir(), 'sparsync-examples-'));
const folder = (...names) => {
  const path = join(work, ...names);
  mkdirSync(path, { recursive: true });
  return path;
};

process.env.SPARSYNC_CONFIG_DIR = join(work, 'server', 'config');
process.env.SPARSYNC_STATE_DIR = join(work, 'server', 'state');
const clientEnv = {
  SPARSYNC_CONFIG_DIR: join(work, 'client', 'config'),
  SPARSYNC_STATE_DIR: join(work, 'client', 'state'),
};
const { publicKey: key } = await identity(join(clientEnv.SPARSYNC_CONFIG_DIR, 'key.pem'));
const roots = { nightly: folder('backups'), builds: folder('builds') };
const authorizedKeysPath = join(folder('server', 'config'), 'authorized_keys');
writeFileSync(authorizedKeysPath, '', { mode: 0o600 });
const server = await serve({ roots, authorizedKeysPath, allow: [{ name: 'example', key }] });
const { credential } = await issueCredential('ci', `127.0.0.1:${server.port}`, {
  roots: ['builds'],
  operations: ['read', 'write', 'delete'],
  authorizedKeysPath,
});

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

function expectEqualTrees(source, destination) {
  const { differences } = compareTrees(source, destination);
  expect(differences.length === 0, differences.join('\n'));
}

/** A tree of a few files, an empty directory and a script. */
function makeTree(name, files) {
  const top = folder(name);
  folder(name, 'empty');
  folder(name, 'sub');
  for (let index = 0; index < files; index += 1) writeFileSync(join(top, 'sub', `file-${index}`), `content ${index}`);
  writeFileSync(join(top, 'run.sh'), '#!/bin/sh\n');
  chmodSync(join(top, 'run.sh'), 0o750);
  return top;
}

function backup(source, target) {
  const env = { ...clientEnv, BACKUP_SOURCE: source, BACKUP_TARGET: target, BACKUP_SERVER_KEY: server.publicKey };
  return run(process.execPath, [join(ROOT, 'examples', 'nightly-backup', 'backup.mjs')], { env });
}

function artifacts(action, path, commit) {
  const env = {
    SPARSYNC_CONFIG_DIR: join(work, 'job'),
    SPARSYNC_CREDENTIAL: credential,
    ARTIFACTS_URL: server.url('builds'),
    COMMIT: commit,
    SPARSYNC: `${process.execPath} ${join(ROOT, 'dist', 'cli', 'main.js')}`,
  };
  return run(join(ROOT, 'examples', 'ci-artifacts', 'artifacts.sh'), [action, path], { env });
}

try {
  await runChecks({
    'examples: nightly-backup mirrors a folder, deletions too': async () => {
      const source = makeTree('data', 20);
      const url = `${server.url('nightly')}/data`;
      const first = await backup(source, url);
      expect(first.code === 0 && first.stdout.startsWith('backup complete'), first.output);
      expectEqualTrees(source, join(roots.nightly, 'data'));
      unlinkSync(join(source, 'sub', 'file-3'));
      const second = await backup(source, url);
      expect(second.code === 0 && second.stdout.includes('1 deleted'), second.output);
      expectEqualTrees(source, join(roots.nightly, 'data'));
    },

    'examples: nightly-backup refuses to mirror a loss, and says what to do': async () => {
      const source = makeTree('large', 200);
      const url = `${server.url('nightly')}/large`;
      const first = await backup(source, url);
      expect(first.code === 0, first.output);
      rmSync(join(source, 'sub'), { recursive: true });
      folder('large', 'sub');
      const second = await backup(source, url);
      expect(second.code === 2 && second.output.includes('allowMassDelete'), second.output);
    },

    'examples: nightly-backup names what it lacks': async () => {
      const result = await backup('', '');
      expect(result.code === 2 && result.output.includes('BACKUP_SOURCE'), result.output);
    },

    'examples: ci-artifacts stores a build and fetches it': async () => {
      const build = makeTree('build', 5);
      const stored = await artifacts('store', build, '4f2a9c1');
      expect(stored.code === 0 && stored.stdout.startsWith('store: 6 files'), stored.output);
      const fetched = await artifacts('fetch', join(work, 'fetched'), '4f2a9c1');
      expect(fetched.code === 0 && fetched.stdout.startsWith('fetch: 6 files'), fetched.output);
      expectEqualTrees(build, join(work, 'fetched'));
    },

    'examples: ci-artifacts fails for a commit that was never stored': async () => {
      const result = await artifacts('fetch', join(work, 'nothing'), 'ffffffff');
      expect(result.code === 23, result.output);
    },
  });
} finally {
  await server.close();
  rmSync(work, { recursive: true, force: true });
}
