import type { Word } from './parse.js';

/** A command: takes its words, returns the exit code. */
type Command = (words: readonly Word[]) => Promise<number>;

/** A word that is a verb. */
export type Verb =
  | 'serve'
  | 'invite'
  | 'join'
  | 'keys'
  | 'trust'
  | 'list'
  | 'verify'
  | 'profile'
  | 'doctor'
  | 'config'
  | 'completion'
  | 'server';

/** The verbs. Each is a file of its own, so that a run loads only what it needs. */
export const COMMANDS: Readonly<Record<Verb, () => Promise<Command>>> = {
  serve: async () => (await import('./serve.js')).serveCommand,
  invite: async () => (await import('./invite.js')).inviteCommand,
  join: async () => (await import('./join.js')).joinCommand,
  keys: async () => (await import('./keys.js')).keysCommand,
  trust: async () => (await import('./trust.js')).trustCommand,
  list: async () => (await import('./list.js')).listCommand,
  verify: async () => (await import('./verify.js')).verifyCommand,
  profile: async () => (await import('./profile.js')).profileCommand,
  doctor: async () => (await import('./doctor.js')).doctorCommand,
  server: async () => (await import('./server-control.js')).serverCommand,
  config: async () => (await import('./config.js')).configCommand,
  completion: async () => (await import('./completion.js')).completionCommand,
};
