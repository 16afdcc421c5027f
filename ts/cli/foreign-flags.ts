// Written by scripts/options.mjs from the table in options/; never edited.

/** Flags that others know and this command does not have, and why. Silence about them could lose data. */
export const FOREIGN_FLAGS: Readonly<Record<string, string>> = {
  N: 'Linux cannot set the time at which a file was created',
  'old-dirs': 'it is for versions of rsync from before 2005; -d transfers directories without their content',
  'old-d': 'it is for versions of rsync from before 2005; -d transfers directories without their content',
  'insecure-links':
    'to what is written, and to files that options name, only symlinks of root and of this user lead; name the real path',
  'confine-root': 'a server confines each key to its prefix (serve --allow)',
  'drop-D': 'a server makes devices for keys with the right "special" alone; --no-D sends none',
  crtimes: 'Linux cannot set the time at which a file was created',
  'copy-as': 'the command and the server run as the user who started them',
  sockopts: 'QUIC has no TCP sockets',
  'password-file': 'keys replace passwords: sparsync keys shows yours',
  'early-input': 'a server runs no program for a client',
  protocol: 'both ends agree on a version automatically',
  daemon: 'sparsync serve is the server',
  connections: 'one connection uses all of two cores (docs/performance.md has the figures); --lanes spreads the work',
  'parallel-files': 'lanes read and write files in parallel: --lanes',
  'chunk-size': 'packs of 256 KiB are as fast as any (docs/performance.md has the figures)',
  'compression-level': 'LZ4 has one level; --compress says when',
  'cold-start': 'a destination that is missing or empty is recognised automatically',
  'max-stream-payload': 'streams have no payload limit: content travels in packs of 256 KiB',
};
