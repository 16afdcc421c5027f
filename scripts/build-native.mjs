// Builds the addon to the top folder, with its generated loader and types, and for this machine sparsync-remote.
//   --release   the profile that is published (minutes); without it the one that the tests use
//   --target T  another target than this machine's
//   --check     fails when the generated files were not what the Rust sources say
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildRemote } from './build-remote.mjs';
import { mustRun, ROOT, tool } from './process.mjs';

/** The files that are generated and committed. */
const GENERATED = ['index.js', 'index.d.ts'];

const read = () =>
  GENERATED.map((file) => (existsSync(`${ROOT}/${file}`) ? readFileSync(`${ROOT}/${file}`, 'utf8') : ''));

/** Builds, and returns the names of generated files whose content changed. */
export async function buildNative({ release = false, target, extra = [], echo = false } = {}) {
  const before = read();
  // Without --no-dts-cache types of removed functions stay in index.d.ts.
  const args = ['build', '--platform', '--esm', '--no-dts-cache', '--manifest-path', 'crate/napi/Cargo.toml'];
  args.push('--output-dir', '.', '--js', 'index.js', '--dts', 'index.d.ts');
  if (release) args.push('--release');
  if (target) args.push('--target', target);
  await mustRun(tool('napi'), [...args, ...extra], { echo });
  if (!target) await buildRemote({ release, echo });
  const after = read();
  return GENERATED.filter((_, index) => before[index] !== after[index]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    options: { release: { type: 'boolean' }, check: { type: 'boolean' }, target: { type: 'string' } },
    allowPositionals: true,
  });
  const changed = await buildNative({ ...values, extra: positionals, echo: true });
  if (values.check && changed.length > 0) {
    console.error(`${changed.join(' and ')} did not match the Rust sources; commit what the build wrote.`);
    process.exitCode = 1;
  }
}
