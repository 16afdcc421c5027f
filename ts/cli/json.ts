import { resultOf } from '../errors.js';
import type { SparsyncError } from '../errors.js';
import { JSON_SCHEMA } from './json-lines.js';
import type { ErrorLine, JsonLine } from './json-lines.js';
import { print } from './output.js';

export { JSON_SCHEMA };

/**
 * Characters that JSON allows in a text and a terminal obeys: control characters beyond ASCII, and those that change
 * the direction of text.
 */
const OBEYED = /[\u007F-\u009F\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/g;

/** Prints one object on its line. */
export function printJson(record: object): Promise<void> {
  return print(jsonText(record));
}

/** Prints a line that docs/events.schema.json describes. */
export function printLine(line: JsonLine): Promise<void> {
  return print(jsonText(line));
}

/** An object on one line that is safe to show. Bytes become base64. */
export function jsonText(record: object): string {
  const text = JSON.stringify(record, (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
  );
  return text.replaceAll(OBEYED, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** An error as the last line of a run. */
export function errorRecord(error: SparsyncError, exitCode: number, help: string | undefined): ErrorLine {
  const result = resultOf(error);
  const { code, message, path, pathBytes, side, retryable, details } = error;
  return {
    type: 'error',
    schema: JSON_SCHEMA,
    exitCode,
    code,
    message,
    ...(path === undefined ? {} : { path }),
    ...(pathBytes === undefined ? {} : { pathBytes }),
    side,
    retryable,
    details,
    ...(help === undefined ? {} : { help }),
    ...(result === undefined ? {} : { stats: result.stats, failureCounts: result.failureCounts }),
  };
}
