// What takes part in a race, and where it runs.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Knobs } from './knobs.js';
import { inPath } from './links.js';
import type { Link } from './links.js';
import { familyCpuMs, peakKib, resetPeak, watchFamilyPeak } from './proc.js';
import type { Cost, Timer, Timing } from './timed.js';
import type { Tree } from './trees.js';

export const PHASES = ['first', 'second', 'changed'] as const;
export type Phase = (typeof PHASES)[number];

/** What one run took. The far end is absent where there is none. */
export interface Measured {
  wallMs: number;
  nearCpuMs: number;
  farCpuMs?: number;
  nearPeakKib: number;
  farPeakKib?: number;
  /** Bytes between both ends, in both directions, as the contender or the link counts them. */
  wireBytes?: number;
}

/** Where contenders meet. */
export interface Stage {
  link: Link;
  tree: Tree;
  /** Every destination is made below it, and it is what servers offer. */
  destinations: string;
  /** For keys, sockets and configurations. */
  work: string;
  timer: Timer;
  knobs: Knobs;
  /** The repository's top folder. */
  root: string;
  /** Folder of the programs that `benches/Cargo.toml` builds. */
  programs: string;
}

/** A run of one phase. */
export interface Turn {
  phase: Phase;
  /** The destination, which does not exist before the first phase. */
  destination: string;
  /** Its last name. */
  name: string;
  /** The run is not counted: it may be looked at in ways that cost time. */
  warmUp: boolean;
}

/** A contender on a stage. */
export interface Entrant {
  /** Before each run's first phase. */
  prepare?: (destination: string) => Promise<void>;
  sync: (turn: Turn) => Promise<Measured>;
  /** After each run's last phase. */
  finish?: () => Promise<void>;
  close?: () => Promise<void>;
}

/** What takes part. */
export interface Contender {
  /** Its name in `KEY=value` lines. */
  key: string;
  title: string;
  phases: readonly Phase[];
  /** Whether it leaves a tree behind that can be compared. */
  makesTree: boolean;
  /** It does less than `rsync -a`: only content and names are compared, and the tables say so. */
  contentOnly?: boolean;
  /** Takes its place; throws with the reason when it cannot. */
  enter: (stage: Stage) => Promise<Entrant>;
}

/** A server that starts a process for each connection, and what it spends. */
export async function besideFamily(pid: number, warmUp: boolean, work: () => Promise<Measured>): Promise<Measured> {
  const stop = warmUp ? watchFamilyPeak(pid) : undefined;
  const before = familyCpuMs(pid);
  const measured = await work();
  // Its children are waited for a little later.
  await sleep(60);
  const farCpuMs = familyCpuMs(pid) - before;
  return { ...measured, farCpuMs, ...(stop === undefined ? {} : { farPeakKib: stop() }) };
}

/** What a program took that has a resident server of one process. */
export async function besideServer(
  pid: number,
  work: (clocks: readonly number[]) => Promise<{ cost: Cost; wireBytes?: number | undefined }>,
): Promise<Measured> {
  resetPeak(pid);
  const { cost, wireBytes } = await work([pid]);
  return { ...near(cost, wireBytes), farCpuMs: cost.clocksMs.get(pid) ?? 0, farPeakKib: peakKib(pid) };
}

/** What a program took by itself. */
export function near(cost: Cost, wireBytes?: number): Measured {
  return {
    wallMs: cost.wallMs,
    nearCpuMs: cost.cpuMs,
    nearPeakKib: cost.peakKib,
    ...(wireBytes === undefined ? {} : { wireBytes }),
  };
}

/** Runs a program at the near end. */
export function timeAt(
  stage: Stage,
  command: readonly [string, ...string[]],
  timing: Omit<Timing, 'link'> = {},
): Promise<Cost> {
  return stage.timer.time(command, { link: stage.link, ...timing });
}

/** A file for this contender alone. */
export function workFile(stage: Stage, name: string): string {
  return join(stage.work, `${inPath(stage.link)}-${stage.tree.name}-${name}`);
}

/** Removes what a contender left in the work folder. */
export function forget(...files: readonly string[]): void {
  for (const file of files) rmSync(file, { recursive: true, force: true });
}
