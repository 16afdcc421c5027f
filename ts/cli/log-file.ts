import { createWriteStream } from 'node:fs';
import type { WriteStream } from 'node:fs';

import { fromNative } from '../errors.js';
import { moment, readFormat } from './out-format.js';
import type { Format, FormatValues } from './out-format.js';
import { loseFile, note } from './output.js';
import { safe } from './names.js';

/** What rsync writes of each entry when nothing else is asked for. */
const STANDARD = '%i %n%L';

/** The file of `--log-file`: what is done, with the time and the number of the process. */
export class LogFile {
  readonly #stream: WriteStream;
  readonly #format: Format | undefined;
  #isLost = false;

  constructor(path: string, format: string | undefined) {
    this.#format = format === '' ? undefined : readFormat(format ?? STANDARD, 'log-file-format');
    this.#stream = createWriteStream(path, { flags: 'a', mode: 0o666 });
    this.#stream.on('error', (error) => {
      if (this.#isLost) return;
      this.#isLost = true;
      loseFile();
      note(`error[ERR_SPARSYNC_IO]: cannot write the log: ${safe(fromNative(error).message)}`);
    });
  }

  /** Writes of an entry. */
  async entry(values: FormatValues): Promise<void> {
    if (this.#format !== undefined) await this.line(this.#format.line(values));
  }

  /** Writes a line; waits while the disk is slower. */
  async line(text: string): Promise<void> {
    if (this.#isLost || this.#stream.destroyed) return;
    const line = `${moment(Date.now(), ' ')} [${process.pid}] ${text}\n`;
    if (!this.#stream.write(line)) {
      await new Promise<void>((resolve) => {
        this.#stream.once('drain', resolve).once('close', resolve);
      });
    }
  }

  /** Settles when all of it is written, or never will be. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      // A stream that has failed tells of it, and then closes.
      if (this.#stream.closed) resolve();
      else {
        this.#stream.once('close', resolve);
        if (!this.#stream.destroyed) this.#stream.end();
      }
    });
  }
}
