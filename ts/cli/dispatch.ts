/** A command: takes its words, returns the exit code. */
type Command = (words: readonly (string | Uint8Array)[]) => Promise<number>;

/** The verbs. Each loads only what it needs. */
const VERBS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./serve.js')).serveCommand,
  keys: async () => (await import('./keys.js')).keysCommand,
  trust: async () => (await import('./trust.js')).trustCommand,
  verify: async () => (await import('./verify.js')).verifyCommand,
  profile: async () => (await import('./profile.js')).profileCommand,
  doctor: async () => (await import('./doctor.js')).doctorCommand,
};

/** Runs what the command line asks for. A verb is one only as the exact first word: a folder of that name is `./serve`. */
export async function dispatch(): Promise<number> {
  const { commandLine } = await import('./arguments.js');
  const words = commandLine();
  const first = words[0];
  const verb = typeof first === 'string' && Object.hasOwn(VERBS, first) ? VERBS[first] : undefined;
  try {
    if (verb !== undefined) return await (await verb())(words.slice(1));
    const { syncCommand } = await import('./sync.js');
    return await syncCommand(words);
  } catch (error) {
    const { printError } = await import('./report.js');
    return printError(error);
  } finally {
    const { flushOutput } = await import('./output.js');
    await flushOutput();
  }
}
