// Written by scripts/options.mjs from the table in crate/proto/src/options.rs; never edited.
import { flag } from './check.js';
import type { Check } from './check.js';

/** The checks. */
export const SELECTION_CHECKS: {
  readonly update: Check<boolean>;
  readonly ignoreExisting: Check<boolean>;
} = {
  update: flag,
  ignoreExisting: flag,
};

/** The names. */
export const SELECTION_NAMES = ['update', 'ignoreExisting'] as const;

/** The options with their defaults. */
export interface SelectionSettings {
  readonly update: boolean;
  readonly ignoreExisting: boolean;
}

/** Adds the defaults. */
export function selectionDefaults(given: Partial<SelectionSettings>): SelectionSettings {
  return {
    update: given.update ?? false,
    ignoreExisting: given.ignoreExisting ?? false,
  };
}
