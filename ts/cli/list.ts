import { ConfigError } from '../errors.js';
import { connectionTo } from '../connection.js';
import type { Connection, ListEntry, QuestionOptions } from '../connection.js';
import { bytesOf, joinBytes } from '../paths.js';
import type { RemoteTarget } from '../target.js';
import { connectOptions } from './connecting.js';
import { configuredFlags } from './configured.js';
import { EXIT } from './exit-codes.js';
import { withFirstContact } from './first-contact.js';
import { millisecondsOf } from './flag-values.js';
import { LIST_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { listLine } from './list-only.js';
import { safePath } from './names.js';
import { operandTarget } from './operands.js';
import { print } from './output.js';
import { CONNECTING_FLAGS } from './transfer-flags.js';
import type { ParsedFlags, Word } from './parse.js';

const PURPOSE = `Lists a folder of a server, one line for each entry, or, without a root in URL, the roots that this key may see. For
everything below a folder: sparsync -r --list-only URL.`;

/** `sparsync list URL`. */
export async function listCommand(words: readonly Word[]): Promise<number> {
  const flags = await configuredFlags(LIST_FLAGS, words, { tables: { connection: CONNECTING_FLAGS } });
  if (flags.on('help')) {
    await print(verbHelp('list URL', PURPOSE, LIST_FLAGS));
    return EXIT.ok;
  }
  const [operand, ...rest] = flags.operands;
  const target = operand === undefined ? undefined : operandTarget(operand);
  if (target?.kind !== 'remote' || rest.length > 0)
    throw new ConfigError('list takes one URL; a folder of that name is ./list');
  const never = new AbortController();
  const connection = await withFirstContact(
    connectOptions(flags),
    () => never.signal,
    async (options) => {
      const made = connectionTo(target, options);
      await made.establish();
      return made;
    },
  );
  try {
    const asked = { timeoutMs: millisecondsOf(flags, 'timeout') };
    for (const entry of await entriesAt(target, connection, asked)) await show(entry, target.root === '', flags);
  } finally {
    await connection.close();
  }
  return EXIT.ok;
}

/** The entries of a directory, or for any other entry itself. */
async function entriesAt(
  { root, path }: RemoteTarget,
  connection: Connection,
  asked: QuestionOptions,
): Promise<ListEntry[]> {
  if (root === '') return connection.list('', asked);
  const place = path.length === 0 ? bytesOf(root) : joinBytes(bytesOf(root), path);
  const found = await connection.stat(place, asked);
  if (found.kind === 'directory') return connection.list(place, asked);
  const bytes = path.subarray(path.lastIndexOf(0x2f) + 1);
  return [{ name: Buffer.from(bytes).toString(), nameBytes: bytes, ...found }];
}

async function show(entry: ListEntry, isRoot: boolean, flags: ParsedFlags): Promise<void> {
  const { name, nameBytes, kind, size, mtimeMs, mode } = entry;
  if (flags.on('json')) {
    const { nameBytes: _, ...rest } = entry;
    const base64 = nameBytes === undefined ? {} : { nameBase64: Buffer.from(nameBytes).toString('base64') };
    return printJson({ type: 'entry', schema: JSON_SCHEMA, ...rest, ...base64 });
  }
  const shown = safePath({ path: name, ...(nameBytes === undefined ? {} : { pathBytes: nameBytes }) });
  // A client that may use a part of a root learns nothing else about the root.
  if (isRoot) return print(shown);
  return print(listLine(kind, { mode, size, mtimeMs, name: shown, leadsTo: '' }, { level: 1, links: false }));
}
