/** A line is longer than what a profile can be. */
export class LineTooLong extends Error {
  readonly line: number;

  constructor(line: number, most: number) {
    super(`longer than ${most} bytes`);
    this.line = line;
  }
}

/** One line of a file. */
export interface Line {
  /** Its number, from 1. */
  readonly number: number;
  readonly text: string;
  /** Whether it has its end; only the last line of a file may have none. */
  readonly ended: boolean;
}

const NEWLINE = 0x0a;

/** Splits bytes into lines, and holds at most one line and one piece at a time. */
export async function* linesOf(pieces: AsyncIterable<Uint8Array>, most: number): AsyncGenerator<Line> {
  let held: Uint8Array[] = [];
  let length = 0;
  let number = 0;
  const take = (ended: boolean): Line => {
    const text = Buffer.concat(held).toString('utf8');
    held = [];
    length = 0;
    number += 1;
    return { number, text, ended };
  };
  const keep = (bytes: Uint8Array): void => {
    length += bytes.length;
    if (length > most) throw new LineTooLong(number + 1, most);
    held.push(bytes);
  };
  for await (const piece of pieces) {
    let start = 0;
    for (let end = piece.indexOf(NEWLINE); end !== -1; end = piece.indexOf(NEWLINE, start)) {
      keep(piece.subarray(start, end));
      start = end + 1;
      yield take(true);
    }
    if (start < piece.length) keep(piece.subarray(start));
  }
  if (length > 0) yield take(false);
}
