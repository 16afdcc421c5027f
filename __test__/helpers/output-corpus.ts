import {
  chmodSync,
  cpSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Where the run goes: between two folders, to a server, from one. */
export type Way = 'local' | 'push' | 'pull';

/** One run: the state of the destination, and the options. */
export interface OutputCase {
  readonly way: Way;
  readonly state: keyof typeof STATES;
  readonly options: string;
}

const NEW = new Date('2024-05-06T07:08:09Z');
const OLD = new Date('2020-02-03T04:05:06Z');

/** Sets the times of everything in a tree, so that no run depends on the clock. */
function dated(path: string, names: readonly string[], time: Date): void {
  for (const name of names.toReversed()) lutimesSync(`${path}/${name}`, time, time);
  lutimesSync(path, time, time);
}

const NAMES = [
  'a',
  'b.txt',
  'link',
  'large',
  'caf\u00E9',
  'new\nline',
  'back\\#012slash',
  'd-1',
  'd-1/x',
  'd',
  'd/a',
  'd/link',
  'd/sub',
  'd/sub/deep',
  'd.2',
  'd.2/y',
  'empty',
];

/** The source of every run. */
export function makeSource(path: string): void {
  for (const name of ['', '/d', '/d-1', '/d/sub', '/d.2', '/empty']) mkdirSync(`${path}${name}`);
  for (const name of [
    'a',
    'b.txt',
    'caf\u00E9',
    'new\nline',
    'back\\#012slash',
    'd-1/x',
    'd/a',
    'd/sub/deep',
    'd.2/y',
  ]) {
    writeFileSync(`${path}/${name}`, `content of ${name}\n`);
  }
  writeFileSync(`${path}/large`, Buffer.alloc(70_000, 'x'));
  symlinkSync('a', `${path}/link`);
  symlinkSync('../b.txt', `${path}/d/link`);
  dated(path, NAMES, NEW);
}

/** What the destination is before the run. */
export const STATES = {
  missing: (): void => undefined,
  same: (source: string, to: string): void => {
    cpSync(source, to, { recursive: true, verbatimSymlinks: true });
    dated(to, NAMES, NEW);
  },
  changed: (source: string, to: string): void => {
    STATES.same(source, to);
    writeFileSync(`${to}/a`, 'other content\n');
    truncateSync(`${to}/large`, 10);
    for (const name of ['a', 'large', 'd/a', 'b.txt', 'd']) lutimesSync(`${to}/${name}`, OLD, OLD);
  },
  attributes: (source: string, to: string): void => {
    STATES.same(source, to);
    for (const name of ['link', 'empty', 'd-1']) lutimesSync(`${to}/${name}`, OLD, OLD);
    for (const name of ['a', 'd/a', 'd.2']) chmodSync(`${to}/${name}`, 0o700);
  },
  replaced: (source: string, to: string): void => {
    STATES.same(source, to);
    for (const name of ['link', 'd/link']) {
      rmSync(`${to}/${name}`);
      symlinkSync('elsewhere', `${to}/${name}`);
    }
    dated(to, NAMES, OLD);
  },
  extras: (source: string, to: string): void => {
    STATES.same(source, to);
    mkdirSync(`${to}/gone/sub`, { recursive: true });
    mkdirSync(`${to}/d/gone-too`);
    for (const name of ['z', '0', 'gone/1', 'gone/2', 'gone/sub/3', 'd/gone-too/4', 'd/x'])
      writeFileSync(`${to}/${name}`, name);
    symlinkSync('nowhere', `${to}/d/gone-link`);
    dated(to, ['d', 'gone', 'z'], OLD);
  },
} satisfies Record<string, (source: string, to: string) => void>;

const DOCUMENT = fileURLToPath(new URL('../../docs/rsync.md', import.meta.url));

/** What docs/rsync.md says depends on the wire, the clock or the file system, as expressions. */
export function figures(): RegExp[] {
  const block = /```figures\n([^`]*)```/.exec(readFileSync(DOCUMENT, 'utf8'))?.[1];
  if (block === undefined) throw new Error(`${DOCUMENT} lists no figures`);
  return block
    .trim()
    .split('\n')
    .map((line) => new RegExp(line, 'gmu'));
}

/** Lines of deletions. */
const DELETIONS = /^(?:\*deleting {3}|deleting )/;

/** With these rsync deletes beside its other process, and where the lines stand changes from run to run. */
const DELETES_BESIDE = /(?:^| )--del(?:ete|ete-during|ete-excluded)?(?: |$)/;

/** Lines that rsync's other process writes: where they stand among those of the first changes from run to run. */
const OTHERS = [
  /(?: is uptodate| exists| is newer| is over max-size| is under min-size)$/,
  /^(?:skipping non-regular file|not creating new|ignoring unsafe symlink)/,
  /^\[sender\] (?:hiding|showing) /,
  /^\[generator\] (?:protecting|risking) /,
];

/** An output of a run with these options as it is compared: without figures, and with the lines of each process in their order. */
export function comparable(output: string, masks: readonly RegExp[], options: string): string[] {
  const masked = masks.reduce(
    (text, mask) => text.replaceAll(mask, (found) => (found.startsWith('\r') ? '' : '~')),
    output,
  );
  const lines = masked.split('\n').filter((line) => line !== '~');
  const others =
    DELETES_BESIDE.test(options) && !/--delete-(?:before|delay|after)/.test(options) ? [DELETIONS, ...OTHERS] : OTHERS;
  const own = lines.filter((line) => !others.some((other) => other.test(line)));
  return [...own, ...others.flatMap((other) => lines.filter((line) => other.test(line)))];
}

/** What a log says, without times and processes. */
export function logged(path: string): string[] {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  return lines.map((line) => line.replace(/^.*?\] /, ''));
}

/** Options of every way, with every state of the destination. */
const EVERYWHERE = [
  '-av',
  '-ai',
  '-aiv',
  '-aii',
  '-avv',
  '-aivv',
  '-an',
  '-anv',
  '-ain',
  '-a --stats',
  '-av --stats',
  '-ahv --stats',
  '-a --no-h --stats',
  '-a --out-format=%i|%n|%L',
  '-a --out-format=%o/%n',
  '-av --out-format=%B/%M/%-20n|%5U|%%',
  '-a --info=name',
  '-a --info=name2',
  '-a --info=stats',
  '-av --info=stats0,flist0',
  '-a --info=flist,name,stats',
  '-avq',
  '-a8v',
  '-rv --info=stats0',
  '-rlv --info=stats2',
  '-av --delete-delay',
  '-ai --delete-delay',
  '-av --delete --max-size=20',
  '-avv --min-size=0.02K --max-size=1K',
  '-avvu',
  '-aivv --ignore-existing',
  '-a --progress',
  '-av --exclude=d',
  '-aiv -c',
  '-aiv --no-t',
  '-av --debug=none --no-inc-recursive',
];

/** Further options, with one state each. */
const ONCE: readonly (readonly [Way, OutputCase['state'], string])[] = [
  ['local', 'extras', '-av --delete'],
  ['local', 'extras', '-ai --delete'],
  ['local', 'extras', '-a --delete --out-format=%n'],
  ['local', 'extras', '-a --delete --info=del'],
  ['local', 'extras', '-av --delete-after'],
  ['local', 'extras', '-av --delete-before'],
  ['local', 'extras', '-aii --delete-before'],
  ['local', 'extras', '-ain --delete-before'],
  ['push', 'extras', '-ai --delete-before'],
  ['pull', 'extras', '-ai --delete-before'],
  ['pull', 'extras', '-av --delete-after'],
  ['local', 'extras', '-av --delete --stats'],
  ['local', 'extras', '-ahhv --stats --delete-delay -n'],
  ['local', 'extras', '-avv --delete-before'],
  ['local', 'extras', '-avv --delete-after'],
  ['local', 'same', '-avv --delete-before'],
  ['local', 'same', '-avv --delete-after'],
  ['local', 'missing', '-avv --delete-before'],
  ['local', 'extras', '-aivvn --delete-before'],
  ['local', 'extras', '-a --debug=del --delete-before'],
  ['local', 'extras', '-avv --debug=del0 --delete-after'],
  ['local', 'extras', '-avvq --delete-before'],
  ['push', 'extras', '-avv --delete-before'],
  ['push', 'missing', '-avv --delete-after'],
  ['pull', 'extras', '-avv --delete-before'],
  ['pull', 'extras', '-avv --delete-after'],
  ['local', 'missing', '-dlv'],
  ['local', 'missing', '-av --mkpath'],
  ['local', 'missing', '-avm'],
  ['local', 'missing', '-av --delay-updates'],
  ['local', 'missing', '-a --info=progress'],
  ['local', 'missing', '-a --info=progress2'],
  ['local', 'missing', '-av --progress --stats'],
  ['local', 'missing', "-a --out-format=%'l|%''l|%z"],
  ['local', 'changed', '-a --out-format=%n'],
  ['local', 'extras', '-a --delete-before --out-format=%o|%f|%l|%B|%U|%G|%M|%m'],
  ['local', 'changed', '-ai --out-format=%f|%-9f|%20f|%L|%a|%h|%u|%P'],
  ['push', 'extras', '-a --delete-before --out-format=%o|%f|%l|%B|%U|%G|%M'],
  ['pull', 'extras', '-a --delete-before --out-format=%o|%f|%U|%G|%M'],
  ['local', 'changed', '-avI'],
  ['local', 'changed', '-ai --size-only'],
  ['local', 'changed', '-aO -i'],
  ['local', 'changed', '-aiv --no-links --info=stats0'],
  ['local', 'changed', '-av --safe-links'],
  ['local', 'missing', '-avL'],
  ['local', 'missing', '-a --info=all1,progress0'],
  ['local', 'changed', '-avv --existing'],
  ['push', 'extras', '-avv --existing'],
  ['local', 'missing', '-a --out-format=%i|%n|%L|%l'],
  ['local', 'replaced', '-rli'],
  ['push', 'replaced', '-rlti'],
  ['local', 'replaced', '-aiJ'],
  ['pull', 'replaced', '-aiJ'],
  ['local', 'attributes', '-av'],
  ['local', 'attributes', '-ai'],
  ['push', 'attributes', '-aii'],
  ['pull', 'attributes', '-avi'],
  ['push', 'extras', '-av --delete'],
  ['pull', 'extras', '-av --delete'],
  ['local', 'missing', '-avv --exclude=d'],
  ['local', 'extras', '-avv --exclude=d --exclude=gone --delete'],
  ['local', 'extras', '-aivv --include=b.txt --exclude=/d-1/ --exclude=*line --delete-delay'],
  ['local', 'extras', '-avvm --exclude=a --delete-delay'],
  ['local', 'extras', '-avv --filter=P_gone-too/ --filter=R_z --filter=H_sub --filter=S_/a --delete'],
  ['local', 'extras', '-avv --filter=P_d --filter=R_/* --delete'],
  ['local', 'extras', '-anvv --filter=-!_*/ --delete-excluded'],
  ['local', 'changed', '-a --debug=filter --exclude=sub/ --exclude=[a-c]*'],
  ['local', 'changed', '-avv --debug=filter0 --exclude=a'],
  ['local', 'changed', '-avv --debug=none --exclude=a'],
  ['local', 'changed', '-qvv --exclude=a'],
  ['local', 'same', '-avv --list-only --exclude=a'],
  ['push', 'missing', '-avv --exclude=d'],
  ['push', 'changed', '-aivv --include=a --exclude=*line'],
  ['push', 'changed', '-avvm --exclude=a'],
  ['pull', 'extras', '-avv --filter=P_z --filter=R_gone --delete'],
  ['pull', 'extras', '-a --debug=filter --filter=P_d/* --delete'],
  ['pull', 'missing', '-avm'],
  ['push', 'missing', '-avm'],
  ['pull', 'missing', '-dlv'],
  ['push', 'missing', '-dlv'],
];

/** The corpus. */
export function outputCases(): OutputCase[] {
  const locally = EVERYWHERE.flatMap((options) =>
    (['missing', 'same', 'changed', 'extras'] as const).map((state): OutputCase => ({ way: 'local', state, options })),
  );
  const remotely = EVERYWHERE.flatMap((options, at): OutputCase[] => {
    const states = ['missing', 'changed', 'same', 'extras'] as const;
    return [
      { way: 'push', state: states[at % 4] ?? 'missing', options },
      { way: 'pull', state: states[(at + 1) % 4] ?? 'missing', options },
    ];
  });
  return [...locally, ...remotely, ...ONCE.map(([way, state, options]): OutputCase => ({ way, state, options }))];
}
