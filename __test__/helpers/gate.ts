/** The three phases of the seed's set: all is new, nothing has changed, a hundred files are a line longer. */
export const phases = ['first', 'same', 'changed'] as const;
export type Phase = (typeof phases)[number];

/** A figure for each phase, in their order. */
export type Each = readonly [first: number, same: number, changed: number];

/** What a figure may be, and why. */
export interface Bound {
  readonly figure: string;
  readonly most: Each;
  /** What the work cannot be done with less of: a judge that saw nothing is no judge. */
  readonly least?: Each;
  readonly why: string;
}

/** Measured figures by name. */
export type Figures = Readonly<Record<string, Each>>;

/** What a change would do to a figure, in each phase. */
export interface Fault {
  readonly name: string;
  /** What is added to which figures. */
  readonly adds: Figures;
  /** The figures that must be red then. */
  readonly red: readonly string[];
}

/** A bound that is not kept, in words. */
export interface Verdict {
  readonly figure: string;
  readonly text: string;
}

/** Judges figures. What has no figure and what has no bound is not passed over. */
export function judge(bounds: readonly Bound[], figures: Figures): Verdict[] {
  const out: Verdict[] = [];
  const known = new Set(bounds.map(({ figure }) => figure));
  for (const figure of Object.keys(figures)) if (!known.has(figure)) out.push({ figure, text: `${figure}: no bound` });
  for (const { figure, most, least, why } of bounds) {
    for (const [index, phase] of phases.entries()) {
      const value = figures[figure]?.[index] ?? Number.NaN;
      const [low, high] = [least?.[index] ?? 0, most[index] ?? 0];
      if (value >= low && value <= high) continue;
      const than = value > high ? `more than ${high}` : value < low ? `less than ${low}` : 'not measured';
      out.push({ figure, text: `${figure}, ${phase}: ${value}, ${than} (${why})` });
    }
  }
  return out;
}

/** The figures as a fault would make them. */
export function doctored(figures: Figures, fault: Fault): Figures {
  const out: Record<string, Each> = { ...figures };
  for (const [figure, [first, same, changed]] of Object.entries(fault.adds)) {
    const [a, b, c] = figures[figure] ?? [Number.NaN, Number.NaN, Number.NaN];
    out[figure] = [a + first, b + same, c + changed];
  }
  return out;
}

/** The names of the figures that are not within their bounds. */
export function red(bounds: readonly Bound[], figures: Figures): string[] {
  return [...new Set(judge(bounds, figures).map(({ figure }) => figure))];
}
