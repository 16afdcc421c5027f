import { bound, environment, flag, own, word } from './kinds.mjs';

export const title = 'Deleting';

const guards = environment('liftsGuards()', '`true` with `SPARSYNC_GUARDS=off`, else `false`');

/** When rsync deletes; here it is always last. */
const when = (name, help, more) => ({ kind: own(), flag: name, implies: ['delete'], help, ...more });

export const rows = [
  {
    name: 'delete',
    kind: flag(),
    field: { number: 18, at: 'deletion.delete' },
    asked: 'self.deletion.delete || self.missing_sources == MissingSources::Delete',
    meaning: 'Entries that the source does not have are deleted.',
    flag: 'delete',
    help: 'delete from DEST what SRC does not have',
  },
  {
    name: 'deleteExcluded',
    kind: flag(),
    field: { number: 72, at: 'deletion.excluded' },
    meaning: 'Excluded entries are deleted, too: rules without an end apply only to the sender.',
    flag: 'delete-excluded',
    implies: ['delete'],
    help: 'also delete what the rules exclude',
  },
  when('delete-before', 'the same as --delete: nothing is removed before both sides are known in full'),
  when('delete-during', 'the same as --delete', { hidden: true, aliases: ['del'] }),
  when('delete-delay', 'the same as --delete', { hidden: true }),
  {
    name: 'deleteAfter',
    kind: flag(),
    field: { number: 105, at: 'deletion.after' },
    meaning: 'Filter files at the destination decide about deletions as they are after the transfer.',
    flag: 'delete-after',
    implies: ['delete'],
    help: 'delete by the rules in the files that this run transfers',
  },
  {
    name: 'missingSources',
    kind: word({ set: 'MissingSources', list: 'MISSING_SOURCES', api: 'fail', command: 'fail' }),
    field: { number: 107, at: 'missing_sources' },
    meaning: 'What a missing source means.',
    flags: [
      {
        flag: 'delete-missing-args',
        word: 'delete',
        help: 'delete from DEST what a SRC that does not exist would be there',
      },
      { flag: 'ignore-missing-args', word: 'ignore', help: 'ignore a SRC that does not exist' },
    ],
  },
  {
    name: 'ignoreErrors',
    kind: flag(),
    field: { number: 106, at: 'deletion.ignore_errors' },
    meaning: 'A part of the source that could not be read does not prevent other deletions.',
    flag: 'ignore-errors',
    help: 'delete even when the source could not be read completely',
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
    meaning: 'A directory that is not empty may be replaced by a file even without `delete`.',
    flag: 'force',
    help: 'replace directories that are not empty by what SRC has in their place',
  },
];
