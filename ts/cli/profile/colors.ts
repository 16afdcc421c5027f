import type { Cause, Phase, Stage } from './phases.js';

/** A colour on light and on dark ground. */
type Color = readonly [light: string, dark: string];

/** One colour for each part of a sync, for charts that do not show its phases. */
export const STAGE_COLORS: Readonly<Record<Stage, Color>> = {
  comparing: ['#2c965d', '#389962'],
  sender: ['#1a73d5', '#2978d5'],
  network: ['#8654cc', '#9a6fdb'],
  receiver: ['#e26b1b', '#e1702a'],
  unknown: ['#8b929c', '#878e98'],
};

/**
 * The colours of phases: a family of hues for each part, and in it light and dark in turn, so that neighbours differ in
 * lightness and not only in hue.
 */
const SHADES: Readonly<Record<Exclude<Stage, 'unknown'>, Readonly<Record<string, Color>>>> = {
  comparing: {
    setup: ['#66beab', '#6bbdab'],
    walk: ['#2c965d', '#389962'],
    list: ['#7cd2ae', '#7fd0ad'],
    compare: ['#357339', '#3e7841'],
    finish: ['#338171', '#3d8576'],
  },
  sender: {
    open: ['#81d1f0', '#83ceec'],
    read: ['#1a73d5', '#2978d5'],
    check: ['#35afc9', '#40b0c8'],
    hash: ['#204ca4', '#2f5cb4'],
    compress: ['#79b6f4', '#7cb6f1'],
    encode: ['#259ed6', '#349fd5'],
    decode: ['#259ed6', '#349fd5'],
    decompress: ['#79b6f4', '#7cb6f1'],
  },
  network: { network: ['#8654cc', '#9a6fdb'] },
  receiver: {
    open: ['#f2ab83', '#efab85'],
    read: ['#e48e26', '#e29033'],
    check: ['#a97416', '#ab7926'],
    hash: ['#8c3d12', '#a04f26'],
    compress: ['#ecd065', '#e7cd69'],
    encode: ['#d9a02c', '#d7a138'],
    decode: ['#d9a02c', '#d7a138'],
    decompress: ['#ecd065', '#e7cd69'],
    create: ['#f2ab83', '#efab85'],
    write: ['#e26b1b', '#e1702a'],
    attributes: ['#a97416', '#ab7926'],
    flush: ['#ba2c25', '#c8423a'],
    rename: ['#e66d71', '#e47275'],
    make: ['#e48e26', '#e29033'],
    delete: ['#852535', '#9b3a4a'],
  },
};

/** Waits are grey; their shade says for what. */
const WAIT_COLORS: Readonly<Record<Cause, Color>> = {
  peer: ['#c3c9d2', '#4a515c'],
  thread: ['#d5d8dd', '#3c424b'],
  room: ['#b3b4b0', '#5c5b55'],
  machine: ['#a7adb6', '#69707b'],
  idle: ['#eceef1', '#24282e'],
  unknown: ['#cccccc', '#4c4c4c'],
};

/** The class of a phase's colour. It must only be made of words of this program, never of a file's. */
export function classOf(phase: Phase): string {
  if (phase.cause !== undefined) return `w-${phase.cause}`;
  const stage = phase.stage ?? 'unknown';
  return stage !== 'unknown' && Object.hasOwn(SHADES[stage], phase.name) ? `p-${stage}-${phase.name}` : `s-${stage}`;
}

/** The rules of all classes: `--c` is the colour of an element with the class. */
export function colorRules(): string {
  const colors: (readonly [selector: string, color: Color])[] = [
    ...Object.entries(STAGE_COLORS).map(([stage, color]) => [`.s-${stage}`, color] as const),
    ...Object.entries(WAIT_COLORS).map(([cause, color]) => [`.w-${cause}`, color] as const),
    ...Object.entries(SHADES).flatMap(([stage, shades]) =>
      Object.entries(shades).map(([name, color]) => [`.p-${stage}-${name}`, color] as const),
    ),
  ];
  const rules = (index: 0 | 1): string => colors.map(([name, color]) => `${name}{--c:${color[index]}}`).join('\n');
  return `${rules(0)}\n@media (prefers-color-scheme:dark){\n${rules(1)}\n}`;
}
