import { bound, environment, flag } from './kinds.mjs';

export const title = 'Deleting';

const guards = environment('liftsGuards()', '`true` with `SPARSYNC_GUARDS=off`, else `false`');

export const rows = [
  {
    name: 'delete',
    kind: flag(),
    field: { number: 18, at: 'deletion.delete' },
    meaning: 'Entries that the source does not have are deleted.',
    flag: 'delete',
    help: 'remove from DEST what SRC does not have',
  },
  {
    name: 'deleteExcluded',
    kind: flag(),
    field: { number: 72, at: 'deletion.excluded' },
    meaning: 'What rules leave out is deleted too: rules for no end in particular are for the sender alone.',
    flag: 'delete-excluded',
    implies: ['delete'],
    help: 'remove what the rules leave out, too',
  },
  {
    name: 'maxDelete',
    kind: bound({ unit: 'entries' }),
    field: { number: 20, at: 'deletion.max' },
    meaning: 'No more deletions than this.',
    flag: 'max-delete',
    help: 'delete no more than NUM entries',
  },
  {
    name: 'allowMassDelete',
    kind: flag({ api: guards, command: guards }),
    field: { number: 21, at: 'deletion.allow_mass' },
    meaning: 'The guard against mass deletion is lifted.',
    flag: 'allow-mass-delete',
    help: 'allow deletions that look like an accident (or SPARSYNC_GUARDS=off)',
  },
  {
    name: 'force',
    kind: flag(),
    field: { number: 19, at: 'deletion.force' },
    meaning: 'A directory that is not empty gives way to a file even without `delete`.',
    flag: 'force',
    help: 'replace directories that are not empty by what SRC has there',
  },
];
