import { HostKeyError } from '../errors.js';

/**
 * Runs `work`; when a server turns out to be unknown and a person is at the terminal, asks whether to trust it, and
 * runs it again. Everywhere else the error stands, with the command that lifts it.
 */
export async function withFirstContact<T>(
  knownHosts: string | undefined,
  signal: () => AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof HostKeyError) || error.code !== 'ERR_SPARSYNC_UNKNOWN_HOST') throw error;
    const { isTrusted } = await import('./asking.js');
    if (!(await isTrusted(error, knownHosts, signal))) throw error;
    return work();
  }
}
