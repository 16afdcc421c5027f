// Writes what follows from the table of options in options/: the request and the binding's options in Rust, checks, defaults
// and types of the API, flags with their help and what they say, docs/options.md, the manual page and the schema of sparsync.toml.
//   --check  fails when a committed file is not what the table says
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { closedSets } from './closed-sets.mjs';
import { checksModule, engineModule } from './options/api.mjs';
import { optionsDocument } from './options/document.mjs';
import { flagHelpModule, flagsModule, verifyFlagsModule } from './options/flags.mjs';
import { manualPage } from './options/man.mjs';
import { foreignModule, withOptionList } from './options/rsync.mjs';
import { bindingModule, requestModule } from './options/rust.mjs';
import { schemaDocument } from './options/schema.mjs';
import { verbFlags } from './options/verbs.mjs';
import { ROOT } from './process.mjs';

const read = (file) => readFileSync(join(ROOT, file), 'utf8');

async function files() {
  return formatted(tableFiles());
}

/** What is made of modules of which some are written from the table themselves. */
async function laterFiles() {
  const flags = await verbFlags();
  return formatted([
    ['docs/sparsync.schema.json', await schemaDocument()],
    ['docs/options.md', optionsDocument(Object.fromEntries(closedSets()), flags)],
    [
      'docs/man/sparsync.1',
      manualPage({
        version: JSON.parse(read('package.json')).version,
        help: read('ts/cli/help.ts'),
        exitCodes: read('ts/cli/exit-codes.ts'),
        environment: read('ts/config.ts'),
        flags,
      }),
    ],
  ]);
}

function tableFiles() {
  return [
    ['crate/proto/src/request.rs', requestModule()],
    ['crate/napi/src/transfer.rs', bindingModule()],
    ['ts/transfer.ts', checksModule()],
    ['ts/engine-options.ts', engineModule()],
    ['ts/cli/transfer-flags.ts', flagsModule()],
    ['ts/cli/verify-flags.ts', verifyFlagsModule()],
    ['ts/cli/flag-help.ts', flagHelpModule()],
    ['ts/cli/foreign-flags.ts', foreignModule()],
    ['docs/rsync.md', withOptionList(read('docs/rsync.md'))],
  ];
}

async function formatted(made) {
  // Not at the top: this module is loaded before the dependencies are installed.
  const prettier = await import('prettier');
  return Promise.all(
    made.map(async ([file, text]) => {
      const path = join(ROOT, file);
      // The writer of Rust knows how rustfmt wants it, and roff has no other form; of the list of options more than half would be
      // spaces, in each package.
      if (!/\.(ts|md|json)$/.test(file) || file === 'docs/options.md') return [path, text];
      return [path, await prettier.format(text, { ...(await prettier.resolveConfig(path)), filepath: path })];
    }),
  );
}

/** The committed files that are not what the table says. */
export async function staleOptionFiles() {
  const made = [...(await files()), ...(await laterFiles())];
  return made.filter(([path, text]) => !existsSync(path) || readFileSync(path, 'utf8') !== text).map(([path]) => path);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) process.exitCode = (await staleOptionFiles()).length === 0 ? 0 : 1;
  else for (const make of [files, laterFiles]) for (const [path, text] of await make()) writeFileSync(path, text);
}
