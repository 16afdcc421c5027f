// Builds sparsync-remote, linked statically, to the top folder as sparsync-remote.TARGET.
//   --release    the profile that is published
//   --target T   another target than this machine's (with --zig: by cargo-zigbuild)
import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { hostTarget } from './host.mjs';
import { mustRun, ROOT } from './process.mjs';

/** What may travel to another machine for a first sync. */
const BYTES_MAX = 6_000_000;

const ARCHITECTURES = { x64: 'x86_64', arm64: 'aarch64' };

/** The file that is built for one of the platform packages, `linux-x64-gnu` and the like. */
export const remoteFile = (target) => `sparsync-remote.${target}`;

/** Static, with relocations of a bit each: glibc (2.36 and later) applies them itself when such a program starts. */
const LINKED = ['-C', 'target-feature=+crt-static', '-C', 'link-arg=-Wl,-z,pack-relative-relocs'];

/** A panic ends the released program at once, so that nothing looks through the stack by this table. */
const ABORTING = ['-C', 'link-arg=-Wl,--no-eh-frame-hdr'];

/** Functions of the same code are kept once, by the linker that comes with Rust for this processor. */
const FOLDED = ['-C', 'link-arg=-Wl,--icf=all'];

/** The Rust triple of a platform package. */
function tripleOf(target) {
  const [, architecture, libc] = target.split('-');
  return `${ARCHITECTURES[architecture] ?? architecture}-unknown-linux-${libc}`;
}

/** Builds it for a platform package, this machine's by default. */
export async function buildRemote({ release = false, target = hostTarget(), zig = false, echo = false } = {}) {
  const triple = tripleOf(target);
  const profile = release ? ['--profile', 'remote'] : [];
  // A zig build is one of musl, whose programs are static anyway and run beside any library.
  const built = zig ? triple.replace(/gnu$/, 'musl') : triple;
  const crate = ['-p', 'sparsync-remote', '--bin', 'sparsync-remote', '--target', built, ...profile];
  if (zig) await mustRun('cargo', ['zigbuild', ...crate], { echo });
  // In the tests' profile it shares what is built of all that it depends on with the addon.
  else {
    const released = release ? [...ABORTING, ...(built.startsWith('x86_64') ? FOLDED : [])] : [];
    await mustRun('cargo', ['rustc', '-q', ...crate, '--', ...LINKED, ...released], { echo });
  }
  const folder = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target');
  const file = join(ROOT, remoteFile(target));
  // A process may be running from it: its file is replaced and not written to.
  rmSync(file, { force: true });
  copyFileSync(join(folder, built, release ? 'remote' : 'debug', 'sparsync-remote'), file);
  if (release && statSync(file).size > BYTES_MAX) throw new Error(`${file} has more than ${BYTES_MAX} bytes`);
  // What tells a copy that was put somewhere from one that was changed there.
  writeFileSync(`${file}.sha256`, `${createHash('sha256').update(readFileSync(file)).digest('hex')}\n`);
  return file;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { release: { type: 'boolean' }, target: { type: 'string' }, zig: { type: 'boolean' } },
  });
  console.log(await buildRemote({ ...values, echo: true }));
}
