import type { EntryPath } from '../events.js';

/** Characters that would move the cursor, hide text or turn its direction in a terminal or a log; a tab is none. */
// oxlint-disable-next-line no-control-regex
const UNSAFE = /[\u0000-\u0008\u000A-\u001F\u007F-\u009F\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/gu;

/** A backslash that would be taken for the beginning of an escape. */
const LIKE_ESCAPE = /\\(?=#\d{3})/g;

/** Anything that an escape stands for, or that a locale without UTF-8 cannot show. */
// oxlint-disable-next-line no-control-regex
const ANY = /[^\t\u0020-\u005B\u005D-\u007E]/u;

const octal = (byte: number): string => `\\#${byte.toString(8).padStart(3, '0')}`;

const octets = (text: string): string => Array.from(Buffer.from(text), octal).join('');

/** Text that GitHub Actions would take for a command: `::` at the start of a line, and `##[` anywhere. */
const COMMAND = /^\s*:(?=:)|#(?=#\[)/g;

const isReadForCommands = process.env['GITHUB_ACTIONS'] === 'true';

const noCommand = (text: string): string => (isReadForCommands ? text.replaceAll(COMMAND, octets) : text);

/** A text from a file system or a peer, safe to show on one line: as rsync has it, `\#ooo` for a byte, which can be read back. */
export function safe(text: string): string {
  return noCommand(ANY.test(text) ? text.replaceAll(LIKE_ESCAPE, octets).replaceAll(UNSAFE, octets) : text);
}

/** Whether the locale uses UTF-8, or is not set. */
const isUtf8 = ((): boolean => {
  const { LC_ALL, LC_CTYPE, LANG } = process.env;
  const locale = [LC_ALL, LC_CTYPE, LANG].find((value) => value !== undefined && value !== '');
  return locale === undefined || /utf-?8/i.test(locale);
})();

/** Whether bytes of names that are no UTF-8, or not in the locale, are printed as they are (`-8`) and not escaped. */
let highBytesAsTheyAre = false;

/** Shows bytes that are not UTF-8 as they are (`-8`). */
export function showHighBytes(): void {
  highBytesAsTheyAre = true;
}

/** A path, safe to show on one line; bytes that are not UTF-8 as `\#ooo`, and so all beyond ASCII where the locale has no UTF-8. */
export function safePath(entry: EntryPath): string {
  const { path, pathBytes } = entry;
  if (pathBytes === undefined) {
    if (!ANY.test(path)) return noCommand(path);
    // oxlint-disable-next-line no-control-regex
    return isUtf8 || highBytesAsTheyAre ? safe(path) : safe(path).replaceAll(/[^\u0000-\u007F]+/g, octets);
  }
  return safeBytes(pathBytes);
}

/** The bytes of a name, safe to show on one line. */
export function safeBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString();
  if (!text.includes('\uFFFD')) return safePath({ path: text });
  return Array.from(pieces(bytes), ([piece, valid]) => {
    if (valid) return safePath({ path: piece });
    const raw = Buffer.from(piece, 'latin1');
    return highBytesAsTheyAre
      ? Array.from(raw, (byte) => String.fromCharCode(RAW + byte)).join('')
      : Array.from(raw, octal).join('');
  }).join('');
}

/** Where the characters begin that stand for single bytes on their way to a stream: lone surrogates, which no text has. */
const RAW = 0xdc00;

/** Such characters, which are no half of another one. */
const SINGLE = /([\uDC80-\uDCFF]+)/u;

/** The text to be written, in which characters that stand for single bytes become those bytes again. */
export function encoded(text: string): string | Buffer {
  if (!highBytesAsTheyAre || !SINGLE.test(text)) return text;
  const parts = text.split(SINGLE);
  return Buffer.concat(
    parts.map((part, index) =>
      index % 2 === 1 ? Buffer.from(Array.from(part, (each) => each.charCodeAt(0) - RAW)) : Buffer.from(part),
    ),
  );
}

/** Splits bytes into parts that are UTF-8 and parts that are not. */
function* pieces(bytes: Uint8Array): Generator<readonly [string, boolean]> {
  const text = Buffer.from(bytes).toString('latin1');
  let at = 0;
  for (const match of text.matchAll(UTF8)) {
    if (match.index > at) yield [text.slice(at, match.index), false];
    yield [Buffer.from(match[0], 'latin1').toString(), true];
    at = match.index + match[0].length;
  }
  if (at < text.length) yield [text.slice(at), false];
}

/**
 * Valid UTF-8, with bytes as characters: no longer forms than needed, no surrogates, no code point beyond the last one.
 */
const UTF8 =
  // oxlint-disable-next-line no-control-regex
  /(?:[\x00-\x7F]|[\xC2-\xDF][\x80-\xBF]|\xE0[\xA0-\xBF][\x80-\xBF]|[\xE1-\xEC\xEE\xEF][\x80-\xBF]{2}|\xED[\x80-\x9F][\x80-\xBF]|\xF0[\x90-\xBF][\x80-\xBF]{2}|[\xF1-\xF3][\x80-\xBF]{3}|\xF4[\x80-\x8F][\x80-\xBF]{2})+/g;
