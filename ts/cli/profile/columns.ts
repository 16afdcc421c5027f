/** A cell; a number of columns of texts is aligned to the right, texts to the left. */
export type Cell = string;

/** Lines of cells under each other. `align` has a letter for each column: `l` or `r`. */
export function columns(rows: readonly (readonly Cell[])[], align: string, indent = ''): string[] {
  const widths = Array.from(align, (_, column) => Math.max(0, ...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) => {
    const cells = row.map((cell, column) =>
      align[column] === 'r' ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
    );
    return `${indent}${cells.join('  ')}`.trimEnd();
  });
}
