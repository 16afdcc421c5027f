// What is said of rsync's options: a module of the command, and a part of docs/rsync.md.
import { ALL, FOREIGN, saidOf } from '../../options/rsync.mjs';
import { flags, WRITTEN } from './declared.mjs';

const BEGIN = '<!-- options of rsync: written by scripts/options.mjs -->';
const END = '<!-- end of the options of rsync -->';

const code = (name) => `\`--${name}\``;

/** The module with the reasons of what is refused. */
export function foreignModule() {
  const lines = Object.entries(FOREIGN).map(([name, why]) => `${JSON.stringify(name)}: ${JSON.stringify(why)},`);
  return `// ${WRITTEN}

/** Flags that others know and this command does not have, and why. Silence about them could lose data. */
export const FOREIGN_FLAGS: Readonly<Record<string, string>> = {
${lines.join('\n')}
};
`;
}

/** docs/rsync.md with the list of all options in its place. */
export function withOptionList(text) {
  const [before, rest] = text.split(BEGIN);
  const [, after] = (rest ?? '').split(END);
  if (after === undefined) throw new Error('docs/rsync.md has no place for the options of rsync');
  const names = new Set(flags.flatMap(({ flag, aliases = [] }) => [flag].concat(aliases)));
  const said = ALL.map((name) =>
    Object.assign(
      { name },
      saidOf(name, (each) => names.has(each)),
    ),
  );
  const same = said.filter(({ accepted, differs, refused }) => (accepted ?? differs ?? refused) === undefined);
  const accepted = said.filter((each) => each.accepted !== undefined);
  const differ = said.filter(({ differs }) => differs !== undefined);
  const refusals = said.filter(({ refused }) => refused !== undefined);
  const reasons = new Map(
    refusals.map(({ refused }) => [refused, refusals.filter((each) => each.refused === refused)]),
  );
  const parts = [
    `The same: ${same.map(({ name }) => code(name)).join(', ')}.`,
    `Not in every respect: ${differ.map(({ name, differs }) => `${code(name)} (${differs})`).join('; ')}.`,
    `Accepted, as there is nothing that they could change: ${accepted.map((each) => `${code(each.name)} (${each.accepted})`).join('; ')}.`,
    'Refused, each with its reason:',
    [...reasons].map(([why, all]) => `- ${all.map(({ name }) => code(name)).join(', ')}: ${why}.`).join('\n'),
  ];
  return `${before}${BEGIN}\n\n${parts.join('\n\n')}\n\n${END}${after}`;
}
