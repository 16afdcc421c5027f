// Packs the root package and this machine's platform package, as they are published, into a folder.
//   node scripts/pack.mjs [FOLDER]   (default: the current folder)
import { copyFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { remoteFile } from './build-remote.mjs';
import { hostTarget } from './host.mjs';
import { mustRun, ROOT } from './process.mjs';

async function packFolder(folder, destination) {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', destination];
  const [packed] = JSON.parse((await mustRun('npm', args, { cwd: folder })).stdout);
  return { ...packed, tarball: join(destination, packed.filename) };
}

/** Packs both into `destination`; the trees under npm/ stay as they are. */
export async function pack(destination) {
  const target = hostTarget();
  const staging = mkdtempSync(join(tmpdir(), 'sparsync-pack-'));
  try {
    cpSync(join(ROOT, 'npm', target), staging, { recursive: true });
    copyFileSync(join(ROOT, 'LICENSE'), join(staging, 'LICENSE'));
    copyFileSync(join(ROOT, `sparsync.${target}.node`), join(staging, `sparsync.${target}.node`));
    for (const name of [remoteFile(target), `${remoteFile(target)}.sha256`])
      copyFileSync(join(ROOT, name), join(staging, name));
    return { root: await packFolder(ROOT, destination), platform: await packFolder(staging, destination) };
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const packed = await pack(resolve(process.argv[2] ?? '.'));
  console.log(packed.root.tarball);
  console.log(packed.platform.tarball);
}
