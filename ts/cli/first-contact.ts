import { ConfigError, HostKeyError } from '../errors.js';
import type { ConnectOptions } from '../options.js';

/**
 * Runs `work`; when a server turns out to be unknown, or the other end of a command to be missing, and a person is at the terminal,
 * asks whether to trust it or to install it, and runs it again. Everywhere else the error stands, with what lifts it.
 */
export async function withFirstContact<T, Options extends ConnectOptions>(
  options: Options,
  signal: () => AbortSignal,
  work: (options: Options) => Promise<T>,
): Promise<T> {
  try {
    return await work(options);
  } catch (error) {
    if (error instanceof HostKeyError && error.code === 'ERR_SPARSYNC_UNKNOWN_HOST') {
      const { isTrusted } = await import('./asking.js');
      if (await isTrusted(error, options.trust?.knownHosts, signal)) return work(options);
    }
    if (error instanceof ConfigError && error.details['reason'] === 'remote-missing') {
      const { mayBootstrap } = await import('./asking.js');
      if (await mayBootstrap(error, options, signal)) return work({ ...options, bootstrap: true });
    }
    throw error;
  }
}
