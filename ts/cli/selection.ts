// Written by scripts/options.mjs from the table in crate/proto/src/options.rs; never edited.
import type { TransferOptions } from '../options.js';
import type { SELECTION_NAMES } from '../selection.js';
import type { Flag, ParsedFlags } from './parse.js';
import { sizeOf } from './size.js';

/** The flags, under one heading of the help. */
export function selectionFlags(category: string): readonly Flag[] {
  return [
    { name: 'update', short: 'u', category, help: 'leave files alone that are newer in DEST' },
    { name: 'ignore-existing', category, help: 'leave files alone that DEST has, whatever they hold' },
    {
      name: 'max-size',
      value: 'SIZE',
      category,
      help: 'leave files alone that are larger than SIZE (K, M, G; KB is 1000)',
    },
  ];
}

/** What the flags say. */
export function selectionOf(flags: ParsedFlags): Pick<TransferOptions, (typeof SELECTION_NAMES)[number]> {
  return {
    update: flags.on('update'),
    ignoreExisting: flags.on('ignore-existing'),
    maxSize: sizeOf(flags, 'max-size'),
  };
}
