// Holds the direction of the layers: ts/cli -> ts -> index.js -> crate/napi -> crate/core -> crate/proto, and crate/remote -> crate/core.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { mustRun, ROOT } from './process.mjs';
import { runChecks } from './tap.mjs';

/** What a sans-I/O crate never names: the outside world. */
const OUTSIDE = /\bstd::(fs|net|process|env|thread)\b|\b(tokio|rustix|quinn|socket2)::|\b(Instant|SystemTime)::now\b/;

/** What is below the seam for storage: what the file system is made of. */
const FILE_SYSTEM = /\brustix\b|\bstd::(os::fd|fs)\b|\bcrate::fs\b|\/proc\//;

const IMPORT =
  /(?:^|\s)(?:import|export)\s[^'"`;]*?from\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|\brequire\w*\(\s*'([^']+)'\s*\)/gm;

function sources(folder, extension) {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { recursive: true })
    .filter((name) => name.endsWith(extension))
    .map((name) => join(folder, name));
}

/** For each module of ts/, the files that it imports, as paths from the top folder. */
function importGraph() {
  const graph = new Map();
  for (const file of sources('ts', '.ts')) {
    const text = readFileSync(join(ROOT, file), 'utf8');
    const targets = [...text.matchAll(IMPORT)]
      .map((match) => ({
        target: match[1] ?? match[2] ?? match[3],
        typeOnly: /^\s*(import|export)\s+type\b/.test(match[0]),
      }))
      .filter(({ target }) => target.startsWith('.'))
      .map(({ target, typeOnly }) => ({ file: join(dirname(file), target.replace(/^(.*)\.js$/, '$1.ts')), typeOnly }));
    graph.set(file, targets);
  }
  return graph;
}

/** The first circle of imports at run time that is found, as a list of files; none is an empty list. */
function findCircle(graph) {
  const done = new Set();
  const path = [];
  const visit = (file) => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    path.push(file);
    for (const target of graph.get(file) ?? []) {
      const circle = target.typeOnly ? [] : visit(target.file);
      if (circle.length > 0) return circle;
    }
    path.pop();
    done.add(file);
    return [];
  };
  for (const file of graph.keys()) {
    const circle = visit(file);
    if (circle.length > 0) return circle;
  }
  return [];
}

/** The lines of Rust, comments aside, in which a pattern occurs. */
function linesWith(pattern, files) {
  return files.flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .flatMap((line, index) =>
        pattern.test(line) && !/^\s*\/\//.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [],
      ),
  );
}

function expectNone(found, what) {
  if (found.length > 0) throw new Error(`${what}:\n${found.join('\n')}`);
}

const graph = importGraph();
const edges = [...graph].flatMap(([from, targets]) => targets.map(({ file }) => ({ from, to: file })));
const show = (list) => list.map(({ from, to }) => `${from} imports ${to}`);

await runChecks({
  'layers: ts/native.ts alone touches the generated loader': () =>
    expectNone(
      show(edges.filter(({ from, to }) => to === 'index.ts' && from !== join('ts', 'native.ts'))),
      'Imports of index.js',
    ),

  'layers: nothing outside ts/cli imports the command line': () => {
    const cli = join('ts', 'cli');
    expectNone(show(edges.filter(({ from, to }) => !from.startsWith(cli) && to.startsWith(cli))), 'Imports upwards');
  },

  'layers: no circle among the modules of ts/': () => expectNone(findCircle(graph), 'A circle of imports'),

  'layers: crates depend downwards only': async () => {
    const metadata = JSON.parse((await mustRun('cargo', ['metadata', '--format-version', '1', '--no-deps'])).stdout);
    const order = ['sparsync-proto', 'sparsync-core', 'sparsync-napi', 'sparsync-remote'];
    const upwards = metadata.packages
      .filter(({ name }) => order.includes(name))
      .flatMap(({ name, dependencies }) =>
        dependencies
          .filter((on) => order.indexOf(on.name) >= order.indexOf(name))
          .map((on) => `${name} depends on ${on.name}`),
      );
    expectNone(upwards, 'Dependencies upwards');
  },

  'layers: crate/proto touches no file, network or clock': () =>
    expectNone(linesWith(OUTSIDE, sources(join('crate', 'proto', 'src'), '.rs')), 'Uses of the outside world'),

  'layers: QUIC is named below crate/core/src/net alone': () => {
    const inside = join('crate', 'core', 'src', 'net');
    const all = ['proto', 'core', 'napi', 'remote'].flatMap((name) => sources(join('crate', name, 'src'), '.rs'));
    expectNone(
      linesWith(
        /\bquinn/,
        all.filter((file) => !file.startsWith(inside)),
      ),
      'Uses of QUIC',
    );
  },

  'layers: the engine and the seam for storage name no descriptor and no system call': () => {
    const above = ['engine', 'storage'].flatMap((name) => sources(join('crate', 'core', 'src', name), '.rs'));
    expectNone(
      linesWith(FILE_SYSTEM, above).filter((line) => !line.endsWith(': pub(crate) use rustix::io::Errno;')),
      'Uses of the file system',
    );
  },

  'layers: a line of a comment has at most 120 columns, as one of code': () => {
    // What stands in crate/napi becomes TSDoc, and rustfmt holds lines of code alone. A row of a table is one line.
    const all = ['proto', 'core', 'remote'].flatMap((name) => sources(join('crate', name), '.rs'));
    const own = all.filter((file) => !file.includes('/target/'));
    const long = own.flatMap((file) =>
      readFileSync(join(ROOT, file), 'utf8')
        .split('\n')
        .flatMap((line, index) =>
          /^\s*\/\/(?![/!]? \|).*$/.test(line) && [...line].length > 120 ? [`${file}:${index + 1}`] : [],
        ),
    );
    expectNone(long, 'Comments that are too long');
  },

  'layers: crate/proto forbids unsafe code': () => {
    const root = readFileSync(join(ROOT, 'crate', 'proto', 'src', 'lib.rs'), 'utf8');
    if (!root.includes('#![forbid(unsafe_code)]')) throw new Error('#![forbid(unsafe_code)] is missing');
  },

  'layers: crate/napi holds no tests, for it holds no logic': () => {
    const found = sources(join('crate', 'napi'), '.rs').filter((file) =>
      readFileSync(join(ROOT, file), 'utf8').includes('#[test]'),
    );
    expectNone(
      found.map((file) => relative('.', file)),
      'Tests in the binding',
    );
  },
});
