import { shownNumber } from './numbers.js';

/** What a format can say of an entry. */
export interface FormatValues {
  /** The name, with a slash behind that of a directory. */
  readonly name: string;
  /** The name with the path of its source. */
  readonly longName: string;
  /** ` -> TARGET` of a symlink, ` => LEADER` of a hard link. */
  readonly leadsTo: string;
  /** The eleven columns. */
  readonly columns: string;
  /** `send`, `recv` or `del.`. */
  readonly operation: string;
  /** Bytes of the entry. */
  readonly size: number;
  /** Bytes that were to be transferred of it. */
  readonly transferred: number;
  readonly mode: number;
  readonly uid: number;
  /** None where the destination sets none. */
  readonly gid: number | undefined;
  readonly mtimeMs: number;
  /** The digest of its content, where the run has made one of it. */
  readonly digest: string | undefined;
}

/** A format that is read. */
export interface Format {
  /** Whether the differences are shown for every item, and not only transferred files. */
  readonly itemizes: boolean;
  /** Whether it has a word for sizes. */
  readonly tellsSizes: boolean;
  /** The line of an entry. Where no word of the format tells deletions, these have a line of their own. */
  readonly line: (values: FormatValues) => string;
}

/** The digits of a BLAKE3 digest; an entry without one has as many blanks, as in rsync. */
const DIGEST_DIGITS = 64;

/** The operation of what is deleted. */
export const DELETION = 'del.';

/** One place of a format: how its value is shown. */
const PLACE = /%('*)(-?\d*)('*)([A-Za-z%])/g;

const VALUES: Readonly<Record<string, (values: FormatValues, level: number) => string>> = {
  n: ({ name }) => name,
  f: ({ longName }) => longName,
  L: ({ leadsTo }) => leadsTo,
  i: ({ columns }) => columns,
  o: ({ operation }) => operation,
  l: ({ size }, level) => shownNumber(size, level),
  b: ({ transferred }, level) => shownNumber(transferred, level),
  c: (_, level) => shownNumber(0, level),
  B: ({ mode }) => permissions(mode),
  U: ({ uid }) => String(uid),
  G: ({ gid }) => (gid === undefined ? 'DEFAULT' : String(gid)),
  M: ({ mtimeMs }) => moment(mtimeMs, '-'),
  t: () => moment(Date.now(), ' '),
  p: () => String(process.pid),
  m: () => '',
  C: ({ digest = '' }) => digest.padEnd(DIGEST_DIGITS),
  '%': () => '%',
};

/** Reads a format of `--out-format` or `--log-file-format`. What is no place in it stands for itself, as in rsync. */
export function readFormat(format: string): Format {
  const letters = [...format.matchAll(PLACE)].map((match) => match[4] ?? '');
  const tellsDeletions = letters.includes('i') || letters.includes('o');
  return {
    itemizes: letters.includes('i'),
    tellsSizes: letters.includes('l'),
    line: (values) =>
      values.operation === DELETION && !tellsDeletions ? `deleting ${values.name}` : filled(format, values),
  };
}

function filled(format: string, values: FormatValues): string {
  return format.replaceAll(PLACE, (all, before: string, width: string, behind: string, letter: string) => {
    const value = VALUES[letter];
    if (value === undefined) return all;
    const shown = value(values, before.length + behind.length);
    const room = ' '.repeat(Math.max(0, Math.abs(Number(width)) - bytesOf(shown)));
    return width.startsWith('-') ? shown + room : room + shown;
  });
}

/** The bytes of a text before it was made safe to show: widths of columns count these. */
function bytesOf(shown: string): number {
  return Buffer.byteLength(shown.replaceAll(/\\#\d{3}/g, '.'));
}

/** The time of an entry in the time zone of this machine: `2026/11/28-17:18:50`. */
export function moment(ms: number, between: string): string {
  const time = new Date(Math.floor(ms / 1000) * 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join('/');
  return `${day}${between}${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':')}`;
}

/** Permission bits as nine letters. */
export function permissions(mode: number): string {
  const letters = Array.from('rwxrwxrwx', (letter, at) => ((mode >> (8 - at)) & 1 ? letter : '-'));
  for (const [bit, at, both, alone] of [
    [0o4000, 2, 's', 'S'],
    [0o2000, 5, 's', 'S'],
    [0o1000, 8, 't', 'T'],
  ] as const) {
    if (mode & bit) letters[at] = letters[at] === '-' ? alone : both;
  }
  return letters.join('');
}
