import { appendFileSync, closeSync } from 'node:fs';

import { ioError } from '../errors.js';
import type { OpenLog } from '../named-files.js';
import { profileText } from '../profile.js';
import type { ProfileRecord } from '../profile.js';
import { wantsProfile } from '../config.js';
import { loseFile, note } from './output.js';
import { printError } from './report.js';

/** Writes profiles to a file, one on each line, and to stderr if `SPARSYNC_PROFILE` asks for it. */
export class ProfileFile {
  readonly #path: string | undefined;
  readonly #open: OpenLog;
  #isLost = false;

  /** Makes the file if it is missing, so that an error is known before the run. */
  constructor(path: string | undefined, open: OpenLog) {
    this.#path = path;
    this.#open = open;
    this.#append('');
  }

  /** Whether anybody wants profiles. */
  get isWanted(): boolean {
    return this.#path !== undefined || wantsProfile();
  }

  /** Adds a record. If the file cannot be written, that is told once and the run goes on. */
  add(record: ProfileRecord): void {
    try {
      if (!this.#isLost) this.#append(`${JSON.stringify(record)}\n`);
    } catch (error) {
      this.#isLost = true;
      loseFile();
      printError(error);
    }
    if (!wantsProfile()) return;
    const figures = record.type === 'summary' ? record.figures : record.ends[0]?.figures;
    if (figures !== undefined) note(profileText(figures));
  }

  #append(text: string): void {
    if (this.#path === undefined) return;
    try {
      const descriptor = this.#open(this.#path, 0o666);
      try {
        appendFileSync(descriptor, text);
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      throw ioError('cannot write the profile', error, this.#path);
    }
  }
}
