import { createInterface } from 'node:readline/promises';

import { HostKeyError } from '../errors.js';
import { formatRemote } from '../target.js';
import { pinKey } from '../trust.js';

/**
 * Runs `work`; when a server turns out to be unknown and a person is at the terminal, asks whether to trust it, and runs it
 * again. Everywhere else the error stands, with the command that lifts it.
 */
export async function withFirstContact<T>(knownHosts: string | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof HostKeyError) || error.code !== 'ERR_SPARSYNC_UNKNOWN_HOST') throw error;
    const { key } = error;
    if (key === undefined || !(await ask(error, key))) throw error;
    await pinKey(formatRemote(error.host, error.port), key, { knownHosts });
    return work();
  }
}

async function ask(error: HostKeyError, key: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false;
  const questions = createInterface({ input: process.stdin, output: process.stderr });
  try {
    process.stderr.write(
      `The server ${formatRemote(error.host, error.port)} is not known here yet. Its key is\n  ${key}\nCompare it with the one that the server shows at its start.\n`,
    );
    for (;;) {
      const answer = (await questions.question('Trust it from now on? (yes/no) ')).trim().toLowerCase();
      if (answer === 'yes') return true;
      if (answer === 'no') return false;
    }
  } finally {
    questions.close();
  }
}
