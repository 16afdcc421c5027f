// Builds the release profile and runs every benchmark, or those named.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildNative } from './build-native.mjs';
import { buildTs } from './build-ts.mjs';
import { mustRun, ROOT } from './process.mjs';
import { installDependencies, requireToolchain } from './setup.mjs';

await requireToolchain();
await installDependencies();
await buildNative({ release: true });
await buildTs();
