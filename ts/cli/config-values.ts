import type { Flag } from './parse.js';

/** The tables of a file of settings. */
export const TABLES = ['sync', 'verify', 'connection', 'server'] as const;

/** The name of a table. */
export type Table = (typeof TABLES)[number];

/** The flags of each table. Settings in other tables are for other verbs. */
export type Tables = Readonly<Partial<Record<Table, readonly Flag[]>>>;

/** What a flag takes in a file. */
export type ValueKind = 'switch' | 'integer' | 'size' | 'text';

const INTEGERS: readonly (string | undefined)[] = ['NUM', 'SECONDS', 'MINUTES'];

const SIZES: readonly (string | undefined)[] = ['SIZE', 'RATE'];

/** What is about one call. */
const NOT_IN_FILES: readonly string[] = [
  'help',
  'version',
  'config',
  'explain',
  'json',
  'reporter',
  'dry-run',
  'list-only',
  'print-unit',
];

/** What a flag takes. */
export function kindOf({ value }: Flag): ValueKind {
  if (value === undefined) return 'switch';
  if (INTEGERS.includes(value)) return 'integer';
  return SIZES.includes(value) ? 'size' : 'text';
}

/** Whether a flag may be a table of names and paths. */
export function isNamedPath({ value }: Flag): boolean {
  return value === 'NAME=PATH';
}

/** The flags that a table of a file may set. The table for connections is shared by all verbs that connect. */
export function settable(tables: Tables, table: Table): readonly Flag[] {
  const isClient = table === 'sync' || table === 'verify';
  return (tables[table] ?? []).filter(
    (flag) =>
      flag.hidden !== true &&
      !NOT_IN_FILES.includes(flag.name) &&
      !(isClient && tables.connection?.includes(flag) === true),
  );
}
