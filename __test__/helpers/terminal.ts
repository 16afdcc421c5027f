import { spawnSync } from 'node:child_process';

import type { ExecutionContext } from 'ava';

import { type Running, start, until } from './process.js';

/** Whether there is what makes terminals. */
export const hasTerminals: boolean = spawnSync('script', ['--version']).error === undefined;

/** A shell at a terminal, at which a test types as a person does: a line, and the next one when the prompt is back. */
export class Terminal {
  readonly #running: Running;
  readonly #prompt: string;
  #seen = 0;

  constructor(
    t: ExecutionContext,
    prompt: string,
    {
      under = [],
      env,
    }: { readonly under?: readonly string[]; readonly env: Readonly<Record<string, string | undefined>> },
  ) {
    const [first, ...rest] = [...under, 'script', '-qefc', `exec env PS1='${prompt}' sh -i`, '/dev/null'];
    this.#prompt = prompt;
    this.#running = start(t, first, rest, { env: { ...env, TERM: 'dumb' }, input: null });
    // What is typed last may run in a group of processes of its own, and take the end of the terminal for a call to go on.
    t.teardown(async () => {
      this.#seen = this.#running.stdout().length;
      this.interrupt();
      const isBack = (): boolean => this.shown.includes(prompt) || this.#running.over();
      await until('the prompt', isBack, 5000).catch(() => undefined);
    });
  }

  /** What the terminal shows since the last line that was typed. */
  get shown(): string {
    return this.#running.stdout().slice(this.#seen).replaceAll('\r', '');
  }

  /** Waits until the terminal shows something; returns all that it shows. */
  async sees(pattern: RegExp): Promise<string> {
    const holds = (): boolean => pattern.test(this.shown);
    await until(`${pattern} at the terminal`, () => holds() || this.#running.over(), 20_000).catch((error: unknown) => {
      throw new Error(`${String(error)}; it shows: ${this.shown}`);
    });
    return this.shown;
  }

  /** Types a line without waiting for what comes of it. */
  type(line: string): void {
    this.#seen = this.#running.stdout().length;
    this.#running.child.stdin?.write(`${line}\r`);
  }

  /** Types a command and waits for the prompt; returns what the terminal shows of it, and the exit code. */
  async runs(command: string): Promise<{ readonly shown: string; readonly code: number }> {
    this.type(`${command}; echo "=$?="`);
    return this.ends();
  }

  /** Waits for the end of what was typed as by `runs`. */
  async ends(): Promise<{ readonly shown: string; readonly code: number }> {
    const shown = await this.sees(/=\d+=$/m);
    const code = Number(/=(\d+)=$/m.exec(shown)?.[1]);
    return { shown: shown.replace(/=\d+=$[^]*/m, ''), code };
  }

  /** Waits for the first prompt. */
  async ready(): Promise<void> {
    await until('the prompt', () => this.#running.stdout().includes(this.#prompt) || this.#running.over());
  }

  /** Presses Ctrl-C. */
  interrupt(): void {
    this.#running.child.stdin?.write('\u0003');
  }
}
