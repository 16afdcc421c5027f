// Writes crate/remote/src/serve_flags.tsv: the flags of `sparsync serve`, for the executable that serves without Node.
//   --check  only says whether it is what the sources say
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { ROOT } from './process.mjs';

const FILE = join(ROOT, 'crate/remote/src/serve_flags.tsv');

/** What only the command can do: files of settings are TypeScript's. */
const OF_THE_COMMAND = ['config', 'json', 'pid-file', 'print-unit', 'profile'];

/** What `crate/remote/src/serve.rs` acts on. */
const OF_BOTH = [
  'allow',
  'anonymous',
  'authorized-keys',
  'bwlimit',
  'bwlimit-per-key',
  'client-ca',
  'congestion',
  'durability',
  'exclude',
  'fake-super',
  'grace',
  'identity',
  'idle-timeout',
  'listen',
  'log-file',
  'log-format',
  'max-connections',
  'max-connections-per-address',
  'max-connections-per-key',
  'max-handshakes',
  'max-sessions',
  'max-sessions-per-key',
  'max-unread-bytes',
  'metrics',
  'munge-links',
  'no-tcp',
  'quiet',
  'read-only',
  'refuse',
  'reserve-space',
  'root',
  'verbose',
  'versions',
];

const SOURCE = `export { SERVE_FLAGS } from './ts/cli/flags.js'; export { FLAG_HELP } from './ts/cli/flag-help.js';`;

/** What is about one call, and no setting. */
const OF_ONE_CALL = ['help'];

/** The text of the file: name, value (in brackets where it may be missing), default, where it is, and what the help says. */
async function table() {
  const { outputFiles } = await build({
    stdin: { contents: SOURCE, resolveDir: ROOT },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    packages: 'external',
  });
  const url = `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`;
  const { SERVE_FLAGS, FLAG_HELP } = await import(url);
  const rows = SERVE_FLAGS.map(({ name, value = '', bare, many = false, help = FLAG_HELP[name]?.help ?? '' }) => {
    const byDefault = /\(default: ([^\s,)]+)[,)]/.exec(help)?.[1] ?? '';
    return [name, bare === undefined ? value : `[${value}]`, byDefault, placeOf(name, many), help].join('\t');
  });
  return `${rows.join('\n')}\n`;
}

/**
 * Where a flag is: `command`, or else of both, as a `setting`, a `list` of settings, or for one `call`. A new one is accepted
 * nowhere before somebody has said it.
 */
function placeOf(name, isList) {
  if (OF_ONE_CALL.includes(name)) return 'call';
  if (OF_BOTH.includes(name)) return isList ? 'list' : 'setting';
  if (OF_THE_COMMAND.includes(name)) return 'command';
  throw new Error(`scripts/serve-flags.mjs: does sparsync-remote have --${name}?`);
}

/** Says whether the committed file is what the sources say. */
export async function serveFlagsAreCurrent() {
  return readFileSync(FILE, 'utf8') === (await table());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) process.exitCode = (await serveFlagsAreCurrent()) ? 0 : 1;
  else writeFileSync(FILE, await table());
}
