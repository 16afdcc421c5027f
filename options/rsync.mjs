// Every option of rsync 3.5.0, as its own --help lists them, and why those are refused that this command does not have. The rest of
// what is said of them follows from the table of options.

/** Refused options with their reasons. Silence about them could lose data. */
export const REFUSED = {
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
};

/** The letters of refused options. */
const LETTERS = { N: 'crtimes' };

/** What of our own is meant by a flag that others know, and why it is none here. */
const OTHERS = {
  connections: 'one connection uses all of two cores (docs/performance.md has the figures); --lanes spreads the work',
  'parallel-files': 'lanes read and write files in parallel: --lanes',
  'chunk-size': 'packs of 256 KiB are as fast as any (docs/performance.md has the figures)',
  'compression-level': 'LZ4 has one level; --compress says when',
  'cold-start': 'a destination that is missing or empty is recognised automatically',
  'max-stream-payload': 'streams have no payload limit: content travels in packs of 256 KiB',
};

/** Every flag that is refused with a reason, by its name or letter without dashes. */
export const FOREIGN = {
  ...Object.fromEntries(Object.entries(LETTERS).map(([letter, name]) => [letter, REFUSED[name]])),
  ...REFUSED,
  ...OTHERS,
};

/** What is taken and changes nothing, or only with some values. */
const ACCEPTED = {
  debug:
    'but for `flist` and `deltasum`, which say how files are sent, `del`, which says where is deleted, and `filter`, which says what rules decide, there is nothing to say',
  'no-inc-recursive': 'it changes the first line alone',
  'inc-recursive': 'it is so in any case',
  'block-size': 'what changed is found by content, in chunks whose sizes follow from it',
  'max-alloc': 'memory is bounded whatever the trees hold',
  outbuf: 'lines are written as they come',
  'checksum-choice': 'with `auto`: content is hashed with BLAKE3 at both ends, and no other hash is known',
  cc: 'with `auto`, as `--checksum-choice`',
  'checksum-seed': 'BLAKE3 takes none',
  'compress-threads': 'each lane compresses what it sends, see `--lanes`',
  zt: 'as `--compress-threads`',
  iconv: 'where nothing is converted, as with `-` or `.`: names are bytes, and arrive as they are',
  'no-motd': 'a server says nothing of the day',
  'blocking-io': 'a remote shell has pipes of its own, and nothing else waits for them',
  'old-args': 'arguments travel as bytes, and no shell reads them',
  'secluded-args': 'as `--old-args`',
  'protect-args': 'as `--old-args`',
  'trust-sender': 'what a sender lists is checked in any case, and costs nothing',
};

/** Where docs/rsync.md says what differs, for options that are not the same in every respect. */
const DIFFERS = {
  'log-file': 'errors in our own words',
  'out-format': '`%C` is BLAKE3, and there with `--checksum` alone',
  info: 'nothing is said of what a dry run would back up, nor of symlinks that `--copy-unsafe-links` follows; `copy` and `misc` have nothing to say, and `skip2` no more than `skip`',
  verbose:
    'twice, without what rules hide, and what names several sources share; no totals where all that is named is skipped',
  'hard-links': 'which name comes first, and so is shown as sent, is the walk’s order',
  'remote-option': 'what one side alone looks at',
  'write-batch': 'a format of our own, of whole files; not with `--remove-source-files`, and not of a pull',
  'only-write-batch': 'as `--write-batch`',
  'read-batch': 'of batches of our own, all of it before anything is done',
  append: 'what is there is verified',
  'append-verify': 'the same as `--append`',
  delete: 'nothing is removed before everything is known, and a guard speaks first',
  'delete-before': 'as `--delete`',
  'delete-during': 'as `--delete`',
  'delete-delay': 'as `--delete`',
  del: 'as `--delete`',
  inplace: 'for files that are there',
  'copy-devices': 'a character device is not opened, and arrives empty',
  'write-devices': 'a block device that is mounted, or in use otherwise, is refused',
  fuzzy: 'of large files; which file is similar is judged in another way',
  'delay-updates': 'what was complete when a run is cut is sent again',
  fsync: '`--durability=file`',
  partial: 'verified parts, from 4 MiB on; it is the default',
  'partial-dir': 'as `--partial`; a relative one lies below each directory',
  xattrs: 'not twice; up to 256 KiB of an entry, and 64 MiB of the entries of a directory; `x` rules only leave out',
  compress: 'LZ4, and the default is `auto`',
  'compress-choice': '`lz4`, `none` or `auto`',
  zc: '`lz4`, `none` or `auto`',
  'compress-level': 'LZ4 has one: 0 is `none`, any other `always`',
  zl: 'LZ4 has one: 0 is `none`, any other `always`',
  'skip-compress': 'nothing is skipped by default: whether compression pays is measured',
  preallocate: 'not with `--sparse`',
  bwlimit: 'of content',
  'open-noatime': 'as far as the system lets it',
  address: 'an address, no name',
  port: 'of `sparsync://` in SRC and DEST',
  'list-only': 'sizes of directories of a server are not known',
  version: 'our own capabilities',
  help: 'our own',
  relative: 'symlinks on the way on a server are refused, and a directory on the way that rules leave out is made',
  'no-implied-dirs': 'such directories are named, and take the place of what leads to none',
  backup: 'with the attributes that the file had; one for what a link or a copy replaces, too',
  'backup-dir': 'as `--backup`; what it holds in the destination is not deleted',
  'temp-dir': 'what is kept of files stays beside their targets',
  'compare-dest': 'what the destination has and is right stays',
  'copy-dest': 'what takes the place of another kind of entry is sent; with `-i -H` a further name is new',
  'link-dest': 'what the destination has and is right is not linked anew',
  'remove-source-files':
    'removes what has arrived, links as well, when all of it is on disk; not what another state of the tree has',
  'ignore-errors': 'what could not be listed is left alone at the destination',
  'delete-missing-args': 'a path of a list whose directory is missing is told, and kept',
  'max-delete': 'what is in directories that give way is counted first',
  'fake-super': 'what is not carried is stored as the file has it',
  'copy-links': 'a name is the first source’s, also where that leads nowhere',
  'safe-links': 'munged symlinks are judged as they travel',
  'keep-dirlinks': 'what leads out stays, and is told; what else they lead to is not deleted',
  acls: 'whom rules make one stands once in a list',
  super: 'a file whose owner cannot be set has the mode that it is to have',
  update: 'with `--modify-window=-1` a second counts',
  'modify-window': 'a directory that gets another mode or owner gets its time, too',
  existing: 'what rules leave out is not there',
  'ignore-existing': 'a file in the place of a directory is left alone, without an error',
  dirs: 'a missing DEST holds DIR, and a list implies it',
  'files-from': 'up to 32 MiB of paths; no symlink on the way of a server',
  'prune-empty-dirs':
    'what a list names twice is left out as what it names once; a directory below which are more than 20,000 and no file is carried',
  filter: 'files in the tree, see [filters](filters.md)',
  'cvs-exclude': 'as `--filter`',
  'exclude-from': 'a directory is no list',
  'include-from': 'as `--exclude-from`',
  from0: 'for files in the trees of both ends, wherever these are',
  stats: 'what gives way to another kind of entry counts as deleted',
  'stop-after': 'whole minutes',
  mkpath: 'with `--dry-run` one line says what would be made',
  'rsync-path': 'a `sparsync-remote`',
  contimeout: 'taken everywhere, and for a remote shell too',
  'whole-file': 'as far as both ends are on one machine it is the default',
};

/** All options, in the order of rsync's help. */
export const ALL =
  `verbose info debug stderr quiet no-motd checksum archive recursive inc-recursive no-inc-recursive no-i-r relative no-implied-dirs backup
  backup-dir suffix update inplace append append-verify dirs old-dirs old-d mkpath links copy-links copy-unsafe-links safe-links insecure-links
  confine-root munge-links copy-dirlinks keep-dirlinks hard-links perms executability chmod acls xattrs owner group devices copy-devices write-devices
  specials drop-D times atimes open-noatime crtimes omit-dir-times omit-link-times super fake-super sparse preallocate dry-run whole-file
  checksum-choice cc one-file-system block-size rsh rsync-path existing ignore-non-existing ignore-existing remove-source-files del delete delete-before
  delete-during delete-delay delete-after delete-excluded ignore-missing-args delete-missing-args ignore-errors force max-delete max-size min-size
  max-alloc partial partial-dir delay-updates prune-empty-dirs numeric-ids usermap groupmap chown timeout contimeout ignore-times size-only
  modify-window temp-dir fuzzy compare-dest copy-dest link-dest compress compress-choice zc compress-level zl compress-threads zt skip-compress cvs-exclude
  filter exclude exclude-from include include-from files-from from0 old-args secluded-args protect-args trust-sender copy-as address port
  sockopts blocking-io outbuf stats 8-bit-output human-readable progress itemize-changes remote-option out-format log-file log-file-format
  password-file early-input list-only bwlimit stop-after stop-at fsync write-batch only-write-batch read-batch protocol iconv checksum-seed ipv4 ipv6 version help`.split(
    /\s+/,
  );

/** What is said of an option: nothing when it is the same, why it changes nothing, what differs, or why it is refused. */
export function saidOf(name, has) {
  if (ACCEPTED[name] !== undefined) return { accepted: ACCEPTED[name] };
  if (has(name) || has(name.replace(/^no-/, ''))) return { differs: DIFFERS[name] };
  const refused = REFUSED[name];
  if (refused === undefined) throw new Error(`options/rsync.mjs says nothing of --${name}, and there is no such flag`);
  return { refused };
}
