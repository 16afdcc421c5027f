// The manual page of the command.
import { GROUPS } from '../../options/table.mjs';
import { flags, WRITTEN } from './declared.mjs';

/** Text that roff takes as it is. */
function plain(text) {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll(/^([.'])/gm, '\\&$1');
}

const bold = (text) => `\\fB${plain(text)}\\fR`;

const italic = (text) => `\\fI${plain(text)}\\fR`;

/** A sentence out of a line of help. */
function sentence(text) {
  return plain(`${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`);
}

/** A sentence of the sources, in which names stand between backquotes. */
const prose = (text) =>
  text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? plain(part) : bold(part)))
    .join('');

const item = (term, text) => `.TP\n${term}\n${text}`;

function option({ flag, short, value, bare, off, many, help }) {
  const shown = value === undefined ? '' : bare === undefined ? `=${italic(value)}` : `[=${italic(value)}]`;
  const term = `${short === undefined ? '' : `${bold(`-${short}`)}, `}${bold(`--${flag}`)}${shown}`;
  const parts = [
    sentence(help),
    many === true ? 'It may be given more than once.' : '',
    off === undefined ? '' : `${bold(`--no-${flag}`)} stands for ${bold(`--${flag}=${off}`)}.`,
  ];
  return item(term, parts.filter((part) => part !== '').join('\n'));
}

function options() {
  return GROUPS.flatMap(({ title }) => {
    const shown = flags.filter(({ group, hidden }) => group === title && hidden !== true);
    return shown.length === 0 ? [] : [`.SS ${title}\n${shown.map(option).join('\n')}`];
  }).join('\n');
}

const named = (names) => names.map((name) => bold(`--${name}`)).join(', ');

/** The options of the verbs: those of a sync are told above. */
function verbOptions(verbs) {
  return verbs
    .map(({ verb, own, shared, others }) => {
      const also = [
        ...(shared.length === 0 ? [] : [`As above: ${named(shared)}.`]),
        ...others.map((words) => `And ${plain(words)}.`),
      ];
      const items = own.map((flag) => option({ ...flag, flag: flag.name, off: undefined }));
      const text = [...items, ...(also.length === 0 ? [] : [`.PP\n${also.join('\n')}`])].join('\n');
      return text === '' ? '' : `.SS sparsync ${verb}\n${text}\n`;
    })
    .join('');
}

const EXIT_CODE = /\/\*\* (.*) \*\/\n {2}\w+: (\d+),/g;

const VARIABLE = /\/\*\* (.*) \*\/\n {2}(SPARSYNC_\w+)\?: string;/g;

const VERB = /^ {2}(\w[\w ]*?(?: [A-Z[][A-Z[\] |]*)?) {2,}(.*)$/gm;

/** What a pattern finds in the sources, as many as there are of the thing that it looks for. */
function all(pattern, each, text, what) {
  const found = [...text.matchAll(pattern)];
  const expected = [...text.matchAll(each)].length;
  if (found.length === 0 || found.length !== expected)
    throw new Error(`${what}: ${found.length} of ${expected} are told`);
  return found;
}

/** The verbs of the help: their words, the verb itself first, and what they are for. */
function verbsOf(help) {
  const [, lines] = /^Verbs .*:\n([^]*?)\n\n/m.exec(help);
  return all(VERB, /^/gm, lines, 'verbs of the help').map(([, verb, text]) => [verb.trim().split(' '), text]);
}

function verbItem([words, text]) {
  const shown = words.map((word) => (/^\W*[A-Z]/.test(word) ? italic(word) : bold(word)));
  return item(`${bold('sparsync')} ${shown.join(' ')}`, sentence(text));
}

const FILES = [
  [
    '~/.config/sparsync/key.pem',
    "This user's private key. It is made, with mode 0600, when a server is first connected to.",
  ],
  ['~/.config/sparsync/known_hosts', 'The keys of servers, by host and port.'],
  ['~/.config/sparsync/authorized_keys', 'The clients that "sparsync serve" accepts, and what each may do.'],
  [
    'sparsync.toml',
    'Settings, in the working directory, ~/.config/sparsync and /etc/sparsync; see "sparsync config --help".',
  ],
  ['~/.local/state/sparsync', 'What runs remember. It may be missing.'],
];

/** What the variables of settings have in common. */
const SETTING =
  'A setting that a file could have: an option\'s name in capitals with "_" for "-", as SPARSYNC_BWLIMIT; for verify it begins with SPARSYNC_VERIFY_, ' +
  'for a server with SPARSYNC_SERVE_. A list has one value per line, a switch is true or false, and an unknown name is refused.';

/** docs/man/sparsync.1, out of the table and of the sources of the help, the exit codes and the environment variables. */
// oxlint-disable-next-line max-lines-per-function -- it is the page, from its top to its end
export function manualPage({ version, help, exitCodes, environment, flags: ofVerbs }) {
  const verbs = verbsOf(help);
  return `.\\" ${WRITTEN}
.TH SPARSYNC 1 "" "sparsync\\-native ${version}" "User Commands"
.SH NAME
sparsync \\- sync file trees over QUIC, as rsync does
.SH SYNOPSIS
.B sparsync
[\\fIOPTIONS\\fR] \\fISRC\\fR... \\fIDEST\\fR
.br
.B sparsync
.BR ${verbs.map(([[verb]]) => verb).join(' " | " ')}
[\\fB\\-\\-help\\fR]
.SH DESCRIPTION
Brings
.I DEST
up to date with
.IR SRC .
One of them may be on another machine:
.RI [ user @] host : path
or
.BR ssh:// [\\fIuser\\fR@]\\fIhost\\fR[: \\fIport\\fR]/ \\fIpath\\fR
over ssh, or
.BR sparsync:// \\fIhost\\fR[: \\fIport\\fR]/ \\fIroot\\fR/ \\fIpath\\fR,
where
.I root
is a folder that a server shares under this name.
A
.I SRC
with a slash at its end copies its content into
.IR DEST ,
without one itself.
Options that
.BR rsync (1)
has do what they do there; docs/rsync.md in the package lists the differences.
.PP
Files are written next to their targets and renamed, so each path has its old or its complete new content at any time.
Connections are encrypted, and both ends identify each other by keys.
.SH COMMANDS
Write
.I ./serve
for a folder with such a name.
.B \\-\\-help
after a command shows its options.
${verbs.map(verbItem).join('\n')}
.SH OPTIONS
Every option can be turned off by
.B \\-\\-no\\-\\fINAME\\fR
or by
.B \\-\\-no\\-
and its letter; the last one counts.
.B \\-P
stands for
.BR "\\-\\-partial \\-\\-progress" .
${options()}
.SH OPTIONS OF THE COMMANDS
All of them take
.B \\-\\-help
and, where they read settings,
.B \\-\\-config\\fR=\\fIFILE\\fR;
those that report something take
.BR \\-\\-json .
${verbOptions(ofVerbs)}.SH EXIT STATUS
${all(EXIT_CODE, /^ {2}\w+: \d+,/gm, exitCodes, 'exit codes')
  .map(([, text, code]) => item(bold(code), prose(text)))
  .join('\n')}
.SH ENVIRONMENT
${all(VARIABLE, /^ {2}SPARSYNC_\w+\?/gm, environment, 'variables')
  .map(([, text, name]) => item(bold(name), prose(text)))
  .join('\n')}
${item(`${bold('SPARSYNC_')}${italic('NAME')}`, plain(SETTING))}
.SH FILES
${FILES.map(([file, text]) => item(italic(file), plain(text))).join('\n')}
.SH SEE ALSO
.BR rsync (1)
.PP
The documents of the package, in its folder
.IR docs .
`;
}
