// The table of options as the writers of files need it: complete, and checked.
import { PLANNED } from '../../options/calls.mjs';
import { rows as internal, STRUCTS } from '../../options/request.mjs';
import { GROUPS } from '../../options/table.mjs';

export { STRUCTS };

/** The first line of a file that is written from the table. */
export const WRITTEN = 'Written by scripts/options.mjs from the table in options/; never edited.';

/** Every option, with the heading of its group. */
export const options = GROUPS.flatMap(({ title, rows }) =>
  rows.map((row) => ({ calls: PLANNED, ...row, group: title })),
);

/** What the engine is asked for. */
export const requested = options.filter(({ field }) => field !== undefined);

/** Options of the API. */
export const named = options.filter(({ name }) => name !== undefined);

/** The group of a member of the request, '' for none, and its name there. */
export function placeOf({ field }) {
  const [first, second] = field.at.split('.');
  return second === undefined ? { of: '', member: first } : { of: first, member: second };
}

/** The members of the request by their group. */
export function members() {
  const all = [...internal, ...requested];
  return new Map(['', ...STRUCTS.map(({ at }) => at)].map((at) => [at, all.filter((row) => placeOf(row).of === at)]));
}

/** The flags of the command in the order of the help, with the option that each belongs to. */
export const flags = options.flatMap((row) => {
  const value = row.value ?? row.kind.command?.value;
  const many = row.many ?? row.kind.command?.many;
  if (row.flags !== undefined) return row.flags.map((each) => Object.assign({}, row, each));
  return row.flag === undefined ? [] : [{ ...row, value, many }];
});

/** The rows that read one flag or several, of their own or of another option. */
export const readable = named.filter(
  ({ kind, flag, flags: several, from }) => (flag ?? several ?? from) !== undefined && kind.command?.read !== undefined,
);

function once(list, what) {
  const twice = list.find((each, index) => list.indexOf(each) !== index);
  if (twice !== undefined) throw new Error(`options/: ${what} ${twice} stands there twice`);
}

once(
  named.map(({ name }) => name),
  'the option',
);
once(
  flags.flatMap(({ flag, aliases = [] }) => [flag].concat(aliases)),
  'the flag',
);
once(
  flags.flatMap(({ short }) => short ?? []),
  'the letter',
);
for (const { at, message } of [{ at: '', message: true }, ...STRUCTS].filter(({ message }) => message !== undefined)) {
  once(
    fieldsOf(at).map(({ field }) => field.number),
    `in ${message === true ? 'the request' : at}, the field`,
  );
}

/** The fields of a message: a group that is none of its own has its fields in the request. */
export function fieldsOf(at) {
  const own = members();
  const flat = STRUCTS.filter(({ message }) => message === undefined).map((group) => group.at);
  const places = at === '' ? ['', ...flat] : [at];
  return places.flatMap((place) => own.get(place)).toSorted((a, b) => a.field.number - b.field.number);
}
