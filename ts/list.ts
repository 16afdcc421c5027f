import { connect } from './connection.js';
import type { ListEntry } from './connection.js';
import type { ConnectOptions } from './options.js';
import type { PlatformURL } from './platform.js';
import type { PipePlace } from './shell.js';

/**
 * The entries of one directory on a server, without those below; of a URL without a path the roots that this key may see.
 * Who lists more than once keeps a connection: {@link connect}.
 *
 * @throws What {@link connect} throws, and {@link NotFoundError} and {@link AccessError} for the directory.
 *
 * @example `for (const { name, size } of await list('sparsync://backup.example/backup')) console.log(name, size)`
 */
export async function list(url: string | PlatformURL | PipePlace, options?: ConnectOptions): Promise<ListEntry[]> {
  const connection = await connect(url, options);
  try {
    return await connection.list();
  } finally {
    await connection.close();
  }
}
