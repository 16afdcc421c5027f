// The package as a user gets it: packed, installed in an empty folder without a network, and run there.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { remoteFile } from './build-remote.mjs';
import { hostTarget } from './host.mjs';
import { pack } from './pack.mjs';
import { managerChecks } from './package-check/managers.mjs';
import { mustRun, ROOT, run, tool } from './process.mjs';
import { runChecks } from './tap.mjs';

/** What may be in the root package, and how large it may be unpacked, in bytes: it is JavaScript, types and text. */
const ALLOWED = /^((dist|docs|examples)\/|index\.js$|index\.d\.ts$|package\.json$|[A-Z]+\.md$|LICENSE$)/;
const UNPACKED_BYTES_MAX = 1_650_000;

/** A link of Markdown, or its picture, that leads to a file: no address and no heading of the same page. */
const LINK = /\]\((?![a-z]+:|#)([^)#]+)/g;

const target = hostTarget();
const work = mkdtempSync(join(tmpdir(), 'sparsync-package-'));
const packed = await pack(work);
const programs = join(ROOT, 'scripts', 'package-check');

/** An empty folder with the given tarballs installed, and the programs of this check beside them. */
async function installIn(name, tarballs) {
  const folder = join(work, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  await mustRun('npm', ['install', '--offline', '--no-audit', '--no-fund', ...tarballs], { cwd: folder });
  for (const program of ['works.mjs', 'no-binary.mjs', 'consumer.ts']) {
    copyFileSync(join(programs, program), join(folder, program));
  }
  return folder;
}

const complete = await installIn('complete', [packed.root.tarball, packed.platform.tarball]);
const bare = await installIn('bare', [packed.root.tarball]);

/** The node program of a version that npm carries; undefined when it cannot be fetched. */
async function fetchNode(version) {
  if (target.endsWith('musl')) return undefined; // npm carries Node for glibc only
  const folder = join(work, `node-${version}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  const name = `node-${process.platform}-${process.arch}`;
  const args = ['install', '--prefer-offline', '--no-audit', '--no-fund', `${name}@${version}`];
  const installed = await run('npm', args, { cwd: folder });
  const program = join(folder, 'node_modules', name, 'bin', 'node');
  return installed.code === 0 && existsSync(program) ? program : undefined;
}

async function worksOn(program) {
  await mustRun(program, ['works.mjs'], { cwd: complete });
  await mustRun(program, ['no-binary.mjs', target], { cwd: bare });
}

/** Bundles a program that syncs into a folder of its own, as esbuild does it by default but for the arguments given. */
async function bundle(name, args, format = 'esm') {
  const folder = join(work, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }));
  const program = join(complete, `${name}.mjs`);
  writeFileSync(
    program,
    `import { sync } from 'sparsync-native';\nsync(process.argv[2], process.argv[3]).then(() => console.log('bundle works'));\n`,
  );
  const file = join(folder, format === 'esm' ? 'bundle.mjs' : 'bundle.cjs');
  const build = ['--bundle', '--platform=node', `--format=${format}`, '--log-level=error', `--outfile=${file}`];
  const { code, output } = await run(tool('esbuild'), [program, ...build, ...args], { cwd: complete });
  return { folder, file, code, output };
}

/** Bundles, and runs the bundle in its own folder, where nothing is but what is installed there. */
async function runBundle(name, { install = [], args, format }) {
  const { folder, file, code, output } = await bundle(name, args, format);
  expect(code === 0, output);
  if (install.length > 0)
    await mustRun('npm', ['install', '--offline', '--no-audit', '--no-fund', ...install], { cwd: folder });
  mkdirSync(join(folder, 'source'));
  writeFileSync(join(folder, 'source', 'file'), 'content');
  const env = { SPARSYNC_STATE_DIR: join(folder, 'state') };
  await mustRun(process.execPath, [file, join(folder, 'source'), join(folder, 'copy')], { cwd: folder, env });
  if (readFileSync(join(folder, 'copy', 'file'), 'utf8') !== 'content') throw new Error('the copy is not the source');
}

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** The folders that a file is in, each with the slash that a link to it may end with, and without. */
function foldersOf(path) {
  const parents = path.split('/').slice(0, -1);
  return parents.flatMap((_, index) => {
    const folder = parents.slice(0, index + 1).join('/');
    return [folder, `${folder}/`];
  });
}

const bin = (folder) => join(folder, 'node_modules', '.bin', 'sparsync');

try {
  await runChecks({
    'package: publint finds nothing': () => mustRun(tool('publint'), ['run', packed.root.tarball, '--strict']),

    'package: are-the-types-wrong finds nothing': () =>
      mustRun(tool('attw'), [packed.root.tarball, '--profile', 'esm-only']),

    'package: only what belongs there, and small': () => {
      const strangers = packed.root.files.map(({ path }) => path).filter((path) => !ALLOWED.test(path));
      expect(strangers.length === 0, `unexpected files: ${strangers.join(', ')}`);
      const { unpackedSize } = packed.root;
      expect(unpackedSize <= UNPACKED_BYTES_MAX, `${unpackedSize} bytes unpacked, more than ${UNPACKED_BYTES_MAX}`);
      const binaries = packed.platform.files.map(({ path }) => path).filter((path) => path.endsWith('.node'));
      expect(binaries.join() === `sparsync.${target}.node`, `platform package: ${binaries.join()}`);
      const remote = packed.platform.files.find(({ path }) => path === remoteFile(target));
      expect(remote !== undefined && remote.size > 0, 'the platform package has no sparsync-remote');
    },

    'package: sparsync-remote is there, runs, and needs no library': async () => {
      const file = join(complete, 'node_modules', `sparsync-native-${target}`, remoteFile(target));
      const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
      const { stdout } = await mustRun(file, ['--version']);
      expect(stdout === `sparsync-remote ${version}\n`, stdout);
      const libraries = await run('ldd', [file]);
      expect(/not a dynamic|statically linked/.test(libraries.output), libraries.output);
    },

    'package: a strict TypeScript program compiles against it': async () => {
      const args = [
        '--noEmit',
        '--strict',
        '--exactOptionalPropertyTypes',
        '--target',
        'es2023',
        '--lib',
        'es2023,esnext.disposable',
      ];
      args.push('--types', 'node', '--typeRoots', join(ROOT, 'node_modules', '@types'), '--ignoreConfig');
      for (const [module, resolution] of [
        ['nodenext', 'nodenext'],
        ['esnext', 'bundler'],
      ]) {
        const how = ['--module', module, '--moduleResolution', resolution];
        await mustRun(tool('tsc'), [...args, ...how, 'consumer.ts'], { cwd: complete });
      }
    },

    'package: its types need no others: without those of Node, with the library of ES2022 alone': async () => {
      const settings = {
        lib: ['ES2022'],
        types: [],
        module: 'nodenext',
        strict: true,
        skipLibCheck: false,
        noEmit: true,
      };
      const program =
        "import { sync } from 'sparsync-native';\nexport const job = sync('from', 'to', { delete: true });\n";
      writeFileSync(join(complete, 'alone.ts'), program);
      writeFileSync(join(complete, 'alone.json'), JSON.stringify({ compilerOptions: settings, files: ['alone.ts'] }));
      await mustRun(tool('tsc'), ['-p', 'alone.json'], { cwd: complete });
    },

    'package: installed without a network, works by import and by require on this Node': async () => {
      const installed = join(complete, 'node_modules', `sparsync-native-${target}`, `sparsync.${target}.node`);
      expect(existsSync(installed), `${installed} is missing`);
      await worksOn(process.execPath);
    },

    'package: the same on Node 20': async () => {
      if (process.versions.node.startsWith('20.')) return worksOn(process.execPath);
      const program = await fetchNode('20');
      return program === undefined ? 'Node 20 cannot be fetched' : worksOn(program);
    },

    'package: the same on the newest Node that npm carries': async () => {
      const program = await fetchNode('latest');
      return program === undefined ? 'the newest Node cannot be fetched' : worksOn(program);
    },

    'package: the command runs, and says its version without a binary': async () => {
      const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
      for (const folder of [complete, bare]) {
        const { stdout } = await mustRun(bin(folder), ['--version'], { cwd: folder });
        expect(stdout.includes(version), `${stdout} does not name ${version}`);
      }
      mkdirSync(join(bare, 'empty'));
      const failed = await run(bin(bare), ['-a', 'empty/', 'copy/'], { cwd: bare });
      expect(failed.code === 45, `without a binary the command exits ${failed.code}: ${failed.output}`);
      expect(failed.output.includes(`sparsync-native-${target}`), failed.output);
    },

    'package: the command loads an installed binary without the generated loader, whose errors it gives': async () => {
      const folder = await installIn('command', [packed.root.tarball, packed.platform.tarball]);
      const loader = join(folder, 'node_modules', 'sparsync-native', 'dist', 'cli', 'loader.js');
      const env = { SPARSYNC_STATE_DIR: join(folder, 'state') };
      const sync = (name) => run(bin(folder), ['-a', 'source/', `${name}/`], { cwd: folder, env });
      mkdirSync(join(folder, 'source'));
      renameSync(loader, `${loader}.away`);
      const alone = await sync('copy');
      expect(alone.code === 0, alone.output);
      renameSync(`${loader}.away`, loader);
      writeFileSync(join(folder, 'node_modules', `sparsync-native-${target}`, `sparsync.${target}.node`), 'no binary');
      const broken = await sync('other');
      const said = broken.code === 45 && /could not be loaded: .*reinstall it with/.test(broken.output);
      expect(said, `with a broken binary the command exits ${broken.code}: ${broken.output}`);
    },

    'package: who has nothing but the package does what the chapter on operations says': async () => {
      const env = { SPARSYNC_TEST_PACKAGE: join(complete, 'node_modules', 'sparsync-native') };
      const chapter = ['__test__/book.spec.ts', '--match', 'the book does what it says: 06-operations.md'];
      await mustRun(tool('ava'), chapter, { cwd: ROOT, env });
    },

    'package: NAPI_RS_NATIVE_LIBRARY_PATH names the binary to load': async () => {
      const env = { NAPI_RS_NATIVE_LIBRARY_PATH: join(ROOT, `sparsync.${target}.node`) };
      await mustRun(process.execPath, ['works.mjs'], { cwd: bare, env });
    },

    'package: an esbuild bundle with the package external works': () =>
      runBundle('external-package', {
        install: [packed.root.tarball, packed.platform.tarball],
        args: ['--external:sparsync-native'],
      }),

    'package: an esbuild bundle that holds our JavaScript, with the addon external, works': () =>
      runBundle('external-addon', {
        install: [packed.platform.tarball],
        args: ['--external:*.node', '--external:sparsync-native-*'],
      }),

    'package: an esbuild bundle with the loader "file" for the addon needs nothing beside it, as ESM and as CommonJS':
      async () => {
        for (const format of ['esm', 'cjs'])
          await runBundle(`loader-${format}`, { args: ['--loader:.node=file'], format });
      },

    'package: an esbuild bundle without either ends at build time, and the message shows what is missing': async () => {
      const { code, output } = await bundle('nothing-said', []);
      expect(code !== 0, 'the bundle was built');
      expect(/No loader is configured for "\.node" files[^]*bundlers\.js[^]*\/\/ loader: file/.test(output), output);
    },

    ...managerChecks(packed, target, work),

    'package: every link of the documents in it leads to a file in it': () => {
      const files = packed.root.files.map(({ path }) => path);
      const there = new Set(files.flatMap((path) => [path, ...foldersOf(path)]));
      const broken = files
        .filter((path) => path.endsWith('.md'))
        .flatMap((path) => {
          const text = readFileSync(join(complete, 'node_modules', 'sparsync-native', path), 'utf8');
          const links = [...text.matchAll(LINK)].map(([, link]) => link);
          return links.filter((link) => !there.has(join(dirname(path), link))).map((link) => `${path}: ${link}`);
        });
      expect(broken.length === 0, broken.join('\n'));
    },
  });
} finally {
  rmSync(work, { recursive: true, force: true });
}
