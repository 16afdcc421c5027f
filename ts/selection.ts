// Written by scripts/options.mjs from the table in crate/proto/src/options.rs; never edited.
import { flag } from './check.js';
import type { Check } from './check.js';

/** The checks. */
export const SELECTION_CHECKS: {
  readonly update: Check<boolean>;
} = {
  update: flag,
};

/** The names. */
export const SELECTION_NAMES = ['update'] as const;

/** The options with their defaults. */
export interface SelectionSettings {
  readonly update: boolean;
}

/** Adds the defaults. */
export function selectionDefaults(given: Partial<SelectionSettings>): SelectionSettings {
  return {
    update: given.update ?? false,
  };
}
