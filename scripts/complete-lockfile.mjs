// Completes package-lock.json after `npm install`, so that `npm ci` accepts it everywhere (docs/adr/0001).
//
// npm leaves an optional package out of the lockfile when it cannot load it, and `npm ci` then refuses the whole
// file. Two sorts are concerned: our own platform packages, which do not exist on a registry before the release
// that this very commit may become, and the tools' binaries for other platforms where a registry mirror does not
// carry them. The first become links into npm/, the second entries with version, os and cpu alone.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { resolve } from 'node:path';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const LOCKFILE = resolve(ROOT, 'package-lock.json');

const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const PROCESSORS = ['arm64', 'arm', 'ia32', 'ppc64', 'riscv64', 's390x', 'x64'];

/** What a platform package's name says about where it fits, in the lockfile's words. */
export function platformOf(name) {
  const words = name.split(/[-/]/);
  const os = SYSTEMS.find((system) => words.includes(system));
  const cpu = words.includes('wasm32') ? 'wasm32' : PROCESSORS.find((processor) => words.includes(processor));
  const last = words.at(-1);
  const libc = last.startsWith('musl') ? 'musl' : last.startsWith('gnu') && os === 'linux' ? 'glibc' : undefined;
  return { ...(cpu && { cpu: [cpu] }), ...(libc && { libc: [libc] }), ...(os && { os: [os] }) };
}

/** Whether a package at `from` finds `name` in the lockfile, by node's rule: its own folder first, then upwards. */
function isLocked(packages, from, name) {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1))) {
    if (packages[`${folder === '' ? '' : `${folder}/`}node_modules/${name}`]) return true;
    if (folder === '') return false;
  }
}

/** Adds what is missing to a parsed lockfile and returns the names added. */
export function complete(lock, ownPackages) {
  const added = [];
  for (const own of ownPackages) {
    const { name, version, license, engines, os, cpu, libc } = own.manifest;
    lock.packages[`node_modules/${name}`] ??= { resolved: own.folder, link: true };
    lock.packages[own.folder] = { name, version, cpu, libc, license, optional: true, os, engines };
  }
  for (const [from, entry] of Object.entries(lock.packages)) {
    for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
      if (isLocked(lock.packages, from, name)) continue;
      if (!/^\d+\.\d+\.\d+/.test(range)) throw new Error(`${from}: ${name}@${range} is not pinned to one version`);
      lock.packages[`node_modules/${name}`] = {
        version: range,
        ...platformOf(name),
        ...(entry.dev && { dev: true }),
        optional: true,
      };
      added.push(name);
    }
  }
  const [root, ...rest] = Object.keys(lock.packages);
  lock.packages = Object.fromEntries(
    [root, ...rest.sort((a, b) => a.localeCompare(b, 'en'))].map((key) => [key, lock.packages[key]]),
  );
  return added;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lock = JSON.parse(readFileSync(LOCKFILE, 'utf8'));
  const own = readdirSync(resolve(ROOT, 'npm')).map((target) => ({
    folder: `npm/${target}`,
    manifest: JSON.parse(readFileSync(resolve(ROOT, 'npm', target, 'package.json'), 'utf8')),
  }));
  const added = complete(lock, own);
  writeFileSync(LOCKFILE, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(`package-lock.json: ${own.length} own platform packages linked, ${added.length} entries added`);
}
