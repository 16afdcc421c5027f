import {
  COMPLETION_FLAGS,
  CONFIG_FLAGS,
  DOCTOR_FLAGS,
  INVITE_FLAGS,
  JOIN_FLAGS,
  KEYS_FLAGS,
  LIST_FLAGS,
  PROFILE_FLAGS,
  SERVE_FLAGS,
  START_FLAGS,
  STOP_TIMEOUT_FLAG,
  TRUST_FLAGS,
} from './flags.js';
import type { Flag } from './parse.js';
import { SYNC_FLAGS } from './transfer-flags.js';
import type { Verb } from './verbs.js';
import { VERIFY_FLAGS } from './verify-flags.js';

/** The shells that there are completions for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** The words that can follow a verb. A sync has no verb. */
export interface CompletedVerb {
  readonly flags: readonly Flag[];
  /** What its first word can be. */
  readonly words: readonly string[];
}

const verb = (flags: readonly Flag[], ...words: string[]): CompletedVerb => ({
  flags: flags.filter(({ hidden }) => hidden !== true),
  words,
});

/** The verbs, with their flags. */
export const COMPLETED: Readonly<Record<Verb | 'sync', CompletedVerb>> = {
  sync: verb(SYNC_FLAGS),
  serve: verb(SERVE_FLAGS),
  server: verb([...START_FLAGS, STOP_TIMEOUT_FLAG], 'start', 'status', 'stop'),
  invite: verb(INVITE_FLAGS),
  join: verb(JOIN_FLAGS),
  keys: verb(KEYS_FLAGS, 'list', 'show', 'revoke', 'rotate'),
  trust: verb(TRUST_FLAGS, 'list', 'replace', 'remove'),
  list: verb(LIST_FLAGS),
  verify: verb(VERIFY_FLAGS),
  profile: verb(PROFILE_FLAGS, 'report'),
  doctor: verb(DOCTOR_FLAGS),
  config: verb(CONFIG_FLAGS, 'show'),
  completion: verb(COMPLETION_FLAGS, ...SHELLS),
};
