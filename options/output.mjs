import { WRITING } from './calls.mjs';
import { environment, flag, own } from './kinds.mjs';

export const title = 'Output';

const profiling = environment('wantsProfile()', '`true` with `SPARSYNC_PROFILE`, else `false`');

export const rows = [
  {
    kind: own(),
    flag: 'verbose',
    short: 'v',
    shared: true,
    help: 'list what is done, and totals; twice, also what is left alone',
  },
  { kind: own(), flag: 'quiet', short: 'q', shared: true, verify: true, help: 'no warnings, errors only' },
  { kind: own(), flag: 'itemize-changes', short: 'i', help: 'list each change and why; twice, also what is unchanged' },
  {
    name: 'events',
    kind: own({ standard: 'items when the job is iterated' }),
    calls: WRITING,
    meaning: 'Which events there are.',
  },
  {
    name: 'itemDetails',
    kind: flag(),
    calls: WRITING,
    field: { number: 130, at: 'item_details' },
    meaning: 'Each item tells mode, owner, time and target of the entry, and counters tell of each kind of entry.',
  },
  {
    name: 'itemUnchanged',
    kind: flag(),
    calls: WRITING,
    field: { number: 131, at: 'item_unchanged' },
    meaning: 'There is an item for what is as it should be as well.',
  },
  {
    kind: own({ value: 'PATH' }),
    flag: 'explain',
    many: true,
    help: 'do nothing but say which filter rule decides about PATH, a path of the transfer',
  },
  { kind: own({ value: 'FORMAT' }), flag: 'out-format', help: 'list each change in this form, as in "%i %n%L"' },
  { kind: own({ value: 'FILE' }), flag: 'log-file', help: 'write what is done to the end of FILE, with the time' },
  { kind: own({ value: 'FORMAT' }), flag: 'log-file-format', help: 'the form of what --log-file has of each change' },
  {
    kind: own({ value: 'FLAGS' }),
    flag: 'info',
    many: true,
    help: 'say more or less of something (--info=help lists it)',
  },
  {
    kind: own({ value: 'FLAGS' }),
    flag: 'debug',
    many: true,
    hidden: true,
    help: 'accepted, as there is nothing to say',
  },
  { kind: own(), flag: 'inc-recursive', hidden: true, help: 'accepted: it changes what the first line says' },
  { kind: own(), flag: 'i-r', hidden: true, implies: ['inc-recursive'], help: 'the same as --inc-recursive' },
  { kind: own(), flag: 'list-only', help: 'list what would be transferred; it is so without DEST, too' },
  { kind: own(), flag: 'progress', help: 'show progress' },
  {
    kind: own(),
    flag: 'partial-progress',
    short: 'P',
    implies: ['partial', 'progress'],
    hidden: true,
    help: 'the same as --partial --progress',
  },
  { kind: own(), flag: 'stats', help: 'show totals at the end' },
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
  { kind: own(), flag: 'human-readable', short: 'h', help: 'show sizes with units of 1000, twice of 1024' },
  { kind: own(), flag: '8-bit-output', short: '8', help: 'show bytes of names that are no text as they are' },
  { kind: own(), flag: 'json', shared: true, verify: true, help: 'one JSON object per line on stdout (schema 1)' },
  { kind: own(), flag: 'help', shared: true, verify: true, help: 'show this help' },
  { kind: own(), flag: 'version', short: 'V', help: 'show the version' },
];
