// The small program that runs others and says what they cost.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { cleanEnvironment, mustRun, run } from './processes.js';
import { onCores } from './links.js';
import type { Link } from './links.js';

/** What one program took. */
export interface Cost {
  wallMs: number;
  /** User and system time of it and the children that it waited for. */
  cpuMs: number;
  /** Peak memory of the largest of these processes. */
  peakKib: number;
  /** Processor time of others meanwhile, by process id. */
  clocksMs: ReadonlyMap<number, number>;
  stdout: string;
}

/** How a program is measured. */
export interface Timing {
  /** Where it runs. */
  link: Link;
  /** Resident processes whose processor time counts too. */
  clocks?: readonly number[];
  env?: Record<string, string>;
}

let next = 0;

/** Runs programs under `timed`. */
export class Timer {
  readonly #program: string;
  readonly #folder: string;

  constructor(program: string, folder: string) {
    this.#program = program;
    this.#folder = folder;
  }

  /** The processor time that a process has spent since its start. */
  async spentMs(pid: number): Promise<number> {
    return Number((await mustRun(this.#program, ['--read', String(pid)])).stdout) / 1000;
  }

  /** Runs a program; an exit code other than 0 is an error. */
  async time([program, ...args]: readonly [string, ...string[]], { link, clocks = [], env }: Timing): Promise<Cost> {
    const out = join(this.#folder, `timed-${(next += 1)}.json`);
    const options = [
      ...(link.near === undefined ? [] : ['--netns', link.near.path]),
      ...clocks.flatMap((pid) => ['--clock', String(pid)]),
      ...['--out', out, '--', program, ...args],
    ];
    const { code, stdout, stderr } = await run(...onCores(link.near, [this.#program, ...options]), {
      env: cleanEnvironment(env),
    });
    if (code !== 0) throw new Error(`${this.#program} exited ${code}\n${stderr}`);
    const said = JSON.parse(readFileSync(out, 'utf8')) as Record<string, number> & { clocksUs: Record<string, number> };
    rmSync(out);
    if (said['exit'] !== 0) {
      throw new Error(`${[program, ...args].join(' ')} exited ${said['exit']}\n${stdout}${stderr}`);
    }
    const ms = (name: string): number => (said[name] ?? 0) / 1000;
    return {
      wallMs: ms('wallUs'),
      cpuMs: ms('userUs') + ms('systemUs'),
      peakKib: said['peakKib'] ?? 0,
      clocksMs: new Map(Object.entries(said.clocksUs).map(([pid, us]) => [Number(pid), us / 1000])),
      stdout,
    };
  }
}
