import { count } from '../text.js';
import { tickClass, tickLabel, ticksOf } from './axis.js';
import { bytes, moment, number, plural, rate, shareOf, time } from './format.js';
import { html } from './html.js';
import type { Html } from './html.js';
import { ratesOf } from './rates.js';
import type { Interval, ServerRun } from './server-runs.js';
import { figureTable } from './tables.js';
import { tile } from './tile.js';

/** Everything about one run of a server. */
export function serverSection(run: ServerRun): Html {
  const { last, intervals } = run;
  const { figures } = last;
  return html`
    <dl class="tiles">
      ${tile('Up', time(last.uptimeMs), `${last.final ? 'ended' : 'last seen'} ${moment(last.at)}`)}
      ${tile('Sessions', count(last.sessions), `${number(shareOf(last.sessions, last.uptimeMs) * 60_000)} a minute`)}
      ${tile('Failed', count(last.sessionsFailed), `of ${plural(last.sessions, 'session')}`)}
      ${tile('Connections', count(last.connections), `${number(shareOf(last.sessions, last.connections))} sessions each`)}
      ${tile('From clients', bytes(figures.request_bytes), rate(figures.request_bytes, last.uptimeMs))}
      ${tile('To clients', bytes(figures.response_bytes), rate(figures.response_bytes, last.uptimeMs))}
    </dl>
    ${
      intervals.length > 1
        ? html`<section class="card">
            <h3>Course</h3>
            ${course(intervals)}
          </section>`
        : undefined
    }
    <section class="card">
      <h3>All figures, over all sessions</h3>
      ${figureTable(
        [
          { title: 'In all', figures },
          { title: 'Per second', figures },
          { title: 'Per session', figures },
        ],
        (name, value, column) => ratesOf(name, value, last)[column] ?? '',
      )}
    </section>
  `;
}

/** One figure of a server over its uptime: a bar for each interval, which begins at so many of 1000 by `place`. */
function chart(
  intervals: readonly Interval[],
  place: (ms: number) => number,
  [title, of, amount, shown]: [string, string, (each: Interval) => number, (value: number) => string],
): Html {
  const values = intervals.map((each) => shareOf(amount(each) * 1000, each.toMs - each.fromMs));
  const most = Math.max(...values);
  return html`<div class="row course">
    <div class="label"><b>${title}</b><span>at most ${shown(most)}</span></div>
    <div class="track">
      <svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="${title}, at most ${shown(most)}">
        ${intervals.map((each, index) => {
          const value = values[index] ?? 0;
          const height = Math.round(shareOf(value, most) * 1e4) / 100;
          const left = place(each.fromMs);
          return value > 0
            ? html`<rect
                class="${of}"
                x="${left}"
                y="${100 - height}"
                width="${Math.max(1, Math.round((place(each.toMs) - left) * 100) / 100)}"
                height="${height}"
                ><title>${time(each.fromMs)} to ${time(each.toMs)}: ${shown(value)}</title></rect
              >`
            : undefined;
        })}
      </svg>
    </div>
  </div>`;
}

/** What a server carried and how often it was asked, over its uptime. */
function course(intervals: readonly Interval[]): Html {
  const spanMs = Math.max(0, ...intervals.map(({ toMs }) => toMs));
  const startMs = Math.min(...intervals.map(({ fromMs }) => fromMs));
  const place = (ms: number): number => Math.round(shareOf(ms - startMs, spanMs - startMs) * 1e5) / 100;
  const rate = (value: number): string => `${bytes(value)}/s`;
  const perMinute = (value: number): string => `${number(value)} a minute`;
  const ticks = ticksOf(spanMs - startMs, 6);
  return html`<div class="chart">
    ${chart(intervals, place, ['From clients', 's-sender', ({ requestBytes }) => requestBytes, rate])}
    ${chart(intervals, place, ['To clients', 's-receiver', ({ responseBytes }) => responseBytes, rate])}
    ${chart(intervals, place, ['Sessions', 's-comparing', ({ sessions }) => sessions * 60, perMinute])}
    <div class="axis bottom" aria-hidden="true">
      ${ticks.map(
        (tick, index) =>
          html`<span class="${tickClass(index, tick, spanMs - startMs)}" style="left:${place(tick + startMs) / 10}%"
            >${tickLabel(tick + startMs, ticks[1] ?? 1)}</span
          >`,
      )}
    </div>
    <div class="grid" aria-hidden="true">
      ${ticks.map((tick) => html`<i style="left:${place(tick + startMs) / 10}%"></i>`)}
    </div>
  </div>`;
}
