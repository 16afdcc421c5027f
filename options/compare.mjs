import { EVERY, PLANNED } from './calls.mjs';
import { bound, flag, own, window, word } from './kinds.mjs';

export const title = 'How it is compared';

export const rows = [
  {
    name: 'compare',
    kind: word({ set: 'Compare', list: 'COMPARES', api: 'quick', command: 'quick' }),
    field: { number: 15, at: 'attributes.compare' },
    meaning: 'How content is compared.',
    // The first that is given decides.
    flags: [
      {
        flag: 'checksum',
        project: true,
        short: 'c',
        word: 'content',
        help: 'compare content instead of size and time',
      },
      { flag: 'size-only', word: 'size', help: 'compare only the size' },
      { flag: 'ignore-times', short: 'I', word: 'none', help: 'transfer every file, whatever its size and time' },
    ],
  },
  {
    name: 'checksumCache',
    kind: flag(),
    calls: PLANNED,
    field: { number: 193, at: 'checksum_cache', optional: true },
    meaning:
      'Where content is compared, digests that earlier runs have made are used for files that are as they were then; a server has none.',
    flag: 'checksum-cache',
    project: true,
    help: 'with -c: on this side, reuse the hashes of files that have not changed since they were hashed',
  },
  {
    name: 'modifyWindowNs',
    kind: window({ api: -1, most: Number.MAX_SAFE_INTEGER }),
    calls: EVERY,
    field: { number: 16, at: 'attributes.window' },
    meaning: 'How times are compared.',
    flag: 'modify-window',
    short: '@',
    help: 'treat times this far apart as equal; -1 compares nanoseconds (default: 0)',
    verify: true,
  },
  {
    name: 'update',
    kind: flag(),
    field: { number: 1, at: 'selection.update' },
    meaning: 'Files that are newer at the destination are skipped.',
    flag: 'update',
    short: 'u',
    help: 'skip files that are newer in DEST',
  },
  {
    name: 'ignoreExisting',
    kind: flag(),
    field: { number: 2, at: 'selection.ignore_existing' },
    meaning: 'What exists at the destination is skipped, except directories.',
    flag: 'ignore-existing',
    help: 'skip files that exist in DEST, whatever their content',
  },
  {
    name: 'existing',
    kind: flag(),
    field: { number: 33, at: 'selection.existing' },
    meaning: 'What does not exist at the destination is not made.',
    flag: 'existing',
    help: 'skip what does not exist in DEST',
  },
  {
    kind: own(),
    flag: 'ignore-non-existing',
    implies: ['existing'],
    hidden: true,
    help: 'the same as --existing',
  },
  {
    name: 'maxSize',
    kind: bound({ unit: 'bytes', size: true }),
    field: { number: 32, at: 'selection.max_size' },
    meaning: 'Regular files of more bytes than this are skipped.',
    flag: 'max-size',
    project: true,
    help: 'skip files larger than SIZE (K, M, G; KB is 1000)',
  },
  {
    name: 'minSize',
    kind: bound({ unit: 'bytes', size: true }),
    field: { number: 34, at: 'selection.min_size' },
    meaning: 'Regular files of fewer bytes than this are skipped.',
    flag: 'min-size',
    project: true,
    help: 'skip files smaller than SIZE',
  },
];
