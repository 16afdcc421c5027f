import { WRITING } from './calls.mjs';
import { environment, flag, own } from './kinds.mjs';

export const title = 'Output';

const profiling = environment('wantsProfile()', '`true` with `SPARSYNC_PROFILE`, else `false`');

export const rows = [
  { kind: own(), flag: 'verbose', short: 'v', shared: true, help: 'list what is done, and a summary' },
  { kind: own(), flag: 'quiet', short: 'q', shared: true, verify: true, help: 'no warnings, errors only' },
  { kind: own(), flag: 'itemize-changes', short: 'i', help: 'list each change and why' },
  {
    name: 'events',
    kind: own({ standard: 'items when the job is iterated' }),
    calls: WRITING,
    meaning: 'Which events there are.',
  },
  {
    kind: own({ value: 'PATH' }),
    flag: 'explain',
    many: true,
    help: 'do nothing but say which filter rule decides about PATH, a path of the transfer',
  },
  { kind: own(), flag: 'progress', help: 'show progress on stderr' },
  {
    kind: own(),
    flag: 'partial-progress',
    short: 'P',
    implies: ['partial', 'progress'],
    hidden: true,
    help: 'the same as --partial --progress',
  },
  { kind: own(), flag: 'stats', help: 'show counters at the end' },
  {
    name: 'profile',
    kind: flag({ api: profiling, command: profiling }),
    calls: WRITING,
    field: { number: 34, at: 'profile' },
    meaning: 'Both ends measure where their time goes, and tell at the end.',
    flag: 'profile',
    value: 'FILE',
    help: 'add to FILE where the time of both ends went (see "sparsync profile report")',
  },
  { kind: own(), flag: 'human-readable', short: 'h', help: 'show sizes with units' },
  { kind: own(), flag: '8-bit-output', short: '8', help: 'show bytes of names that are no text as they are' },
  { kind: own(), flag: 'json', shared: true, verify: true, help: 'one JSON object per line on stdout (schema 1)' },
  { kind: own(), flag: 'help', shared: true, verify: true, help: 'show this help' },
  { kind: own(), flag: 'version', short: 'V', help: 'show the version' },
];
