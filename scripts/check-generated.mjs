// What is written down in more than one place must be equal in all of them.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { wordsAreCurrent } from './closed-sets.mjs';
import { serveFlagsAreCurrent } from './serve-flags.mjs';
import { eventsSchemaIsCurrent } from './events-schema.mjs';
import { staleOptionFiles } from './options.mjs';
import { apiCodes, engineKinds, errorTable } from './error-table.mjs';
import { has, ROOT, run } from './process.mjs';
import { fromSources } from './sources.mjs';
import { runChecks } from './tap.mjs';

const text = (...path) => readFileSync(join(ROOT, ...path), 'utf8');
const json = (...path) => JSON.parse(text(...path));

/** A link of Markdown, or its picture, that leads to a file: no address and no heading of the same page. */
const LINK = /\]\((?![a-z]+:|#)([^)#]+)/g;
/** A source file by its path from the top folder. */
const NAMED_FILE = /`((?:crate|ts|scripts|docs|benches|examples|__test__)\/[\w./-]+\.\w+)`/g;

const root = json('package.json');
const targets = readdirSync(join(ROOT, 'npm'));

function expectEqual(found, expected, what) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) throw new Error(`${what}: found ${left}, expected ${right}`);
}

await runChecks({
  'versions: the Cargo workspace has the version of package.json': () => {
    const version = /\[workspace\.package\][^[]*?\nversion = "([^"]+)"/.exec(text('Cargo.toml'))?.[1];
    expectEqual(version, root.version, 'Cargo.toml');
  },

  'versions: each platform package has the version of package.json': () => {
    for (const target of targets)
      expectEqual(json('npm', target, 'package.json').version, root.version, `npm/${target}`);
  },

  'versions: package.json asks for exactly these platform packages': () => {
    const expected = Object.fromEntries(targets.map((target) => [`sparsync-native-${target}`, root.version]));
    expectEqual(root.optionalDependencies, expected, 'optionalDependencies');
  },

  'versions: the lockfile is of this version, and links the platform packages': () => {
    const { version, packages } = json('package-lock.json');
    expectEqual(version, root.version, 'package-lock.json');
    for (const target of targets) {
      expectEqual(packages[`npm/${target}`]?.version, root.version, `package-lock.json: npm/${target}`);
      expectEqual(packages[`node_modules/sparsync-native-${target}`]?.link, true, `package-lock.json: npm/${target}`);
    }
  },

  'versions: the lockfile names no host to download from': () => {
    const found = Object.entries(json('package-lock.json').packages).filter(([, { resolved }]) =>
      /^\w+:/.test(resolved ?? ''),
    );
    expectEqual(
      found.map(([name]) => name),
      [],
      'package-lock.json: entries with an address',
    );
  },

  'versions: all platform packages ask for the same Node as the root': () => {
    for (const target of targets)
      expectEqual(json('npm', target, 'package.json').engines, root.engines, `npm/${target}`);
  },

  'versions: the changelog has a section for this version': () => {
    if (!text('CHANGELOG.md').includes(`\n## ${root.version}`))
      throw new Error(`CHANGELOG.md: no section ## ${root.version}`);
  },

  'words: the closed sets of ts/words.ts are those of the Rust sources': async () => {
    if (!(await wordsAreCurrent())) throw new Error('ts/words.ts: node scripts/closed-sets.mjs writes it');
  },

  'schemas: docs/events.schema.json is what the types of the JSON lines say': async () => {
    if (!(await eventsSchemaIsCurrent()))
      throw new Error('docs/events.schema.json: node scripts/events-schema.mjs writes it');
  },

  'words: the flags of the static server are those of the command': async () => {
    if (!(await serveFlagsAreCurrent()))
      throw new Error('crate/remote/src/serve_flags.tsv: node scripts/serve-flags.mjs writes it');
  },

  'documents: each file of the repository that one names or leads to is there': () => {
    const folders = [
      '.',
      'docs',
      'docs/adr',
      'benches',
      ...readdirSync(join(ROOT, 'examples')).map((name) => `examples/${name}`),
    ];
    const documents = folders.flatMap((folder) =>
      readdirSync(join(ROOT, folder))
        .filter((name) => name.endsWith('.md'))
        .map((name) => join(folder, name)),
    );
    const gone = documents.flatMap((document) => {
      const content = text(document);
      const links = [...content.matchAll(LINK)].map(([, link]) => join(dirname(document), link));
      // What was is told by its names of then.
      const named = document === 'CHANGELOG.md' ? [] : [...content.matchAll(NAMED_FILE)].map(([, path]) => path);
      return [...links, ...named].filter((path) => !existsSync(join(ROOT, path))).map((path) => `${document}: ${path}`);
    });
    expectEqual(gone, [], 'files that documents name and that are gone');
  },

  'documents: ARCHITECTURE.md knows every module': () => {
    const map = text('ARCHITECTURE.md');
    const tables = [...map.matchAll(/^\| `(\w+\/)` +\| what it does/gm)].map(
      ([, folder]) => `crate/core/src/${folder}`,
    );
    const folders = ['crate/proto/src', 'crate/core/src', ...tables, 'ts', 'ts/cli'];
    const modules = folders.flatMap((folder) =>
      readdirSync(join(ROOT, folder))
        .filter((name) => /^(?!(lib|mod|tests)\.)\w[\w-]*\.(rs|ts)$/.test(name))
        .map((name) => join(folder, name)),
    );
    const known = (path) =>
      [...map.matchAll(/`([\w-]+)\/?`/g)].some(([, name]) => name === basename(path, extname(path)));
    const unknown = modules.filter((path) => !known(path));
    expectEqual(unknown, [], 'modules that ARCHITECTURE.md does not name');
  },

  'options: what follows from the table of options is committed': async () => {
    expectEqual(await staleOptionFiles(), [], 'node scripts/options.mjs writes them');
  },

  'options: the manual page is one, without warnings': async () => {
    if (!(await has('groff'))) return 'groff is not installed';
    const { code, output } = await run('groff', ['-man', '-ww', '-z', 'docs/man/sparsync.1']);
    expectEqual([code, output], [0, ''], 'docs/man/sparsync.1');
    return undefined;
  },

  "errors: the API has the engine's codes and PLATFORM": async () => {
    expectEqual(await apiCodes(), [...engineKinds().map(({ code }) => code), 'ERR_SPARSYNC_PLATFORM'], 'ts/codes.ts');
  },

  'errors: the table of docs/errors.md is that of the sources': async () => {
    // Compared cell by cell: the formatter may align the columns.
    const cells = (table) =>
      table
        .split('\n')
        .filter((line) => line.startsWith('| `'))
        .map((line) => line.split('|').map((cell) => cell.trim()));
    const [, written] = /docs:errors -->([\s\S]*?)<!-- table end/.exec(text('docs', 'errors.md'));
    expectEqual(cells(written), cells(await errorTable()), 'docs/errors.md (npm run docs:errors writes it)');
  },

  'errors: docs/errors.md says what each failure and each warning means': async () => {
    const { FAILURE_CODES, NOTICE_CODES } = await fromSources('ts/words.ts');
    const [, written] = /^## Failures and warnings$([^]*?)^## /m.exec(text('docs', 'errors.md'));
    const told = [...written.matchAll(/^\| `([a-z-]+)` /gm)].map(([, word]) => word).filter((word) => word !== 'code');
    const sorted = (words) => [...words].toSorted((a, b) => (a < b ? -1 : 1));
    expectEqual(sorted(told), sorted([...FAILURE_CODES, ...NOTICE_CODES]), 'docs/errors.md');
  },

  'errors: docs/errors.md says for each code what to do': async () => {
    const sections = [...text('docs', 'errors.md').matchAll(/^### (ERR_\w+)$/gm)].map(([, code]) => code);
    expectEqual(sections, [...(await apiCodes())], 'docs/errors.md');
  },
});
