// Compiles ts/ to dist/. Starts from an empty folder, so that no removed module is published.
import { chmodSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { mustRun, ROOT, tool } from './process.mjs';

/** Compiles the TypeScript sources. */
export async function buildTs({ echo = false } = {}) {
  rmSync(`${ROOT}/dist`, { recursive: true, force: true });
  await mustRun(tool('tsc'), ['-p', 'tsconfig.build.json'], { echo });
  chmodSync(`${ROOT}/dist/cli/main.js`, 0o755);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildTs({ echo: true });
