import { flag, group, integer } from './check.js';
import type { Check, Checked } from './check.js';
import { ConfigError } from './errors.js';
import { pathOption } from './paths.js';
import type { PathLike } from './paths.js';
import type { NativeSnapshot as Snapshot } from './native.js';
import type { KeepRule, SnapshotOptions } from './options.js';
import { recordOf } from './record.js';

/** The snapshot of a request. */
export type NativeSnapshot = Readonly<Snapshot>;

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

/** A run that makes no snapshot. */
export const NO_SNAPSHOT: NativeSnapshot = {
  isAsked: false,
  linksNewest: false,
  reflinks: false,
  ...recordOf(KEPT, () => 0),
};

/** The option in the form of the engine. Other directories to compare with are not known here. */
export function nativeSnapshot({ previous, reflink, keep }: SnapshotOptions): NativeSnapshot {
  return {
    isAsked: true,
    linksNewest: previous === undefined,
    reflinks: reflink === true,
    ...recordOf(KEPT, (word) => keep?.[word] ?? 0),
  };
}
