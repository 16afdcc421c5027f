// The table of options for people.
import { members, options, placeOf, STRUCTS } from './declared.mjs';
import { GROUPS } from '../../options/table.mjs';

function spelled({ flag, short, aliases = [], value, bare }) {
  const shown = value === undefined ? '' : bare === undefined ? `=${value}` : `[=${value}]`;
  const others = [...(short === undefined ? [] : [`-${short}`]), ...aliases.map((name) => `--${name}`)];
  return [`--${flag}${shown}`, ...others].map((name) => `\`${name}\``).join(', ');
}

/** How a flag is taken back: what is off, or the default, is what it says then. */
const unset = ({ flag, off }) => `\`--no-${flag}\`${off === undefined ? '' : ` (\`${off}\`)`}`;

function numberOf({ name }) {
  if (name === undefined) return '';
  for (const [at, rows] of members()) {
    const row = rows.find((each) => each.name === name);
    if (row !== undefined) return `${within(at)}${row.field.number}${row.field.optional === true ? ', optional' : ''}`;
  }
  return '';
}

/** The field that a message of its own is in. */
function within(at) {
  const { message } = STRUCTS.find((each) => each.at === at) ?? {};
  if (message === undefined) return '';
  const { field } = members()
    .get('')
    .find((row) => placeOf(row).member === at);
  return `${field.number}.`;
}

function line(row) {
  const value = row.value ?? row.kind.command.value;
  const flags = row.flags ?? (row.flag === undefined ? [] : [{ ...row, value }]);
  const { range, standard, list } = row.kind.document;
  return [
    row.name === undefined ? '' : `\`${row.name}\``,
    flags.map(spelled).join('; '),
    flags.map(unset).join('; '),
    numberOf(row),
    standard,
    list === undefined ? range : row.words,
    row.meaning ?? `${row.help.charAt(0).toUpperCase()}${row.help.slice(1)}.`,
  ].join(' | ');
}

const flagOf = ({ name, short, value, bare }) => spelled({ flag: name, short, value, bare });

/** The flags of a verb that a sync has not. */
function verbSection({ verb, own, shared, others }) {
  const also = [...shared.map((name) => `\`--${name}\``), ...others];
  const lines = own.map((flag) => `| ${flagOf(flag)} | ${flag.help} |`);
  const table = lines.length === 0 ? '' : `\n\n| flag | what |\n| --- | --- |\n${lines.join('\n')}`;
  const text = also.length === 0 ? '' : `\n\nAlso: ${also.join(', ')}.`;
  return table + text === '' ? '' : `\n\n### sparsync ${verb}${table}${text}`;
}

/** docs/options.md; `words` gives the words of a list, `verbs` the flags of the verbs. */
export function optionsDocument(words, verbs) {
  const groups = GROUPS.map(({ title }) => {
    const lines = options
      .filter(({ group }) => group === title)
      .map((row) => {
        const list = row.kind.document.list;
        const shown = list === undefined ? undefined : words[list].map((word) => `\`'${word}'\``).join(', ');
        return `| ${line({ ...row, words: shown })} |`;
      });
    return `## ${title}

| option | flag | off | field | default | range | what |
| --- | --- | --- | --- | --- | --- | --- |
${lines.join('\n')}`;
  });
  return `# Options

Written by \`node scripts/options.mjs\` from the table in \`options/\`, in which each is declared once. An option without a flag is of the
API alone, a flag without an option of the command alone. The field is that of a [request](protocol.md#request); one with a point is
a field of the selection, which is a field of the request. All are critical, but for those that say otherwise. \`--no-NAME\` takes back
what the flag said, and \`--no-\` with its letter does so too. The default is that of the API; the command has rsync's: what is on or off is off
unless a flag says so, times are compared in whole seconds, and durability is \`none\`.

${groups.join('\n\n')}

## Flags of the verbs

All take \`--help\`, \`--config=FILE\` where they read settings, and \`--json\` where they tell something.${verbs.map(verbSection).join('')}
`;
}
