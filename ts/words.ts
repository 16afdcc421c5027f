// Written by scripts/closed-sets.mjs from the sources of crate/proto; never edited.
export const ACTIONS = ['create', 'update', 'attrs', 'delete', 'skip', 'copy', 'keep', 'backup', 'remove'] as const;
export const ENTRY_KINDS = [
  'file',
  'directory',
  'symlink',
  'special',
  'fifo',
  'block-device',
  'char-device',
  'socket',
] as const;
export const REASONS = [
  'missing',
  'size',
  'mtime',
  'mode',
  'owner',
  'group',
  'type',
  'target',
  'content',
  'extra',
  'newer',
  'special',
  'directory',
  'append-only',
  'xattrs',
  'uncompared',
  'hard-link',
  'acls',
  'device',
  'atime',
  'other',
] as const;
export const FAILURE_CODES = [
  'unreadable',
  'vanished',
  'changed',
  'write',
  'integrity',
  'conflict',
  'scope',
  'delete',
  'attributes',
  'missing',
  'attributes-unread',
  'source-kept',
  'other',
] as const;
export const NOTICE_CODES = [
  'notice',
  'owners',
  'unmounted',
  'owner-right',
  'special',
  'left-out',
  'special-right',
  'attributes-unheld',
  'xattr-right',
  'acl-right',
  'rules-unread',
  'unsafe-link',
  'grown',
  'snapshot',
  'snapshot-removed',
  'mount-skipped',
  'not-frozen',
] as const;
export const COMPARES = ['quick', 'content', 'size', 'none'] as const;
export const DURABILITIES = ['none', 'run', 'file'] as const;
export const CHANGINGS = ['fail', 'prefix'] as const;
export const COMPRESSIONS = ['auto', 'always', 'never'] as const;
export const MISSING_SOURCES = ['fail', 'ignore', 'delete'] as const;

/**
 * The codes of every error that this package throws, in the order of the engine's own list.
 * They are part of the version promise.
 */
export const ERROR_CODES = [
  'ERR_SPARSYNC_CONFIG',
  'ERR_SPARSYNC_NOT_FOUND',
  'ERR_SPARSYNC_CONNECT',
  'ERR_SPARSYNC_CLOSED',
  'ERR_SPARSYNC_TIMEOUT',
  'ERR_SPARSYNC_VERSION',
  'ERR_SPARSYNC_PROTOCOL',
  'ERR_SPARSYNC_UNKNOWN_HOST',
  'ERR_SPARSYNC_HOST_KEY_CHANGED',
  'ERR_SPARSYNC_UNAUTHORIZED',
  'ERR_SPARSYNC_SCOPE',
  'ERR_SPARSYNC_IO',
  'ERR_SPARSYNC_NO_SPACE',
  'ERR_SPARSYNC_DELETE_REFUSED',
  'ERR_SPARSYNC_MAX_DELETE',
  'ERR_SPARSYNC_BUSY',
  'ERR_SPARSYNC_PARTIAL',
  'ERR_SPARSYNC_LIMIT',
  'ERR_SPARSYNC_ABORTED',
  'ERR_SPARSYNC_INTERNAL',
  'ERR_SPARSYNC_PLAN_STALE',
  'ERR_SPARSYNC_PLATFORM',
] as const;

/** How content is compared. */
export type Compare = (typeof COMPARES)[number];

/** What is on disk at the end of a run. */
export type Durability = (typeof DURABILITIES)[number];

/** What happens to a file that changes each time that it is read. */
export type Changing = (typeof CHANGINGS)[number];

/** When content is compressed on its way. */
export type Compression = (typeof COMPRESSIONS)[number];

/** What a missing source means. */
export type MissingSources = (typeof MISSING_SOURCES)[number];
