// Compiles ts/ to dist/. Starts from an empty folder, so that no removed module is published.
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { mustRun, ROOT, tool } from './process.mjs';

/** Compiles the TypeScript sources. */
export async function buildTs({ echo = false } = {}) {
  rmSync(`${ROOT}/dist`, { recursive: true, force: true });
  await mustRun(tool('tsc'), ['-p', 'tsconfig.build.json'], { echo });
  await buildCommand();
}

/**
 * The command is bundled, as CommonJS: a module costs the time of a file, and the first one that is none that of Node's
 * second loader, which together are most of what a run without a change would take.
 */
async function buildCommand() {
  // Not at the top: this module is loaded before the dependencies are installed.
  const { build } = await import('esbuild');
  const common = {
    absWorkingDir: ROOT,
    outdir: 'dist/cli',
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    supported: { 'dynamic-import': false },
    logLevel: 'warning',
  };
  const command = {
    ...common,
    define: { 'import.meta.dirname': '__dirname', 'import.meta.url': 'undefined' },
    plugins: [{ name: 'files of their own', setup: leaveOutside }],
    external: ['sparsync-native-*'],
  };
  // Much of it is white space and long names, which are read at each start and make the package a fifth larger.
  const packed = { minify: true, lineLimit: 120 };
  await build({ ...command, ...packed, entryPoints: ['ts/cli/main.ts', 'ts/cli/verbs.ts'] });
  await build({
    ...common,
    ...packed,
    entryPoints: { loader: 'index.js' },
    // It goes on to look where index.js lies.
    banner: { js: "'use strict';\nconst original = require('node:path').join(__dirname, '..', '..', 'index.js');" },
    define: { 'import.meta.url': 'original' },
  });
  // The package's own manifest says that its files are ES modules.
  writeFileSync(`${ROOT}/dist/cli/package.json`, '{ "type": "commonjs" }\n');
  chmodSync(`${ROOT}/dist/cli/main.js`, 0o755);
}

/** What the bundles load only when it is needed. */
function leaveOutside(build) {
  build.onResolve({ filter: /^\.\.\/index\.js$/ }, () => ({ path: './loader.js', external: true }));
  build.onResolve({ filter: /^\.\/verbs\.js$/ }, () => ({ path: './verbs.js', external: true }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildTs({ echo: true });
