import type { Tables } from './config-values.js';
import { SERVE_FLAGS } from './flags.js';
import { CONNECTING_FLAGS, SYNC_FLAGS } from './transfer-flags.js';
import { VERIFY_FLAGS } from './verify-flags.js';

/** Everything that a file of settings can say. */
export const ALL_TABLES: Required<Tables> = {
  sync: SYNC_FLAGS,
  verify: VERIFY_FLAGS,
  connection: CONNECTING_FLAGS,
  server: SERVE_FLAGS,
};
