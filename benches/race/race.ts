// One race: every contender on one tree over one link, interleaved, each run into a fresh destination.
import { once } from 'node:events';
import { join } from 'node:path';

import type { Contender, Entrant, Measured, Phase, Stage, Turn } from './contender.js';
import { inPath } from './links.js';
import { mustRun, reasonOf, start } from './processes.js';
import { median } from './results.js';
import { touchPages } from './trees.js';

/** Where destinations are. */
export type Store = 'tmpfs' | 'disk';

/** What a contender took for a phase, over all counted runs. */
export interface Figure {
  contender: string;
  title: string;
  phase: Phase;
  contentOnly: boolean;
  wallMs: number[];
  nearCpuMs: number[];
  farCpuMs: number[];
  /** The largest of all runs. */
  nearPeakKib: number;
  farPeakKib: number | null;
  wireBytes: number | null;
}

/** What has no figure, and why. */
export interface Absence {
  what: string;
  why: string;
}

export interface RaceResult {
  figures: Figure[];
  absences: Absence[];
}

interface Runner {
  contender: Contender;
  entrant: Entrant;
}

/** The differences that rsync sees between two trees. */
async function differences(contender: Contender, source: string, destination: string): Promise<string[]> {
  const how = contender.contentOnly === true ? ['-rinc', '--exclude=/.sparsync'] : ['-ainc'];
  const { stdout } = await mustRun('rsync', [...how, '--delete', `${source}/`, `${destination}/`]);
  return stdout.split('\n').filter((line) => line !== '');
}

/** Collects what runs took, and what has no figure. */
class Ledger {
  readonly #figures = new Map<string, Figure>();
  readonly absences: Absence[] = [];

  add({ key, title, contentOnly = false }: Contender, phase: Phase, measured: Measured, warmUp: boolean): void {
    const id = `${key} ${phase}`;
    const figure = this.#figures.get(id) ?? {
      ...{ contender: key, title, phase, contentOnly, wallMs: [], nearCpuMs: [], farCpuMs: [] },
      ...{ nearPeakKib: 0, farPeakKib: null, wireBytes: null },
    };
    this.#figures.set(id, figure);
    // What only a warm-up run is looked at for is kept; its times are not.
    figure.wireBytes = measured.wireBytes ?? figure.wireBytes;
    if (measured.farPeakKib !== undefined) figure.farPeakKib = Math.max(figure.farPeakKib ?? 0, measured.farPeakKib);
    figure.nearPeakKib = Math.max(figure.nearPeakKib, measured.nearPeakKib);
    if (warmUp) return;
    figure.wallMs.push(measured.wallMs);
    figure.nearCpuMs.push(measured.nearCpuMs);
    if (measured.farCpuMs !== undefined) figure.farCpuMs.push(measured.farCpuMs);
  }

  /** A contender that failed or left another tree behind has no figure for that phase, whatever its other runs took. */
  strike(contender: Contender, phase: Phase | undefined, why: string): void {
    const what = `${contender.title}${phase === undefined ? '' : `, ${phase}`}`;
    for (const [id, figure] of this.#figures) {
      if (figure.contender === contender.key && (phase === undefined || figure.phase === phase))
        this.#figures.delete(id);
    }
    this.absences.push({ what, why });
    console.error(`  no figure for ${what}: ${why}`);
  }

  get figures(): Figure[] {
    return [...this.#figures.values()].filter(({ wallMs }) => wallMs.length > 0);
  }
}

async function oneRun(stage: Stage, { contender, entrant }: Runner, number: number, ledger: Ledger): Promise<void> {
  const warmUp = number === 0;
  const name = `${contender.key}-${inPath(stage.link)}-${number}`;
  const destination = join(stage.destinations, name);
  let changed = false;
  try {
    await entrant.prepare?.(destination);
    for (const phase of contender.phases) {
      if (phase === 'changed') {
        stage.tree.change();
        changed = true;
      }
      if (phase !== 'second') touchPages(stage.work, stage.tree.bytes);
      const turn: Turn = { phase, destination, name, warmUp };
      const crossed = stage.link.bytes?.();
      const measured = await entrant.sync(turn);
      if (crossed !== undefined) measured.wireBytes = (stage.link.bytes?.() ?? crossed) - crossed;
      if (phase === 'second' && !warmUp) await repeat(entrant, turn, measured);
      if (contender.makesTree) {
        const found = await differences(contender, stage.tree.path, destination);
        if (found.length > 0) {
          throw new Difference(phase, `the trees differ in ${found.length} entries, the first: ${found[0]}`);
        }
      }
      ledger.add(contender, phase, measured, warmUp);
    }
  } finally {
    if (changed) stage.tree.restore();
    await entrant.finish?.();
  }
}

/** A run without changes that takes less is repeated: it takes half as long again where the kernel puts its threads on one core. */
const REPEATED_BELOW_MS = 50;

/** How often such a run is measured in all. */
const TIMES = 5;

/** Gives what was measured of a run without changes the medians of several. */
async function repeat(entrant: Entrant, turn: Turn, measured: Measured): Promise<void> {
  const all = [{ ...measured }];
  while (measured.wallMs < REPEATED_BELOW_MS && all.length < TIMES) all.push(await entrant.sync(turn));
  measured.wallMs = median(all.map(({ wallMs }) => wallMs));
  measured.nearCpuMs = median(all.map(({ nearCpuMs }) => nearCpuMs));
  if (measured.farCpuMs !== undefined) measured.farCpuMs = median(all.map(({ farCpuMs }) => farCpuMs ?? 0));
}

class Difference extends Error {
  readonly phase: Phase;

  constructor(phase: Phase, message: string) {
    super(message);
    this.phase = phase;
  }
}

async function remove(path: string): Promise<void> {
  await once(start('rm', ['-rf', path]), 'exit');
}

/** Runs the race. `keep` leaves destinations on the disk until everything is measured. */
export async function race(
  stage: Stage,
  contenders: readonly Contender[],
  runs: number,
  { keep = false } = {},
): Promise<RaceResult> {
  const ledger = new Ledger();
  let runners: Runner[] = [];
  try {
    for (const contender of contenders) {
      try {
        runners.push({ contender, entrant: await contender.enter(stage) });
      } catch (error) {
        ledger.strike(contender, undefined, reasonOf(error));
      }
    }
    for (let number = 0; number <= runs; number += 1) {
      process.stderr.write(number === 0 ? '  warm-up' : `  run ${number}/${runs}`);
      for (const runner of shuffled(runners)) {
        process.stderr.write(` ${runner.contender.key}`);
        try {
          await oneRun(stage, runner, number, ledger);
        } catch (error) {
          process.stderr.write('\n');
          ledger.strike(runner.contender, error instanceof Difference ? error.phase : undefined, reasonOf(error));
          runners = runners.filter((other) => other !== runner);
          await closeQuietly(runner);
        }
        if (!keep) await remove(join(stage.destinations, `${runner.contender.key}-${inPath(stage.link)}-${number}`));
      }
      process.stderr.write('\n');
    }
  } finally {
    for (const runner of runners) await closeQuietly(runner);
  }
  return { figures: ledger.figures, absences: ledger.absences };
}

/** In an order of chance, so that nobody has the same one before it in every round: what that leaves behind would count for one alone. */
function shuffled<T>(all: readonly T[]): T[] {
  return all
    .map((one) => ({ one, key: Math.random() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ one }) => one);
}

async function closeQuietly({ contender, entrant }: Runner): Promise<void> {
  try {
    await entrant.close?.();
  } catch (error) {
    console.error(`  closing ${contender.key}: ${reasonOf(error)}`);
  }
}

/** What Node needs that does nothing, in KiB. */
export async function idleNodeKib(stage: Pick<Stage, 'timer'>): Promise<number> {
  const peaks: number[] = [];
  for (let look = 0; look < 3; look += 1) {
    const command = [process.execPath, '-e', 'setTimeout(() => {}, 100)'] as const;
    const cost = await stage.timer.time([...command], { link: { name: 'loopback', address: '127.0.0.1' } });
    peaks.push(cost.peakKib);
  }
  return Math.min(...peaks);
}
