import type { ProgressEvent } from '../events.js';
import { isFancy, stderr } from './output.js';
import { count, duration, size } from './text.js';

/** How often progress is written where it cannot be redrawn, in milliseconds. */
const LINE_INTERVAL_MS = 5000;

/** Speed is shown over about this time, so that it neither jumps nor lags. */
const SPEED_WINDOW_MS = 3000;

/** Progress on stderr: one line that is redrawn on a terminal, elsewhere a line now and then. */
export class ProgressView {
  readonly #stream: NodeJS.WriteStream;
  readonly #redraw: boolean;
  #lastLineMs = 0;
  #shown = false;
  #samples: { readonly ms: number; readonly bytes: number }[] = [];

  constructor() {
    this.#stream = stderr();
    this.#redraw = isFancy('stderr');
  }

  /** Shows the state of a run. */
  update(event: ProgressEvent): void {
    this.#samples.push({ ms: event.elapsedMs, bytes: event.stats.bytesTransferred });
    while ((this.#samples[0]?.ms ?? 0) < event.elapsedMs - SPEED_WINDOW_MS) this.#samples.shift();
    if (this.#redraw) {
      const line = this.#line(event).slice(0, Math.max(20, (this.#stream.columns || 80) - 1));
      this.#stream.write(`\r\u001B[K${line}`);
      this.#shown = true;
    } else if (event.elapsedMs - this.#lastLineMs >= LINE_INTERVAL_MS) {
      this.#lastLineMs = event.elapsedMs;
      this.#stream.write(`${this.#line(event)}\n`);
    }
  }

  /** Takes the line away, so that other text can be written. */
  clear(): void {
    if (this.#shown) this.#stream.write('\r\u001B[K');
    this.#shown = false;
  }

  /** Begins with a new run, whose time starts at zero. */
  reset(): void {
    this.clear();
    this.#samples = [];
    this.#lastLineMs = 0;
  }

  #line({ stats, elapsedMs }: ProgressEvent): string {
    const done = stats.bytesTransferred + stats.bytesReused;
    const total = stats.bytesToTransfer;
    const speed = this.#speed();
    const files = `${count(stats.filesTransferred)} files`;
    if (total === undefined) {
      return `${duration(elapsedMs)}  scanning ${count(stats.entriesSource)} entries  ${size(done, true)}  ${size(speed, true)}/s  ${files}`;
    }
    const percent = total === 0 ? 100 : Math.min(100, Math.floor((done / total) * 100));
    const left = speed > 0 && done < total ? `  ETA ${duration(((total - done) / speed) * 1000)}` : '';
    return `${duration(elapsedMs)}  ${percent}%  ${size(done, true)} / ${size(total, true)}  ${size(speed, true)}/s${left}  ${files}`;
  }

  /** Bytes per second over the last samples. */
  #speed(): number {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.ms <= first.ms) return 0;
    return ((last.bytes - first.bytes) / (last.ms - first.ms)) * 1000;
  }
}
