import { flag, group, integer } from './check.js';
import type { Check, Checked } from './check.js';
import { ConfigError } from './errors.js';
import { pathOption } from './paths.js';
import type { PathLike } from './paths.js';
import type { NativeRequest } from './native.js';
import type { KeepRule, SnapshotOptions } from './options.js';
import { recordOf } from './record.js';

/** The snapshot of a request. */
export type NativeSnapshot = NativeRequest['options']['snapshot'];

/** What a rule counts. */
export const KEPT = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;

const count = integer(0, 1_000_000, 'snapshots');

const rule: Check<Checked<KeepRule>> = group<KeepRule>(recordOf(KEPT, () => count));

const options: Check<Checked<SnapshotOptions>> = group<SnapshotOptions>({
  previous: (value: unknown, name: string): PathLike | false => (value === false ? false : pathOption(value, name)),
  reflink: flag,
  keep: (value: unknown, name: string) => {
    const given = rule(value, name);
    if (Object.values(given).some((number) => number > 0)) return given;
    throw new ConfigError(`option ${name} keeps nothing: every snapshot would be removed`, {
      details: { option: name },
    });
  },
});

/** Checks the option. */
export const snapshotOption: Check<SnapshotOptions> = options;

/** The option in the form of the engine. Other directories to compare with are not known here. */
export function nativeSnapshot(given: SnapshotOptions | undefined): NativeSnapshot {
  return {
    isAsked: given !== undefined,
    linksNewest: given !== undefined && given.previous === undefined,
    reflinks: given?.reflink === true,
    ...recordOf(KEPT, (word) => given?.keep?.[word] ?? 0),
  };
}
