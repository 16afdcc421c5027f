import { instance } from './check.js';
import type { Check } from './check.js';

/** One rule: the owners that it is for, and the owner that they become. */
const RULE = /^([^:]*):(.+)$/;

const IDS = /^\d+(?:-\d+)?$/;

const BYTES_MAX = 64 << 10;

/** The greatest number that an owner or a group can have. */
const ID_MAX = 0xff_ff_ff_fe;

/** Names, or numbers that somebody can have. */
function areIds(text: string): boolean {
  if (!/^\d/.test(text)) return true;
  return IDS.test(text) && text.split('-').every((id) => Number(id) <= ID_MAX);
}

function isRule(text: string): boolean {
  const [, from, to] = RULE.exec(text) ?? [];
  return from !== undefined && to !== undefined && areIds(from) && areIds(to) && !/^\d+-/.test(to);
}

/** Rules for owners or groups, in rsync's notation. */
export const idMap: Check<string> = instance<string>(
  (value): value is string =>
    typeof value === 'string' &&
    !value.includes('\0') &&
    Buffer.byteLength(value) <= BYTES_MAX &&
    value.split(',').every(isRule),
  "rules for owners, as in 'alice:bob,1000-1999:nobody,*:0'",
);

/** An owner, a group, or both with a colon between them. */
export const ownerAndGroup: Check<string> = instance<string>((value): value is string => {
  if (typeof value !== 'string' || /[,\0]/.test(value)) return false;
  const { user, group } = ownersOf(value);
  return [user, group].every((name) => name === undefined || isRule(`*:${name}`));
}, "an owner, a group or both, as in 'alice:staff' or ':staff'");

/** The parts of `USER:GROUP`; an empty part is absent. */
export function ownersOf(chown: string): { user?: string; group?: string } {
  const colon = chown.indexOf(':');
  const user = colon === -1 ? chown : chown.slice(0, colon);
  const group = colon === -1 ? '' : chown.slice(colon + 1);
  return { ...(user === '' ? {} : { user }), ...(group === '' ? {} : { group }) };
}
