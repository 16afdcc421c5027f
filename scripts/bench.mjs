// Builds the release profile and runs the benchmarks: the races of benches/race, or with --micro the micro-benchmarks.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { buildNative } from './build-native.mjs';
import { buildTs } from './build-ts.mjs';
import { mustRun, ROOT } from './process.mjs';
import { installDependencies, requireToolchain } from './setup.mjs';

const TYPESCRIPT = ['--import', '@oxc-node/core/register'];

/** Runs a program on this terminal; Ctrl-C is its own to handle, and it is waited for. */
async function onTerminal(program, args) {
  const ignore = () => {};
  process.on('SIGINT', ignore);
  const child = spawn(program, args, { cwd: ROOT, stdio: 'inherit' });
  const end = (signal) => child.kill(signal);
  process.once('SIGTERM', end);
  const [code, signal] = await once(child, 'exit');
  process.off('SIGINT', ignore);
  process.off('SIGTERM', end);
  return signal === null ? code : 1;
}

async function build() {
  await requireToolchain();
  await installDependencies();
  console.error('building the release profile (minutes when cold) …');
  await buildNative({ release: true });
  await buildTs();
}

/** Measurements that are no race. */
const APART = { '--fairness': 'fairness.ts', '--restarts': 'restarts.ts' };

const words = process.argv.slice(2);
if (words.includes('--help')) {
  process.exitCode = await onTerminal(process.execPath, [...TYPESCRIPT, join(ROOT, 'benches/race/main.ts'), '--help']);
} else if (words[0] === '--micro') {
  await build();
  const names = words.slice(1);
  const codes = [
    await onTerminal(process.execPath, [...TYPESCRIPT, join(ROOT, 'benches/micro/boundary.ts')]),
    await onTerminal('cargo', ['bench', '-p', 'sparsync-benches', '--benches', '--', ...names]),
  ];
  process.exitCode = Math.max(...codes);
} else {
  await build();
  await mustRun('cargo', ['build', '--release', '-q', '-p', 'sparsync-benches', '--bins']);
  const apart = APART[words[0]];
  const args = apart === undefined ? ['main.ts', ...words] : [apart, ...words.slice(1)];
  const [program, ...rest] = args;
  process.exitCode = await onTerminal(process.execPath, [...TYPESCRIPT, join(ROOT, 'benches/race', program), ...rest]);
}
