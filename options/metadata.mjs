import { EVERY, WRITING } from './calls.mjs';
import { flag, modes } from './kinds.mjs';

export const title = 'Modes, times and owners';

export const rows = [
  {
    name: 'executability',
    kind: flag(),
    calls: EVERY,
    field: { number: 45, at: 'attributes.executability' },
    meaning: 'Whether anybody may execute a file, where permission bits are not carried.',
    flag: 'executability',
    short: 'E',
    help: 'without -p: carry whether a file can be executed',
    verify: 'without modes: compare whether files can be executed',
  },
  {
    name: 'chmod',
    kind: modes(),
    calls: EVERY,
    field: { number: 48, at: 'chmod' },
    meaning: 'Changes of the permission bits that the source has, made before anything is compared.',
    flag: 'chmod',
    help: 'take the modes of SRC for what MODES makes of them (D755,F644; u=rwX,go=rX)',
    verify: true,
  },
  {
    name: 'omitDirTimes',
    kind: flag(),
    calls: EVERY,
    field: { number: 46, at: 'attributes.omit_dir_times' },
    meaning: 'No modification times of directories.',
    flag: 'omit-dir-times',
    short: 'O',
    help: 'carry no modification times of directories',
    verify: 'compare no modification times of directories',
  },
  {
    name: 'omitLinkTimes',
    kind: flag(),
    calls: EVERY,
    field: { number: 47, at: 'attributes.omit_link_times' },
    meaning: 'No modification times of symlinks.',
    flag: 'omit-link-times',
    short: 'J',
    help: 'carry no modification times of symlinks',
    verify: 'compare no modification times of symlinks',
  },
  {
    name: 'strictAttributes',
    kind: flag(),
    calls: WRITING,
    field: { number: 44, at: 'strict_attributes' },
    meaning: "An attribute that the destination's file system cannot hold is a failure of each entry that has one.",
    flag: 'strict-attributes',
    help: "fail (23) for each entry with an attribute that DEST's file system cannot hold, in place of one warning",
  },
];
