import { instance } from './check.js';
import type { Check } from './check.js';

/** A logger in the shape of pino's: each call takes facts for programs, then a text. None may throw. */
export interface Logger {
  debug(facts: object, text: string): void;
  info(facts: object, text: string): void;
  warn(facts: object, text: string): void;
  error(facts: object, text: string): void;
}

/** How much something matters. */
export type Level = keyof Logger;

const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error'];

/** Checks a logger. */
export const loggerCheck: Check<Logger> = instance<Logger>(
  (value): value is Logger =>
    typeof value === 'object' &&
    value !== null &&
    LEVELS.every((level) => typeof (value as Partial<Record<Level, unknown>>)[level] === 'function'),
  'an object with the functions debug, info, warn and error',
);
