import type { SparsyncError } from '../errors.js';
import { print } from './output.js';

/** The version of what `--json` prints. Fields may be added within one; none is removed or given another meaning. */
export const JSON_SCHEMA = 1;

/** Prints one object on its line. Bytes become base64. */
export function printJson(record: object): Promise<void> {
  return print(
    JSON.stringify(record, (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
    ),
  );
}

/** An error as the last line of a run. */
export function errorRecord(error: SparsyncError, exitCode: number, help: string | undefined): object {
  const { code, message, path, pathBytes, side, retryable, details } = error;
  return {
    type: 'error',
    schema: JSON_SCHEMA,
    exitCode,
    code,
    message,
    path,
    pathBytes,
    side,
    retryable,
    details,
    help,
  };
}
