// Builds the release profile and runs the benchmarks under benches/, or those whose path contains one of the arguments.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildNative } from './build-native.mjs';
import { buildTs } from './build-ts.mjs';
import { mustRun, ROOT } from './process.mjs';
import { installDependencies, requireToolchain } from './setup.mjs';

const wanted = process.argv.slice(2);
const isWanted = (path) => wanted.length === 0 || wanted.some((part) => path.includes(part));

await requireToolchain();
await installDependencies();
await buildNative({ release: true });
await buildTs();

const folder = join(ROOT, 'benches');
for (const name of readdirSync(folder, { recursive: true }).sort()) {
  if (!/\.bench\.(ts|mjs)$/.test(name) || !isWanted(name)) continue;
  console.log(`\n# ${name}`);
  await mustRun(process.execPath, ['--import', '@oxc-node/core/register', join(folder, name)], { echo: true });
}
if (existsSync(join(folder, 'Cargo.toml')) && isWanted('rust')) {
  await mustRun('cargo', ['bench', '--manifest-path', join(folder, 'Cargo.toml')], { echo: true });
}
