import { EVERY, WRITING } from './calls.mjs';
import { environment, flag, lanes, own, time, word } from './kinds.mjs';

export const title = 'How it runs';

const DAY_MS = 86_400_000;

export const rows = [
  {
    name: 'dryRun',
    kind: flag(),
    calls: WRITING,
    field: { number: 22, at: 'dry_run' },
    meaning: 'Only say what would be done.',
    flag: 'dry-run',
    short: 'n',
    help: 'find out what would be done, write nothing',
  },
  {
    name: 'mkpath',
    kind: flag(),
    calls: WRITING,
    field: { number: 83, at: 'mkpath' },
    meaning: 'All missing directories above the destination are made too.',
    flag: 'mkpath',
    help: 'make all missing directories above DEST',
  },
  {
    name: 'partial',
    kind: flag({ api: true, command: true }),
    calls: WRITING,
    field: { number: 25, at: 'partial', optional: true },
    meaning: 'Verified parts of large files are kept for the next run.',
    flag: 'partial',
    help: 'keep verified parts of large files for the next run (default; --no-partial)',
  },
  {
    name: 'compression',
    kind: word({ set: 'Compression', list: 'COMPRESSIONS', api: 'auto', command: 'auto', value: 'WHEN' }),
    calls: EVERY,
    field: { number: 27, at: 'compression', optional: true },
    meaning: 'When packs are compressed.',
    flag: 'compress',
    short: 'z',
    bare: 'always',
    off: 'never',
    help: 'auto, always or never (default: auto)',
  },
  {
    name: 'durability',
    kind: word({ set: 'Durability', list: 'DURABILITIES', api: 'run', command: 'none', value: 'LEVEL' }),
    calls: WRITING,
    field: { number: 26, at: 'durability' },
    meaning: 'What is on disk at the end.',
    flag: 'durability',
    help: 'what is on disk at the end: none, run or file (default: none)',
  },
  {
    name: 'retry',
    kind: own({ value: 'NUM', read: "flags.number('retry') ?? 0", standard: '`false`' }),
    calls: EVERY,
    meaning: 'Further attempts when the connection fails.',
    flag: 'retry',
    help: 'try NUM times more when the connection fails (default: 0)',
    verify: true,
  },
  {
    name: 'timeoutMs',
    kind: time({ most: DAY_MS, api: 60_000 }),
    calls: EVERY,
    field: { number: 29, at: 'timeout_ms', optional: true },
    meaning: 'The run ends when neither side worked for so long, in milliseconds; 0 is never.',
    flag: 'timeout',
    off: '0',
    help: 'give up when no work is done for so long (default: 60; 0: never)',
    verify: true,
  },
  {
    name: 'lanes',
    kind: lanes({
      api: environment('wantedLanes() ?? 0', '`SPARSYNC_BATCH_WRITE_CONCURRENCY`, else `0`'),
    }),
    calls: EVERY,
    field: { number: 30, at: 'lanes' },
    meaning: 'Lanes that carry content side by side.',
    flag: 'lanes',
    help: 'readers and writers side by side, 1 to 4 (default: 2)',
  },
  {
    name: 'lockWaitMs',
    kind: time({ most: DAY_MS, api: 0 }),
    calls: WRITING,
    field: { number: 28, at: 'lock_wait_ms' },
    meaning: 'How long to wait for another writer, in milliseconds.',
    flag: 'lock-wait',
    help: 'wait for another run on the same destination (default: 0)',
  },
  {
    name: 'signal',
    kind: own({ standard: 'none' }),
    calls: EVERY,
    meaning: 'Cancels the job.',
  },
];
