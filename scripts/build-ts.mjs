// Compiles ts/ to dist/. Starts from an empty folder, so that no removed module is published.
import { createHash } from 'node:crypto';
import { chmodSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mustRun, ROOT, tool } from './process.mjs';

/** Where the command starts. */
const START = 'ts/cli/start.ts';

/** What all bundles have. */
const COMMON = { absWorkingDir: ROOT, bundle: true, platform: 'node', target: 'node20.19', logLevel: 'warning' };

/** Compiles the TypeScript sources. */
export async function buildTs({ echo = false } = {}) {
  rmSync(`${ROOT}/dist`, { recursive: true, force: true });
  await mustRun(tool('tsc'), ['-p', 'tsconfig.build.json'], { echo });
  await buildApi();
  await buildCommand();
}

/**
 * The API is one module beside the types: a program that imports some fifty waits 40 ms for them, and has 6 MB more. What is
 * for bundlers stays as it is, for the words in it that they show.
 */
async function buildApi() {
  const types = typesFrom('index');
  for (const name of readdirSync(`${ROOT}/dist`)) {
    if (name !== 'bundlers.js' && !types.has(name)) rmSync(`${ROOT}/dist/${name}`);
  }
  // Not at the top: this module is loaded before the dependencies are installed.
  const { build } = await import('esbuild');
  await build({
    ...COMMON,
    format: 'esm',
    entryPoints: ['ts/index.ts'],
    outdir: 'dist',
    // Names stay, for who reads a stack; a third of it would be white space.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 120,
    external: ['../index.js', './bundlers.js'],
  });
}

/** The files of types that a module's types need: those of what is inside are nobody's. */
function typesFrom(module) {
  const found = new Set([`${module}.d.ts`]);
  for (const file of found) {
    const text = readFileSync(`${ROOT}/dist/${file}`, 'utf8');
    for (const [, name] of text.matchAll(/\b(?:from|import)\s*\(?'\.\/([\w-]+)\.js'/g)) found.add(`${name}.d.ts`);
  }
  return found;
}

/**
 * The command is bundled, as CommonJS: a module costs the time of a file, and the first one that is none that of Node's
 * second loader, which together are most of what a run without a change would take.
 */
async function buildCommand() {
  // Not at the top: this module is loaded before the dependencies are installed.
  const { build } = await import('esbuild');
  const common = { ...COMMON, format: 'cjs', supported: { 'dynamic-import': false } };
  const command = {
    ...common,
    define: { 'import.meta.dirname': '__dirname', 'import.meta.url': 'undefined' },
    plugins: [{ name: 'files of their own', setup: leaveOutside }],
    external: ['sparsync-native-*'],
  };
  // Much of it is white space and long names, which are read at each start and make the package a fifth larger.
  const packed = { minify: true, lineLimit: 120 };
  const { metafile } = await build({ ...command, entryPoints: [START], write: false, metafile: true });
  const start = reachable(metafile.inputs, START);
  const first = loadedLater(metafile.inputs, start);
  const later = [...first, ...inSeveral(metafile.inputs, start, first)];
  command.plugins.push({ name: 'what is loaded later', setup: (bundle) => leaveLater(bundle, later) });
  const bundles = (contents) => ({
    ...command,
    plugins: [
      ...command.plugins,
      { name: 'what the start has', setup: (bundle) => takeShared(bundle, start, contents) },
    ],
    entryPoints: Object.fromEntries(later.map((file) => [bundleName(file), file])),
    outdir: 'dist/cli',
  });
  // As modules they say what they would import.
  const { outputFiles } = await build({ ...bundles(), format: 'esm', write: false });
  const shared = importedFrom(outputFiles.map(({ text }) => text).join('\n'));
  const stdin = { contents: sharing(shared), resolveDir: ROOT };
  await build({
    ...command,
    ...packed,
    stdin,
    outfile: 'dist/cli/start.js',
    // One expression, which `main.ts` runs.
    banner: { js: '(function (exports, require, module, __filename, __dirname) {' },
    footer: { js: '})' },
  });
  const text = readFileSync(`${ROOT}/dist/cli/start.js`);
  const define = {
    ...command.define,
    START: JSON.stringify(createHash('sha256').update(text).digest('hex').slice(0, 16)),
  };
  await build({ ...command, ...packed, define, entryPoints: ['ts/cli/main.ts'], outdir: 'dist/cli' });
  const taken = (file) =>
    `module.exports = require('${START_OF_PROCESS}').shared(${[...shared.keys()].indexOf(file)});`;
  await build({ ...bundles(taken), ...packed });
  await buildLoader(build, { ...common, ...packed });
  // The package's own manifest says that its files are ES modules.
  writeFileSync(`${ROOT}/dist/cli/package.json`, '{ "type": "commonjs" }\n');
  chmodSync(`${ROOT}/dist/cli/main.js`, 0o755);
}

/** The loader of the addon as a file of the command. */
async function buildLoader(build, settings) {
  await build({
    ...settings,
    outdir: 'dist/cli',
    entryPoints: { loader: 'index.js' },
    // It goes on to look where index.js lies.
    banner: { js: "'use strict';\nconst original = require('node:path').join(__dirname, '..', '..', 'index.js');" },
    define: { 'import.meta.url': 'original' },
  });
}

/** The modules that are there once `entry` is, without those that it may load later. */
function reachable(inputs, entry) {
  const found = new Set([entry]);
  for (const file of found) {
    for (const { path, kind } of inputs[file]?.imports ?? [])
      if (kind === 'import-statement' && path in inputs) found.add(path);
  }
  return [...found];
}

/**
 * The modules that some of `files` load when they need them. Each is a bundle of its own: where esbuild finds one in the same
 * bundle, it makes a function of it and of everything below it, whose text is then read twice at each start.
 */
function loadedLater(inputs, files) {
  const imports = files.flatMap((file) => inputs[file]?.imports ?? []);
  const later = imports.filter(({ path, kind }) => kind === 'dynamic-import' && path in inputs);
  return [...new Set(later.map(({ path }) => path))].filter((path) => !files.includes(path));
}

/** Bundles that have a module each for itself, from which on it is one of its own, for the size of the package. */
const SEVERAL = 3;

/** The modules that several of the bundles `later` would have, and the start has not. */
function inSeveral(inputs, start, later) {
  const bundles = new Map();
  for (const file of later.flatMap((entry) => reachable(inputs, entry)))
    bundles.set(file, (bundles.get(file) ?? 0) + 1);
  const found = [...bundles].filter(
    ([file, count]) => count >= SEVERAL && !start.includes(file) && !later.includes(file),
  );
  return found.map(([file]) => file);
}

/** The names that bundles import, by the modules of ours that they do not have. */
function importedFrom(text) {
  const found = new Map();
  for (const [, names, file] of text.matchAll(/^import \{([^}]*)\} from "shared:(.*)";$/gm)) {
    const all = names.split(',').map((name) => name.trim().replace(/ as .*/, ''));
    found.set(file, new Set([...(found.get(file) ?? []), ...all]));
  }
  return found;
}

/** The start of the process, which lets the other bundles have what both need: it is once in the package, and once in memory. */
function sharing(shared) {
  const modules = [...shared].map(([file, names], index) => ({
    from: `import { ${[...names].map((name) => `${name} as ${name}${index}`).join(', ')} } from './${file}';`,
    members: `{ __esModule: true, ${[...names].map((name) => `${name}: ${name}${index}`).join(', ')} }`,
  }));
  // A function is there before the command runs, which is before the end of this module; and what it gives is made for who asks.
  return `${modules.map(({ from }) => from).join('\n')}
export * from './${START}';
export function shared(index) {
  switch (index) {
    ${modules.map(({ members }, index) => `case ${index}: return ${members};`).join('\n')}
  }
}
`;
}

/** The module of a bundle that asks Node for the start, once: forty times made V8 optimize what joins paths, for 4 MB of memory. */
const START_OF_PROCESS = 'start of the process';

/** What of another bundle is loaded already, and in its place `contents` of a module, or, without them, an import. */
function takeShared(build, files, contents) {
  build.onResolve({ filter: /^\.{1,2}\/.*\.js$/ }, ({ path, resolveDir }) => {
    const file = sourceOf(path, resolveDir);
    if (!files.includes(file)) return undefined;
    return contents === undefined ? { path: `shared:${file}`, external: true } : { path: file, namespace: 'shared' };
  });
  build.onLoad({ filter: /./, namespace: 'shared' }, ({ path }) => ({
    contents: path === START_OF_PROCESS ? `module.exports = require('./main.js');` : contents(path),
  }));
  build.onResolve({ filter: /./, namespace: 'shared' }, ({ path }) =>
    path === START_OF_PROCESS ? { path, namespace: 'shared' } : { path, external: true },
  );
}

/** The loader of the addon, which is next to the bundles. */
function leaveOutside(build) {
  build.onResolve({ filter: /^\.\.\/index\.js$/ }, () => ({ path: './loader.js', external: true }));
}

/** What is loaded later is a file next to the others, for each that wants it. */
function leaveLater(build, later) {
  build.onResolve({ filter: /^\.{1,2}\/.*\.js$/ }, ({ path, resolveDir }) => {
    const file = sourceOf(path, resolveDir);
    return later.includes(file) ? { path: `./${bundleName(file)}.js`, external: true } : undefined;
  });
}

/** A bundle's name, by the module that it begins with: the API and the command have some of one name. */
function bundleName(file) {
  const name = basename(file, '.ts');
  return file.startsWith('ts/cli/') ? name : `api-${name}`;
}

/** The source of a module, as it is named from the top folder. */
function sourceOf(path, resolveDir) {
  return relative(ROOT, join(resolveDir, path.replace(/\.js$/, '.ts')));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildTs({ echo: true });
