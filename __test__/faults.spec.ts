// System calls of a real server and of a real client are made to fail, one after another, during a first push, a push
// of changes, and a pull. Whatever fails: no false success, no torn file, an error that says what failed, all other
// paths arrive, and the next run repairs.
import { mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import test, { type ExecutionContext } from 'ava';

import { CertifiedTree } from './helpers/certified.js';
import { cli } from './helpers/cli.js';
import {
  calls,
  complaints,
  concern,
  copyTree,
  type ErrorName,
  errors,
  isOurs,
  outstanding,
  type Place,
  places,
} from './helpers/faults.js';
import { judgedWhere } from './helpers/judge.js';
import { type Ended, start, until } from './helpers/process.js';
import { client, type Client, program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { startServer, type TestServer } from './helpers/server.js';
import { scaled } from './helpers/setup.js';
import { attach, hasStrace } from './helpers/strace.js';
import { dir, workDir } from './helpers/temp.js';

const wanted = scaled(20, 300);
const held = fileURLToPath(new URL('./helpers/held.mjs', import.meta.url));

const scenarios = ['first push', 'push of changes', 'pull of changes'] as const;
const ends = ['client', 'server'] as const;

interface Fault extends Place {
  readonly scenario: (typeof scenarios)[number];
  readonly end: (typeof ends)[number];
  readonly error: ErrorName;
}

/** A server and a client, and trees to bring from one to the other. */
class Bench {
  readonly #t: ExecutionContext;
  readonly #user: Client;
  readonly #tree: CertifiedTree;
  readonly work: string;
  #server: TestServer | undefined;
  #runs = 0;

  constructor(t: ExecutionContext) {
    this.#t = t;
    this.work = workDir(t);
    this.#user = client(this.work);
    const sizes = new Map<string, number>();
    for (let i = 0; i < 4; i += 1) {
      sizes.set(`top${i}`, 3000);
      sizes.set(`one/file${i}`, 20_000);
      sizes.set(`one/two/deep${i}`, 700);
      sizes.set(`three/other${i}`, 9000);
    }
    sizes.set('one/large', 5 << 20);
    this.#tree = new CertifiedTree(sizes);
    for (const [place, version] of [
      [`${this.work}/source`, 1],
      [`${this.work}/old`, 0],
      [`${this.work}/served/origin`, 1],
    ] as const) {
      this.#tree.write(place, version);
      mkdirSync(`${place}/empty`);
      symlinkSync(`target of version ${version}`, `${place}/one/link`);
      if (version === 0) writeFileSync(`${place}/one/gone`, 'goes');
      let time = 1_600_000_000 + version * 1_000_000;
      for (const path of this.#tree.paths) utimesSync(`${place}/${path}`, (time += 1), time);
    }
  }

  async #serving(): Promise<TestServer> {
    this.#server ??= await startServer(this.#t, {
      home: this.work,
      roots: { root: dir(this.work, 'served') },
      clients: [this.#user],
    });
    return this.#server;
  }

  /** A scenario's trees, and the command that brings the one to the other. */
  async #prepare(scenario: Fault['scenario']): Promise<{ source: string; destination: string; args: string[] }> {
    const server = await this.#serving();
    this.#runs += 1;
    const name = `tree${this.#runs}`;
    const pull = scenario === 'pull of changes';
    const source = pull ? `${this.work}/served/origin` : `${this.work}/source`;
    const destination = pull ? `${this.work}/${name}` : `${this.work}/served/${name}`;
    if (scenario !== 'first push') copyTree(`${this.work}/old`, destination);
    const args = pull ? [`${server.url('root', 'origin')}/`, destination] : [`${source}/`, server.url('root', name)];
    return { source, destination, args: ['-a', '--delete', ...args] };
  }

  /** Runs the command with one of the ends traced. `words` runs it, if anything but Node does. */
  async #traced(
    end: Fault['end'],
    trace: string,
    options: readonly string[],
    args: readonly string[],
    words: readonly string[],
  ): Promise<Ended> {
    const command = [...words, process.execPath, '--import', held, program, ...args];
    const running = start(this.#t, command[0] ?? '', command.slice(1), { env: this.#user.env, input: null });
    const pid = end === 'client' ? running.pid : (await this.#serving()).pid;
    const tracer = await attach(this.#t, pid, trace, options);
    running.child.stdin?.end('\n');
    const ended = await running.ended;
    await tracer.stop();
    return ended;
  }

  /** Where in an untroubled run calls could be made to fail. */
  async survey(scenario: Fault['scenario'], end: Fault['end']): Promise<Place[]> {
    const trace = `${this.work}/survey`;
    const { source, destination, args } = await this.#prepare(scenario);
    const ended = await this.#traced(end, trace, ['-y', '-s', '64'], args, []);
    this.#t.deepEqual([ended.code, ended.stderr, outstanding(source, destination)], [0, '', []]);
    rmSync(destination, { recursive: true });
    return places(trace, [this.work]);
  }

  /** Makes a call fail, and judges what follows; undefined, where the call was not made this time. */
  async fail(fault: Fault, words: readonly string[] = []): Promise<string[] | undefined> {
    const { scenario, end, call, when, error } = fault;
    const { source, destination, args } = await this.#prepare(scenario);
    const trace = `${this.work}/trace`;
    const inject = `inject=${call}:error=${error}:when=${when}`;
    const ended = await this.#traced(
      end,
      trace,
      ['-y', '-s', '4096', '-e', `trace=${call}`, '-e', inject],
      args,
      words,
    );
    // A server tells its client why the run ends before it has put away what is unfinished.
    const unfinished = (): boolean => this.#tree.strangers(destination).some((path) => path.endsWith('.tmp'));
    await until('the end of a session', () => !unfinished(), 5000).catch(() => undefined);
    const injected = calls(trace).filter((made) => made.injected);
    const found = complaints({
      error,
      call,
      ended,
      concern: concern(trace, [source, destination]),
      tree: this.#tree,
      source,
      destination,
      versions: [0, 1],
      mayBeAbsent: scenario === 'first push',
      removes: call.startsWith('unlink'),
    });
    const died = this.#server !== undefined && !alive(this.#server.pid);
    if (died) {
      found.push(`the server ended: ${this.#server?.stderr() ?? ''}`);
      this.#server = undefined;
      await this.#serving();
    }
    const again = await cli(this.#t, this.#user, args);
    if (again.code !== 0 && !died) found.push(`the next run: exit ${again.code}: ${again.stderr}`);
    const still = again.code === 0 ? outstanding(source, destination) : [];
    if (still.length > 0) found.push(`not repaired by the next run: ${still.slice(0, 5).join('; ')}`);
    const left = this.#tree.strangers(destination).filter((path) => path.includes('.sps-'));
    if (left.length > 0) found.push(`left over after the next run: ${left.join('; ')}`);
    rmSync(destination, { recursive: true, force: true });
    if (injected.length === 0 || !injected.every((made) => isOurs(made, [this.work]))) return undefined;
    const where = injected.map(({ text }) => text.replaceAll(this.work, '').slice(0, 160)).join('\n    ');
    return found.map((what) => `${scenario}, ${end}: ${call} ${when} ${error}: ${what}\n    ${where}`);
  }
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Draws faults so that each call of each end in each scenario comes up before any comes up twice. */
async function draw(bench: Bench, random: Random): Promise<Fault[]> {
  const groups = new Map<string, Fault[]>();
  for (const scenario of scenarios) {
    for (const end of ends) {
      for (const place of await bench.survey(scenario, end)) {
        for (const error of Object.keys(errors) as ErrorName[]) {
          const key = `${scenario} ${end} ${place.call}`;
          groups.set(key, [...(groups.get(key) ?? []), { ...place, scenario, end, error }]);
        }
      }
    }
  }
  const shuffle = <T>(from: readonly T[]): T[] =>
    from
      .map((value) => [random.bits(), value] as const)
      .toSorted(([a], [b]) => a - b)
      .map(([, value]) => value);
  const decks = shuffle([...groups.values()].map(shuffle));
  const out: Fault[] = [];
  for (let round = 0; decks.some((deck) => deck.length > round); round += 1) {
    for (const deck of decks) if (deck[round] !== undefined) out.push(deck[round] as Fault);
  }
  return out;
}

judgedWhere(hasStrace)(`${wanted} system calls fail, one at a time`, async (t) => {
  t.timeout(scaled(300_000, 7_200_000));
  t.log(`seed ${seed}`);
  const bench = new Bench(t);
  const faults = await draw(bench, new Random(t.title));
  const names = new Set(faults.map(({ call }) => call));
  const found: string[] = [];
  let injected = 0;
  let tried = 0;
  for (const fault of faults) {
    if (injected >= wanted) break;
    tried += 1;
    const verdict = await bench.fail(fault);
    if (verdict === undefined) continue;
    injected += 1;
    found.push(...verdict);
  }
  t.log(
    `${injected} of ${tried} faults were injected, of ${faults.length} in ${names.size} calls: ${[...names].join(' ')}`,
  );
  t.is(injected, wanted, 'too few faults could be injected');
  t.deepEqual(found, []);
});

judgedWhere(hasStrace)('a client that hides its failure is found', async (t) => {
  const bench = new Bench(t);
  const fault: Fault = { scenario: 'first push', end: 'server', call: 'pwrite64', when: 1, error: 'EIO' };
  const found = await bench.fail(fault, ['bash', '-c', '"$@"; exit 0', 'hide']);
  t.true(
    found?.some((what) => what.includes('a false success')),
    found?.join('\n') ?? 'nothing was injected',
  );
});

judgedWhere(hasStrace)('a run that a full disk ends leaves no unfinished file behind', async (t) => {
  const bench = new Bench(t);
  // All files of the run wait for one flush.
  const fault: Fault = { scenario: 'first push', end: 'server', call: 'syncfs', when: 1, error: 'ENOSPC' };
  t.deepEqual(await bench.fail(fault), []);
});

test('a call that another thread interrupted is read as one', (t) => {
  const trace = `${workDir(t)}/trace`;
  const lines = [
    '12 openat(3</x/a>, "f", O_RDWR <unfinished ...>',
    '13 fsync(4</x/b>) = 0',
    '12 <... openat resumed>) = -1 EIO (Input/output error) (INJECTED)',
  ];
  writeFileSync(trace, lines.join('\n'));
  t.deepEqual(
    calls(trace).map(({ thread, name, injected }) => [thread, name, injected]),
    [
      ['13', 'fsync', false],
      ['12', 'openat', true],
    ],
  );
  t.deepEqual([...concern(trace, ['/x']).paths], ['a/f']);
});
