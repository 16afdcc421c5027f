import { figureOf, unitOf } from './figures.js';
import { figure, number, rate, time } from './format.js';

/** A figure of a server: as it is, per second of its uptime, and per session. States are not divided. */
export function ratesOf(
  name: string,
  value: number,
  { uptimeMs, sessions }: { readonly uptimeMs: number; readonly sessions: number },
): [inAll: string, perSecond: string, perSession: string] {
  const shown = figure(name, value);
  if (figureOf(name)?.state === true) return [shown, '–', '–'];
  const second = (value / uptimeMs) * 1000;
  const perSecond = !(uptimeMs > 0)
    ? '–'
    : unitOf(name) === 'bytes'
      ? rate(value, uptimeMs)
      : `${unitOf(name) === 'ms' ? time(second) : number(second)}/s`;
  return [shown, perSecond, sessions > 0 ? figure(name, value / sessions) : '–'];
}
