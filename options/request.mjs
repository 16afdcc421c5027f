// What a request has besides the options that somebody can ask for, and how its members are grouped.
import { internal } from './kinds.mjs';

/** Types that the members `GROUP.MEMBER` of a request make up. One with a `message` is a message of its own in one field. */
export const STRUCTS = [
  { at: 'attributes', type: 'Attributes', meaning: 'What a run compares and carries.' },
  { at: 'selection', type: 'Selection', meaning: 'What the planner leaves alone.', message: 'option' },
  {
    at: 'deletion',
    type: 'Deletion',
    meaning: 'What is deleted, and what protects against deleting by accident.',
  },
];

export const rows = [
  {
    kind: internal('Direction', { needs: { options: ['Direction'] } }),
    field: { number: 1, at: 'direction' },
    meaning: 'The direction in which the tree goes, as the initiator sees it.',
  },
  {
    kind: internal('Vec<u8>', {
      codec: 'AtMost<ROOT_NAME_BYTES_MAX>',
      needs: { field: ['AtMost'], limits: ['ROOT_NAME_BYTES_MAX'] },
    }),
    field: { number: 2, at: 'root' },
    meaning: "The acceptor's named root.",
  },
  {
    kind: internal('RelPath', { needs: { path: ['RelPath'] } }),
    field: { number: 3, at: 'path' },
    meaning: 'The tree below that root.',
  },
  {
    kind: internal('Vec<SourcePath>', { codec: 'Sources', needs: { options: ['Sources', 'SourcePath'] } }),
    field: { number: 4, at: 'sources' },
    meaning:
      'The sources of a pull that has several, at most [`SOURCES_MAX`](crate::limits::SOURCES_MAX); `path` is not looked at then. They are seen as one tree, in which the first source that has a name comes first, and a directory before everything else.',
  },
  {
    kind: internal('Option<Vec<u8>>', { codec: 'FileName', needs: { field: ['FileName'] } }),
    field: { number: 5, at: 'file_name' },
    meaning: 'The name of the source when it is a single file and the initiator is the sender.',
  },
  {
    kind: internal('bool'),
    field: { number: 6, at: 'into' },
    meaning:
      "A single file is put below an existing directory under its own name, as rsync does; otherwise the destination's path is the file's new name.",
  },
  {
    kind: internal('bool'),
    field: { number: 7, at: 'make_parent' },
    meaning: 'One directory above the destination may be made too.',
  },
  {
    kind: internal('bool'),
    field: { number: 58, at: 'attributes.foreign_xattrs' },
    meaning:
      'With `xattrs`, extended attributes of every namespace but `system.`, not of `user.` alone: the initiator is root, and may read and set them.',
  },
  {
    kind: internal('Selection'),
    field: { number: 17, at: 'selection' },
    meaning: 'What is left alone.',
  },
  {
    kind: internal('bool'),
    field: { number: 23, at: 'itemize' },
    meaning: 'The initiator wants an item for each entry with something to do.',
  },
  {
    kind: internal('bool'),
    field: { number: 24, at: 'grant_all' },
    meaning: 'The receiver grants all content: its destination is empty or missing (pull only).',
  },
  {
    kind: internal('Option<u64>'),
    field: { number: 31, at: 'bytes_bound', optional: true },
    meaning:
      'An upper bound of what the source can hold in bytes, where the sender knows one: when the destination has more free space, the run need not be counted before the first write. Without one it is counted.',
  },
  {
    kind: internal('Option<u64>'),
    field: { number: 32, at: 'entries_bound', optional: true },
    meaning: 'The same for entries.',
  },
  {
    kind: internal('bool'),
    field: { number: 33, at: 'space_checked' },
    meaning: 'The need was counted by a dry run before and fits: do not ask again.',
  },
  {
    kind: internal('Paths', { needs: { paths: ['Paths'] } }),
    field: { number: 37, at: 'selected' },
    meaning:
      'The paths below the top that belong to the run, with what is below them when it is recursive; none for everything. Directories on the way to them belong to it as far as they lead there.',
  },
  {
    kind: internal('Paths', { needs: { paths: ['Paths'] } }),
    field: { number: 80, at: 'listed' },
    meaning:
      'Directories whose direct entries belong to the run, in one that is not recursive and carries directories. In one that is recursive the root says that the top is on the way to what is selected.',
  },
  {
    kind: internal('bool'),
    field: { number: 185, at: 'item_stamps' },
    meaning: 'Each item with something to do has a stamp, and there is one for what a basis has as well.',
  },
  {
    kind: internal('Paths', { needs: { paths: ['Paths'] } }),
    field: { number: 186, at: 'planned' },
    meaning: 'the first 16 bytes of the stamps of the plan that is applied, each as a name of 32 hexadecimal digits.',
  },
  {
    kind: internal('bool'),
    field: { number: 187, at: 'applies_plan' },
    meaning: 'Nothing is done but what the plan has, and the run ends where something else would be.',
  },
  {
    kind: internal('Paths', { needs: { paths: ['Paths'] } }),
    field: { number: 108, at: 'missing' },
    meaning: 'For a push with `missing_sources`: what the sources that are not there would be below the top.',
  },
  {
    kind: internal('bool'),
    field: { number: 221, at: 'has_list' },
    meaning: 'Only what is selected or listed belongs to the run, even where that is nothing.',
  },
  {
    kind: internal('bool'),
    field: { number: 82, at: 'implied_dirs' },
    meaning:
      'The attributes of directories on the way to what is selected belong to the run too, but for those of the top.',
  },
  {
    kind: internal('RelPath', { needs: { path: ['RelPath'] } }),
    field: { number: 70, at: 'explain' },
    meaning:
      'A path of the transfer: nothing is done but to tell which rule of the filter decides about it. The top stands for none, and for a run.',
  },
  {
    kind: internal('Vec<u8>', {
      codec: 'AtMost<SOURCE_MARKS_BYTES_MAX>',
      needs: { field: ['AtMost'], limits: ['SOURCE_MARKS_BYTES_MAX'] },
    }),
    field: { number: 38, at: 'source_marks', optional: true },
    meaning:
      '16 bytes for each directory that is a source of a push that deletes, or that has a source of one that removes its sources, or is the destination of such a pull: an acceptor on the same machine knows them again and spares them.',
  },
];
