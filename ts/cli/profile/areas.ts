/** One layer of a stack: how high it is at each step. */
export type Layer = readonly number[];

/**
 * Outlines of layers that are stacked from the bottom up, as paths in a box `count` wide and `height` high. Each step
 * has the same width and is level, so that only measured values are drawn. Values above the box are cut off.
 */
export function outlines(layers: readonly Layer[], count: number, height: number): string[] {
  let below: readonly number[] = Array.from({ length: count }, () => 0);
  return layers.map((layer) => {
    const above = below.map((value, index) => Math.min(height, value + (layer[index] ?? 0)));
    const path = outline(below, above, height);
    below = above;
    return path;
  });
}

/** The outline between two lines of steps: empty if they are equal everywhere. */
function outline(below: readonly number[], above: readonly number[], height: number): string {
  const parts: string[] = [];
  let start = -1;
  for (let index = 0; index <= above.length; index += 1) {
    const apart = index < above.length && round(above[index] ?? 0) > round(below[index] ?? 0);
    if (apart && start === -1) start = index;
    if (!apart && start !== -1) {
      parts.push(block(below, above, start, index, height));
      start = -1;
    }
  }
  return parts.join('');
}

function block(below: readonly number[], above: readonly number[], start: number, end: number, height: number): string {
  const y = (values: readonly number[], index: number): number => round(height - (values[index] ?? 0));
  let path = `M${start} ${y(above, start)}`;
  for (let index = start + 1; index < end; index += 1) {
    if (y(above, index) !== y(above, index - 1)) path += `H${index}V${y(above, index)}`;
  }
  path += `H${end}V${y(below, end - 1)}`;
  for (let index = end - 2; index >= start; index -= 1) {
    if (y(below, index) !== y(below, index + 1)) path += `H${index + 1}V${y(below, index)}`;
  }
  return `${path}H${start}Z`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
