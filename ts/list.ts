import { captureCallSite } from './callsite.js';
import { checkOptions, extend } from './check.js';
import { QUESTION_CHECKS, connect } from './connection.js';
import type { ListEntry, QuestionOptions } from './connection.js';
import type { ConnectOptions } from './options.js';
import type { PlatformURL } from './platform.js';
import { CONNECT_CHECKS } from './settings.js';
import type { PipePlace } from './shell.js';
import { withSite } from './trust.js';

const LIST_CHECKS = extend(CONNECT_CHECKS, QUESTION_CHECKS);

/**
 * The entries of one directory on a server, without those below; of a URL without a path the roots that this key may see.
 * Who lists more than once keeps a connection: {@link connect}.
 *
 * @throws What {@link connect} throws, and {@link NotFoundError} and {@link AccessError} for the directory.
 *
 * @example `for (const { name, size } of await list('sparsync://backup.example/backup')) console.log(name, size)`
 */
export async function list(
  url: string | PlatformURL | PipePlace,
  options?: ConnectOptions & QuestionOptions,
): Promise<ListEntry[]> {
  return withSite(captureCallSite(), async () => {
    const { timeoutMs } = checkOptions<ConnectOptions & QuestionOptions>(options, LIST_CHECKS, 'options');
    const { timeoutMs: _, ...how } = options ?? {};
    const connection = await connect(url, how);
    try {
      return await connection.list('', { timeoutMs });
    } finally {
      await connection.close();
    }
  });
}
