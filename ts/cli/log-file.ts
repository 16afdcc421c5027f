import { createWriteStream } from 'node:fs';
import type { WriteStream } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

import { fromNative } from '../errors.js';
import type { OpenLog } from '../named-files.js';
import { moment, readFormat } from './out-format.js';
import type { Format, FormatValues } from './out-format.js';
import { loseFile, note } from './output.js';
import { safe } from './names.js';

/** The format that rsync uses for the log file by default. */
const STANDARD = '%i %n%L';

/** The file of `--log-file`: each action, with its time and the number of the process. */
export class LogFile {
  readonly #stream: WriteStream | undefined;
  /** The format of its entries; one that is empty has those of deletions alone. */
  readonly format: Format;
  #isLost = false;

  constructor(path: string, format: string | undefined, open: OpenLog) {
    this.format = readFormat(format ?? STANDARD);
    try {
      this.#stream = createWriteStream(path, { fd: open(path, 0o666) });
      this.#stream.on('error', (error) => this.#lose(error));
    } catch (error) {
      this.#lose(error);
    }
  }

  /** Writes of an entry. */
  async entry(values: FormatValues): Promise<void> {
    const line = this.format.line(values);
    if (line !== '') await this.line(line);
  }

  /** Writes what is said on stderr, without its colours. */
  note(text: string): void {
    for (const line of stripVTControlCharacters(text).split('\n')) this.#write(line);
  }

  /** Writes a line; waits while the disk is slower. */
  async line(text: string): Promise<void> {
    if (!this.#write(text)) {
      await new Promise<void>((resolve) => {
        this.#stream?.once('drain', resolve).once('close', resolve);
      });
    }
  }

  /** Tells once that the file cannot be written; the run goes on. */
  #lose(error: unknown): void {
    if (this.#isLost) return;
    this.#isLost = true;
    loseFile();
    note(`error[ERR_SPARSYNC_IO]: cannot write the log: ${safe(fromNative(error).message)}`);
  }

  /** Whether there is room for more. What comes after the end is not of the run. */
  #write(text: string): boolean {
    const stream = this.#stream;
    if (this.#isLost || stream === undefined || stream.destroyed || stream.writableEnded) return true;
    return stream.write(`${moment(Date.now(), ' ')} [${process.pid}] ${text}\n`);
  }

  /** Settles when all of it is written, or never will be. */
  close(): Promise<void> {
    const stream = this.#stream;
    return new Promise((resolve) => {
      // A stream that fails reports the error and then closes.
      if (stream === undefined || stream.closed) resolve();
      else {
        stream.once('close', resolve);
        if (!stream.destroyed) stream.end();
      }
    });
  }
}
