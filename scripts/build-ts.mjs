// Compiles ts/ to dist/. Starts from an empty folder, so that no removed module is published.
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
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
  const inputs = async (entry) =>
    (await build({ ...command, entryPoints: [entry], write: false, metafile: true })).metafile.inputs;
  const start = reachable(await inputs('ts/cli/main.ts'), 'ts/cli/main.ts');
  const verbs = (contents) => ({
    ...command,
    plugins: [
      { name: 'what the start has', setup: (bundle) => takeShared(bundle, start, contents) },
      ...command.plugins,
    ],
    entryPoints: ['ts/cli/verbs.ts'],
  });
  // As a module it says what it would import.
  const { outputFiles } = await build({ ...verbs(), format: 'esm', write: false });
  const shared = importedFrom(outputFiles[0].text);
  const stdin = { contents: sharing(shared), resolveDir: ROOT };
  await build({ ...command, ...packed, stdin, outfile: 'dist/cli/main.js' });
  const taken = (file) => `module.exports = require('./main.js').shared(${[...shared.keys()].indexOf(file)});`;
  await build({ ...verbs(taken), ...packed, outdir: 'dist/cli' });
  await build({
    ...common,
    ...packed,
    outdir: 'dist/cli',
    entryPoints: { loader: 'index.js' },
    // It goes on to look where index.js lies.
    banner: { js: "'use strict';\nconst original = require('node:path').join(__dirname, '..', '..', 'index.js');" },
    define: { 'import.meta.url': 'original' },
  });
  // The package's own manifest says that its files are ES modules.
  writeFileSync(`${ROOT}/dist/cli/package.json`, '{ "type": "commonjs" }\n');
  chmodSync(`${ROOT}/dist/cli/main.js`, 0o755);
}

/** The modules that are there once a module is, without those that it may load later. */
function reachable(inputs, entry) {
  const found = new Set([entry]);
  for (const file of found) {
    for (const { path, kind } of inputs[file]?.imports ?? [])
      if (kind === 'import-statement' && path in inputs) found.add(path);
  }
  return [...found];
}

/** The names that a bundle imports, by the modules of ours that it does not have. */
function importedFrom(text) {
  const found = new Map();
  for (const [, names, file] of text.matchAll(/^import \{([^}]*)\} from "shared:(.*)";$/gm)) {
    const all = names.split(',').map((name) => name.trim().replace(/ as .*/, ''));
    found.set(file, new Set([...(found.get(file) ?? []), ...all]));
  }
  return found;
}

/** The start of the process, which lets the verbs have what both need: it is once in the package, and once in memory. */
function sharing(shared) {
  const modules = [...shared].map(([file, names], index) => ({
    from: `import { ${[...names].map((name) => `${name} as ${name}${index}`).join(', ')} } from './${file}';`,
    members: `{ __esModule: true, ${[...names].map((name) => `${name}: ${name}${index}`).join(', ')} }`,
  }));
  // A function is there before the command runs, which is before the end of this module; and what it gives is made for verbs alone.
  return `#!/usr/bin/env node
${modules.map(({ from }) => from).join('\n')}
import './ts/cli/main.ts';
export function shared(index) {
  switch (index) {
    ${modules.map(({ members }, index) => `case ${index}: return ${members};`).join('\n')}
  }
}
`;
}

/** What of another bundle is loaded already, and in its place `contents` of a module, or, without them, an import. */
function takeShared(build, files, contents) {
  build.onResolve({ filter: /^\.{1,2}\/.*\.js$/ }, ({ path, resolveDir }) => {
    const file = relative(ROOT, join(resolveDir, path.replace(/\.js$/, '.ts')));
    if (!files.includes(file)) return undefined;
    return contents === undefined ? { path: `shared:${file}`, external: true } : { path: file, namespace: 'shared' };
  });
  build.onLoad({ filter: /./, namespace: 'shared' }, ({ path }) => ({ contents: contents(path) }));
  build.onResolve({ filter: /^\.\/main\.js$/, namespace: 'shared' }, ({ path }) => ({ path, external: true }));
}

/** What the bundles load only when it is needed. */
function leaveOutside(build) {
  build.onResolve({ filter: /^\.\.\/index\.js$/ }, () => ({ path: './loader.js', external: true }));
  build.onResolve({ filter: /^\.\/verbs\.js$/ }, () => ({ path: './verbs.js', external: true }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildTs({ echo: true });
