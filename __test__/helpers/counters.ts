import { Counters } from '../../ts/stats.js';

/** Counters with these values. */
export function counters(values: Readonly<Record<string, number>>): Counters {
  const places = new Map(Object.keys(values).map((name, place) => [name, place]));
  return new Counters(places, Float64Array.from(Object.values(values)));
}
