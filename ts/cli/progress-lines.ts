import type { ItemEvent, ProgressEvent } from '../events.js';
import { movedOf } from '../pace.js';
import type { SyncStats } from '../stats.js';
import { shownNumber } from './numbers.js';
import { isFancy, print, printPart } from './output.js';

/** A line that waits for its turn, and the file that it is about, if one is transferred. */
interface Waiting {
  readonly line: string | undefined;
  readonly size: number | undefined;
}

/**
 * Progress on stdout, in rsync's form. Several files are transferred at a time, so the n-th file of the list counts as
 * done when n files have arrived; lines of later ones wait until then.
 */
export class ProgressLines {
  readonly #total: boolean;
  readonly #level: number;
  readonly #dryRun: boolean;
  #waiting: Waiting[] = [];
  /** Files that are done, and their bytes. */
  #files = 0;
  #bytes = 0;
  #elapsedMs = 0;
  #stats: SyncStats | undefined;
  #isDrawn = false;

  constructor({ total, level, dryRun }: { total: boolean; level: number; dryRun: boolean }) {
    this.#total = total;
    this.#level = level;
    this.#dryRun = dryRun;
  }

  /** Says a line when its turn comes. */
  async say(line: string): Promise<void> {
    await this.#take({ line, size: undefined });
  }

  /** Takes an entry, with its line if it has one. The content of a file is then on its way. */
  async transferring(item: ItemEvent, line: string | undefined): Promise<void> {
    const isSent =
      item.kind === 'file' && (item.action === 'create' || item.action === 'update') && item.hardLinkTo === undefined;
    if (!isSent && line === undefined) return;
    await this.#take({ line, size: isSent && !this.#dryRun ? (item.size ?? 0) : undefined });
  }

  /** What is done so far. */
  async update(event: ProgressEvent): Promise<void> {
    this.#stats = event.stats;
    this.#elapsedMs = event.elapsedMs;
    await this.#advance(event.stats.filesTransferred);
    const head = this.#waiting[0];
    if (!isFancy('stdout') || this.#dryRun || (!this.#total && head?.size === undefined)) return;
    const done = movedOf(event.stats);
    const line = this.#total
      ? this.#overall(done, event)
      : this.#line(Math.max(0, Math.min(head?.size ?? 0, done - this.#bytes)), head?.size ?? 0, '');
    this.#isDrawn = true;
    await printPart(`\r${line}`);
  }

  /** Says all that still waits. */
  async end(): Promise<void> {
    await this.#advance(Number.MAX_SAFE_INTEGER);
    if (!this.#total || this.#dryRun) return;
    this.#isDrawn = false;
    await print(`\r${this.#line(this.#bytes, this.#bytes, this.#counts())}`);
  }

  async #take(waiting: Waiting): Promise<void> {
    if (this.#waiting.length === 0 && waiting.size === undefined) {
      await this.#print(waiting.line ?? '');
      return;
    }
    if (this.#waiting.length === 0 && waiting.line !== undefined) {
      // The name of a file is shown while its content arrives.
      await this.#print(waiting.line);
      this.#waiting.push({ line: undefined, size: waiting.size });
    } else this.#waiting.push(waiting);
  }

  async #advance(files: number): Promise<void> {
    let at = 0;
    for (const { line, size } of this.#waiting) {
      if (line !== undefined) await this.#print(line);
      if (size !== undefined) {
        if (this.#files >= files) {
          this.#waiting[at] = { line: undefined, size };
          break;
        }
        this.#files += 1;
        this.#bytes += size;
        if (!this.#total) await print(`\r${this.#line(size, size, this.#counts())}`);
      }
      at += 1;
    }
    this.#waiting = this.#waiting.slice(at);
  }

  async #print(line: string): Promise<void> {
    if (this.#isDrawn && this.#total) await print('');
    this.#isDrawn = false;
    await print(line);
  }

  #counts(): string {
    const all = this.#stats === undefined ? this.#files : this.#stats.entriesSource + 1;
    return ` (xfr#${this.#files}, to-chk=${Math.max(0, all - this.#files)}/${all})`;
  }

  /** The line of the whole run. An unknown total gives no percentage, which could go back, and no time. */
  #overall(done: number, { percent, etaMs }: ProgressEvent): string {
    const [rate, unit] = this.#rate();
    const time = etaMs === undefined ? '  ??:??:??' : clock(etaMs / 1000);
    return `${this.#amount(done, percent ?? 0)} ${rate.toFixed(2).padStart(7)}${unit} ${time}  `;
  }

  #line(done: number, total: number, counts: string): string {
    const seconds = this.#elapsedMs / 1000;
    const [rate, unit, bytesPerSecond] = this.#rate();
    const isUnderWay = counts === '' && bytesPerSecond > 0;
    const left = isUnderWay ? Math.round((total - done) / bytesPerSecond) : Math.trunc(seconds);
    const percent = total === 0 ? 100 : Math.min(100, Math.floor((done / total) * 100));
    const speed = `${rate.toFixed(2).padStart(7)}${unit}`;
    return `${this.#amount(done, percent)} ${speed} ${clock(left)}${counts === '' ? '  ' : counts}`;
  }

  #amount(done: number, percent: number): string {
    return `${shownNumber(done, this.#level).padStart(15)} ${String(percent).padStart(3)}%`;
  }

  /** The bytes per second, in the unit that is shown and as they are. */
  #rate(): readonly [number, string, number] {
    const seconds = this.#elapsedMs / 1000;
    const bytesPerSecond = seconds > 0 ? (this.#stats?.bytesTransferred ?? this.#bytes) / seconds : 0;
    const units = ['kB/s', 'MB/s', 'GB/s'];
    let [rate, unit] = [bytesPerSecond / 1024, 0];
    while (rate >= 1000 && unit < units.length - 1) {
      rate /= 1024;
      unit += 1;
    }
    return [rate, units[unit] ?? '', bytesPerSecond];
  }
}

/** A time as `H:MM:SS`. */
function clock(seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const whole = Math.round(seconds);
  return `${String(Math.trunc(whole / 3600)).padStart(4)}:${two(Math.trunc(whole / 60) % 60)}:${two(whole % 60)}`;
}
