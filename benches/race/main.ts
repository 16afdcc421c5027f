// The benchmark: races on every chosen set and link, judged against the targets. See benches/README.md.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { chart } from './chart.js';
import type { Contender, Stage } from './contender.js';
import { CP, QUIC, TAR } from './floors.js';
import { readKnobs, shaped, USAGE } from './knobs.js';
import type { Knobs, LinkName, Selection, SetName } from './knobs.js';
import { fileSystemOf, openLink } from './links.js';
import type { Link } from './links.js';
import { coresBusyWithOthers, describeMachine, freeBytes, makeDiskFolder, makeTmpfsFolder } from './machine.js';
import { PROGRAMS, ROOT } from './place.js';
import { cleanUpAtExit, reasonOf, runToEnd } from './processes.js';
import { publish } from './publish.js';
import { idleNodeKib, race } from './race.js';
import type { Absence } from './race.js';
import { keyValues, machineLines, table, verdictLines } from './report.js';
import type { Results, Scenario } from './results.js';
import { RSYNC_LOCAL, rsyncDaemon, rsyncSsh } from './rsync.js';
import { buildSeed, seed } from './seed.js';
import {
  filteredCommand,
  otherBuild,
  SPARSYNC_LOCAL,
  SPARSYNC_LOCAL_API,
  sparsyncApi,
  sparsyncCommand,
  sparsyncInPlace,
  sparsyncSsh,
  sparsyncTcp,
} from './sparsync.js';
import { judge } from './targets.js';
import { Timer } from './timed.js';
import { makeTree } from './trees.js';
import type { Tree } from './trees.js';

/** With more than this of one core busy with something else, figures are marked. */
const CORES_BUSY_MAX = 0.2;

function byName(selection: Selection, contenders: readonly Contender[]): Contender[] {
  const { contenders: parts } = selection;
  // A whole name is that contender alone, though others may begin with it.
  const isWhole = (part: string): boolean => contenders.some(({ key }) => key === part);
  const isMeant = (key: string, part: string): boolean => (isWhole(part) ? key === part : key.includes(part));
  return contenders.filter(({ key }) => parts.length === 0 || parts.some((part) => isMeant(key, part)));
}

/** On a link that loses, each of them may take minutes. */
function overSsh(link: LinkName): Contender[] {
  if (shaped(link) !== undefined) return [rsyncSsh()];
  return [sparsyncSsh(), sparsyncSsh({ shared: true }), rsyncSsh(), rsyncSsh({ shared: true })];
}

/** Who takes part where nothing is flushed. */
function contendersFor(
  set: SetName,
  link: LinkName,
  knobs: Knobs,
  { seedProgram, against }: { seedProgram: string | undefined; against: string | undefined },
): Contender[] {
  const isLocal = link === 'loopback';
  // It takes up to a minute for each run of the other sets.
  const isSeeds = set === 'seed';
  const ofDelta = isLocal && set.startsWith('big') ? [sparsyncInPlace()] : [];
  if (set.startsWith('big_')) return [sparsyncApi('none'), sparsyncCommand('none'), ...ofDelta, rsyncDaemon()];
  return [
    sparsyncApi('none'),
    sparsyncCommand('none'),
    ...ofDelta,
    ...(set === 'big' && shaped(link) === undefined ? [sparsyncTcp()] : []),
    ...(against === undefined ? [] : otherBuild(against)),
    ...(isLocal && set === 'tree100k' ? [filteredCommand()] : []),
    ...(knobs.transports.includes('daemon') ? [rsyncDaemon()] : []),
    ...(knobs.transports.includes('ssh') ? overSsh(link) : []),
    QUIC,
    ...(isLocal ? [SPARSYNC_LOCAL, SPARSYNC_LOCAL_API, RSYNC_LOCAL, CP, TAR] : []),
    // What the knob does: two lanes are what the engine takes by itself.
    ...(isLocal && set === 'seed' ? [sparsyncApi('none', 1), sparsyncApi('none', 4)] : []),
    ...(seedProgram === undefined || !isSeeds ? [] : [seed(seedProgram)]),
  ];
}

const DURABLE = [sparsyncApi('run'), sparsyncCommand('run'), rsyncDaemon({ fsync: true })];

class Benchmark {
  readonly #knobs: Knobs;
  readonly #selection: Selection;
  readonly #work: string;
  readonly #timer: Timer;
  readonly #absences: Absence[] = [];
  readonly #scenarios: Scenario[] = [];
  #seed: string | undefined;

  constructor(knobs: Knobs, selection: Selection, work: string) {
    this.#knobs = knobs;
    this.#selection = selection;
    this.#work = work;
    this.#timer = new Timer(join(PROGRAMS, 'timed'), work);
  }

  async run(): Promise<Results> {
    const takenAt = new Date().toISOString();
    const machine = await describeMachine(ROOT);
    const idle = await idleNodeKib({ timer: this.#timer });
    await this.#findSeed();
    const links = await this.#openLinks();
    for (const set of this.#selection.sets) await this.#races(set, links);
    const results: Results = {
      schema: 1,
      takenAt,
      machine,
      knobs: this.#knobs,
      idleNodeKib: idle,
      busy: this.#scenarios.some(
        ({ coresBusyBefore, coresBusyAfter }) => Math.max(coresBusyBefore, coresBusyAfter) > CORES_BUSY_MAX,
      ),
      scenarios: this.#scenarios,
      absences: this.#absences,
      verdicts: [],
    };
    return { ...results, verdicts: judge(results) };
  }

  #absent(what: string, error: unknown): void {
    const why = reasonOf(error);
    this.#absences.push({ what, why });
    console.error(`left out: ${what}: ${why}`);
  }

  async #findSeed(): Promise<void> {
    if (byName(this.#selection, [seed('')]).length === 0) return;
    try {
      this.#seed = await buildSeed(this.#selection.buildSeed);
    } catch (error) {
      this.#absent('the seed', error);
    }
  }

  async #openLinks(): Promise<Link[]> {
    const links: Link[] = [];
    for (const name of this.#selection.links) {
      try {
        links.push(await openLink(name, PROGRAMS));
      } catch (error) {
        this.#absent(`everything over ${name}`, error);
      }
    }
    return links;
  }

  async #races(set: SetName, links: readonly Link[]): Promise<void> {
    console.error(`making ${set} …`);
    const tree = makeTree(set, this.#work, join(ROOT, 'node_modules'), this.#knobs);
    const needed = 3 * tree.bytes + tree.entries * 8192;
    if (freeBytes(this.#work) < needed) {
      this.#absent(set, `its runs need ${(needed / 1e9).toFixed(1)} GB of free memory`);
    } else {
      for (const link of links) await this.#race(tree, link);
      const loopback = links.find(({ name }) => name === 'loopback');
      // Only the set of the seed: 100,000 flushed files a run would take hours.
      if (set === 'seed' && loopback !== undefined && this.#selection.durable) await this.#durableRace(tree, loopback);
    }
    for (const name of [`source-${set}`, `aside-${set}`]) rmSync(join(this.#work, name), { recursive: true });
  }

  #stage(tree: Tree, link: Link, destinations: string): Stage {
    return {
      ...{ link, tree, destinations, work: this.#work, timer: this.#timer, knobs: this.#knobs },
      ...{ root: ROOT, programs: PROGRAMS },
    };
  }

  async #race(tree: Tree, link: Link): Promise<void> {
    const contenders = byName(
      this.#selection,
      contendersFor(tree.name, link.name, this.#knobs, { seedProgram: this.#seed, against: this.#selection.against }),
    );
    if (contenders.length === 0) return;
    const destinations = join(this.#work, 'destinations');
    mkdirSync(destinations, { recursive: true });
    const runs = tree.name === 'seed' ? this.#knobs.runs : this.#knobs.runsLarge;
    const coresBusyBefore = await coresBusyWithOthers();
    console.error(`\n${tree.name} over ${link.name}: ${contenders.length} contenders, ${runs} runs and one to warm up`);
    const result = await race(this.#stage(tree, link, destinations), contenders, runs);
    const fileSystem = fileSystemOf(destinations);
    this.#add({
      ...(await this.#about(tree, link, runs, coresBusyBefore)),
      store: 'tmpfs',
      fileSystem,
      durability: 'none',
      ...result,
    });
  }

  async #durableRace(tree: Tree, link: Link): Promise<void> {
    const contenders = byName(this.#selection, DURABLE);
    if (contenders.length === 0) return;
    const { path, fileSystem } = makeDiskFolder();
    const { runs } = this.#knobs;
    const coresBusyBefore = await coresBusyWithOthers();
    console.error(`\n${tree.name} over ${link.name}, flushed to ${fileSystem}: ${runs} runs and one to warm up`);
    // ext4 is slow to make files where others were just deleted: everything stays until the end.
    const result = await race(this.#stage(tree, link, join(path, 'destinations')), contenders, runs, { keep: true });
    this.#add({
      ...(await this.#about(tree, link, runs, coresBusyBefore)),
      store: 'disk',
      fileSystem,
      durability: 'flushed',
      ...result,
    });
  }

  async #about(tree: Tree, link: Link, runs: number, coresBusyBefore: number) {
    const coresBusyAfter = await coresBusyWithOthers();
    return {
      set: tree.name,
      link: link.name,
      entries: tree.entries,
      bytes: tree.bytes,
      runs,
      coresBusyBefore,
      coresBusyAfter,
    };
  }

  #add(scenario: Scenario): void {
    this.#scenarios.push(scenario);
    console.log(`\n${table(scenario)}`);
  }
}

/** The one folder of results that is not committed. */
const RESULTS = join(ROOT, 'benches/results');

async function main(): Promise<void> {
  if (process.argv.includes('--help')) {
    console.log(USAGE);
    return;
  }
  const { knobs, selection } = readKnobs(process.argv.slice(2));
  if (spawnSync('rsync', ['--version']).status !== 0) {
    throw new Error('rsync is needed: it is the reference, and it judges whether trees are equal');
  }
  cleanUpAtExit();
  const work = await makeTmpfsFolder();
  const results = await new Benchmark(knobs, selection, work).run();
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, 'latest.json'), `${JSON.stringify(results, undefined, 2)}\n`);
  const svg = chart(results, ({ durability }) => durability === 'none');
  if (svg !== '') writeFileSync(join(RESULTS, 'latest.svg'), svg);
  console.log(`\n${results.scenarios.flatMap((scenario) => keyValues(scenario)).join('\n')}`);
  console.log(`\n${machineLines(results).join('\n')}`);
  for (const { what, why } of results.absences) console.log(`left out: ${what}: ${why}`);
  console.log(`\ntargets\n${verdictLines(results).join('\n')}`);
  console.log(`\nwritten: benches/results/latest.json, benches/results/latest.svg`);
  if (selection.publish) await publish(ROOT, results);
}

await runToEnd(main);
