// Written by scripts/options.mjs from the table in crate/proto/src/options.rs; never edited.
import { flag, integer } from './check.js';
import type { Check } from './check.js';

/** The checks. */
export const SELECTION_CHECKS: {
  readonly update: Check<boolean>;
  readonly ignoreExisting: Check<boolean>;
  readonly maxSize: Check<number>;
} = {
  update: flag,
  ignoreExisting: flag,
  maxSize: integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
};

/** The names. */
export const SELECTION_NAMES = ['update', 'ignoreExisting', 'maxSize'] as const;

/** The options with their defaults. */
export interface SelectionSettings {
  readonly update: boolean;
  readonly ignoreExisting: boolean;
  readonly maxSize?: number;
}

/** Adds the defaults. */
export function selectionDefaults(given: Partial<SelectionSettings>): SelectionSettings {
  return {
    update: given.update ?? false,
    ignoreExisting: given.ignoreExisting ?? false,
    ...(given.maxSize === undefined ? {} : { maxSize: given.maxSize }),
  };
}
