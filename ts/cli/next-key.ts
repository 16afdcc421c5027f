import type { NextServerKey } from '../events.js';
import { safe } from './names.js';
import { note } from './output.js';

/** Tells that a server will show another key, which this side will not accept by itself. */
export function noteNextKey({ key, from, problem }: NextServerKey): void {
  const why =
    problem === undefined
      ? 'the pin was given explicitly: add that key by then, with a second --pin or a new credential'
      : `it could not be recorded: ${safe(problem)}`;
  note(`warning: from ${from.toISOString()} on the server has the key ${key}; ${why}`);
}
