// The book: each chapter's commands are run, on machines that share nothing but the network, and print what it says.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import test, { type ExecutionContext } from 'ava';

import { until } from './helpers/process.js';
import { freePort } from './helpers/port.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { dir, workDir } from './helpers/temp.js';

const BOOK = fileURLToPath(new URL('../docs/book', import.meta.url));
const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const CHAPTERS = readdirSync(BOOK).filter((name) => /^\d\d-.*\.md$/.test(name));

/** A block of a chapter: what is typed or run, on which machine, and what it prints. */
interface Block {
  readonly language: 'sh' | 'js';
  readonly machine: string;
  readonly code: string;
  readonly prints: readonly string[];
}

function blocksOf(chapter: string): Block[] {
  const text = readFileSync(`${BOOK}/${chapter}`, 'utf8');
  const found = text.matchAll(/^```(sh|js)(?: (\w+))?\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?/gms);
  return [...found].map(([, language, machine = 'laptop', code = '', prints = '']) => ({
    language: language === 'js' ? 'js' : 'sh',
    machine,
    code,
    prints: prints.split('\n').filter((line) => line !== '' && line !== '…'),
  }));
}

/** The machines of a chapter. */
class Stage {
  readonly #t: ExecutionContext;
  readonly #work: string;
  readonly #port: number;
  /** What the last invitation printed. */
  #secret = '';

  constructor(t: ExecutionContext, port: number) {
    this.#t = t;
    this.#work = workDir(t);
    this.#port = port;
    writeFileSync(`${dir(this.#work, 'bin')}/sparsync`, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
    chmodSync(`${this.#work}/bin/sparsync`, 0o755);
    mkdirSync(`${this.#work}/node_modules`);
    symlinkSync(PACKAGE, `${this.#work}/node_modules/sparsync-native`);
  }

  async run({ language, machine, code, prints }: Block): Promise<void> {
    const here = `${this.#work}/${machine}`;
    mkdirSync(here, { recursive: true });
    const text = code.replaceAll('/srv/', `${this.#work}/srv/`).replaceAll('nas.example', `127.0.0.1:${this.#port}`);
    const serves = /^sparsync serve (?!.*--print-unit).*$/m.exec(text)?.[0];
    const typed = serves === undefined ? text : text.replace(serves, '');
    const words = language === 'js' ? ['--input-type=module', '-e', typed] : ['-euc', typed];
    const command = language === 'js' ? process.execPath : 'sh';
    const env = this.#environment(machine);
    const ended = await start(this.#t, command, words, { env, cwd: here, input: this.#secret }).ended;
    this.#t.is(ended.code, 0, `${code}\n${ended.stdout}${ended.stderr}`);
    if (code.includes('sparsync invite')) this.#secret = ended.stdout;
    if (serves !== undefined) await this.#serve(serves, machine);
    // The server takes note of a key within a second, and nobody types faster.
    const log = (): string => readFileSync(`${here}/server.log`, 'utf8');
    if (code.includes('keys rotate --after')) await until('the server to know the key', () => /server-key/.test(log()));
    // An exit code is told on the one stream, and why on the other.
    let rest = `${ended.stderr}${ended.stdout}`;
    for (const line of prints) {
      const parts = line.split('…').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
      const at = new RegExp(`^${parts.join('.*')}$`, 'm').exec(rest);
      this.#t.truthy(at, `${code}\nprints no line ${JSON.stringify(line)} in ${rest}`);
      rest = rest.slice((at?.index ?? 0) + (at?.[0].length ?? 0));
    }
  }

  #environment(machine: string): Record<string, string | undefined> {
    const isJob = machine === 'ci';
    return {
      PATH: `${this.#work}/bin:${process.env['PATH'] ?? ''}`,
      HOME: isJob ? undefined : `${this.#work}/${machine}`,
      SPARSYNC_CREDENTIAL: isJob ? /sparsync-credential\S+/.exec(this.#secret)?.[0] : undefined,
      SPARSYNC_CONFIG_DIR: undefined,
      SPARSYNC_STATE_DIR: undefined,
      XDG_CONFIG_HOME: undefined,
      XDG_STATE_HOME: undefined,
      LC_ALL: 'C',
    };
  }

  async #serve(line: string, machine: string): Promise<void> {
    const env = this.#environment(machine);
    const command = `exec ${line} --listen 127.0.0.1:${this.#port}`;
    const server = start(this.#t, 'sh', ['-c', command], { env, cwd: `${this.#work}/${machine}` });
    await until('the server', () => server.over() || server.stdout().includes('serving'));
    this.#t.false(server.over(), server.stderr());
  }
}

for (const chapter of CHAPTERS) {
  test(`the book does what it says: ${chapter}`, async (t) => {
    const stage = new Stage(t, await freePort());
    const blocks = blocksOf(chapter);
    for (const block of blocks) await stage.run(block);
    t.true(blocks.length > 0 || chapter.startsWith('08-'));
  });
}

test('the links of the book lead somewhere', (t) => {
  for (const name of ['README.md', ...CHAPTERS]) {
    const text = readFileSync(`${BOOK}/${name}`, 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\(([^)]+)\)/g)) {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? `${BOOK}/${name}` : resolve(BOOK, path);
      t.true(existsSync(file), `${name}: ${target}`);
      if (anchor === undefined) continue;
      const headings = [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\w\s-]/g, '')
          .replaceAll(/\s/g, '-'),
      );
      t.true(headings.includes(anchor), `${name}: ${target}`);
    }
  }
  const told = readFileSync(`${BOOK}/07-troubleshooting.md`, 'utf8');
  const errors = readFileSync(resolve(dirname(BOOK), 'errors.md'), 'utf8');
  for (const [, code = ''] of errors.matchAll(/^### (ERR_\w+)$/gm)) {
    t.true(told.includes(`](../errors.md#${code.toLowerCase()})`), code);
  }
});
