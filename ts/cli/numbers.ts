/**
 * A number as rsync shows it: as its digits (0), with the thousands apart (1), or with a unit of 1000 (2) or 1024 (3) from one of
 * them on.
 */
export function shownNumber(value: number, level: number): string {
  return level >= 2 ? (withUnit(value, level) ?? String(value)) : apart(String(value), level);
}

/** A number with two places behind the point. */
export function shownRate(value: number, level: number): string {
  return (level >= 2 ? withUnit(value, level) : undefined) ?? apart(value.toFixed(2), level);
}

function apart(digits: string, level: number): string {
  return level === 0 ? digits : digits.replaceAll(/\B(?<!\.\d*)(?=(?:\d{3})+(?!\d))/g, ',');
}

function withUnit(value: number, level: number): string | undefined {
  const thousand = level === 2 ? 1000 : 1024;
  let rest = value;
  let unit = -1;
  while (Math.abs(rest) >= thousand && unit < UNITS.length - 1) {
    rest /= thousand;
    unit += 1;
  }
  return unit === -1 ? undefined : `${rest.toFixed(2)}${UNITS[unit] ?? ''}`;
}

const UNITS = ['K', 'M', 'G', 'T', 'P'];
