// Written by scripts/options.mjs from the table in options/; never edited.

/** Flags that others know and this command does not have, and why. Silence about them could lose data. */
export const FOREIGN_FLAGS: Readonly<Record<string, string>> = {
  N: 'Linux lets nobody set the time at which a file was made',
  'old-dirs': 'it is for rsync of before 2005; -d carries directories without going into them',
  'old-d': 'it is for rsync of before 2005; -d carries directories without going into them',
  'insecure-links':
    'to what is written, and to files that options name, only symlinks of root and of this user lead; name the real path',
  'confine-root': 'a server confines each key to its prefix (serve --allow)',
  'drop-D': 'a server makes devices for keys with the right "special" alone; --no-D sends none',
  crtimes: 'Linux lets nobody set the time at which a file was made',
  'copy-as': 'the command runs as whoever starts it, and a server as whoever started that',
  sockopts: 'QUIC has no TCP sockets',
  'password-file': 'keys take the place of passwords: sparsync keys shows yours',
  'early-input': 'a server runs no program when a client comes',
  protocol: 'both ends agree on a version by themselves',
  daemon: 'sparsync serve is the server',
  connections:
    'one connection takes all that two cores give (docs/performance.md has the figures); --lanes spreads the work',
  'parallel-files': 'files are read and written by lanes: --lanes',
  'chunk-size': 'packs of 256 KiB are as fast as any (docs/performance.md has the figures)',
  'compression-level': 'LZ4 has one level; --compress says when',
  'cold-start': 'a destination that is missing or empty is noticed, and granted everything, by itself',
  'max-stream-payload': 'streams have no largest payload: content travels in packs of 256 KiB',
};
