import { appendFileSync } from 'node:fs';

import { ioError } from '../errors.js';
import { profileText } from '../profile.js';
import type { ProfileRecord } from '../profile.js';
import { wantsProfile } from '../config.js';
import { loseFile, note } from './output.js';
import { printError } from './report.js';

/** Writes profiles to a file, one on each line, and to stderr if `SPARSYNC_PROFILE` asks for it. */
export class ProfileFile {
  readonly #path: string | undefined;
  #isLost = false;

  /** Makes the file if it is missing, so that an error is known before the run. */
  constructor(path: string | undefined) {
    this.#path = path;
    this.#attempt((file) => appendFileSync(file, ''));
  }

  /** Whether anybody wants profiles. */
  get isWanted(): boolean {
    return this.#path !== undefined || wantsProfile();
  }

  /** Adds a record. If the file cannot be written, that is told once and the run goes on. */
  add(record: ProfileRecord): void {
    try {
      if (!this.#isLost) this.#attempt((file) => appendFileSync(file, `${JSON.stringify(record)}\n`));
    } catch (error) {
      this.#isLost = true;
      loseFile();
      printError(error);
    }
    if (!wantsProfile()) return;
    const figures = record.type === 'summary' ? record.figures : record.ends[0]?.figures;
    if (figures !== undefined) note(profileText(figures));
  }

  #attempt(write: (path: string) => void): void {
    if (this.#path === undefined) return;
    try {
      write(this.#path);
    } catch (error) {
      throw ioError('cannot write the profile', error, this.#path);
    }
  }
}
