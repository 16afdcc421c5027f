import { count } from '../text.js';
import { splitBar, threadBars } from './bars.js';
import { findings } from './findings.js';
import { bytes, percent, plural, rate, shareOf, time } from './format.js';
import { html } from './html.js';
import type { Html } from './html.js';
import { sum } from './measure.js';
import type { EndTime, SyncTime } from './measure.js';
import { figureTable, phaseTable } from './tables.js';
import { tile } from './tile.js';
import { timeline, titleOf } from './timeline.js';

/** One sync in one line: `Push, 1.23 s`. */
export function titleOfSync({ profile, totalMs }: SyncTime): string {
  const names = { push: 'Push', pull: 'Pull', local: 'Local sync' };
  return `${names[profile.direction]}, ${time(totalMs)}`;
}

/** Everything about one sync. */
export function syncSection(sync: SyncTime, id: string): Html {
  const longestMs = Math.max(0, ...sync.ends.flatMap(({ threads }) => threads.map(({ wallMs }) => wallMs)));
  return html`
    ${tiles(sync)}
    <section class="card">
      <h3>In short</h3>
      <ul class="findings">
        ${findings(sync).map((sentence) => html`<li>${sentence}</li>`)}
      </ul>
    </section>
    <section class="card">
      <h3>Timeline</h3>
      <p class="lead">
        Each row is a thread; its height is its time. Colours are work, hatched grey is waiting, empty is
        idle.${sync.ends.length > 1 ? ' Both ends share one axis.' : ''}
      </p>
      ${timeline(sync, id)}
    </section>
    <section class="card">
      <h3>Where the time went</h3>
      <h4>Work, by part</h4>
      ${splitBar(sync)}
      <p class="note">Milliseconds of busy threads. Comparing belongs to none of the three.</p>
      ${sync.ends.map(
        (end) =>
          html`<h4>${titleOf(end)}</h4>
            ${threadBars(end, longestMs)}`,
      )}
      <p class="note">
        The thin line under a bar is time on a processor. Work without it waited for a disk or for a processor. Other is
        what no phase covers.
      </p>
    </section>
    <section class="card">
      <h3>Phases</h3>
      <div class="pair">
        ${sync.ends.map(
          (end) =>
            html`<div>
              <h4>${titleOf(end)}</h4>
              ${phaseTable(end)}
            </div>`,
        )}
      </div>
      <p class="note">Of wall: share of the lives of all threads of that end together.</p>
    </section>
    <section class="card">
      <h3>All figures</h3>
      ${figureTable(sync.ends.map((end) => ({ title: titleOf(end), figures: end.end.figures })))}
      <p class="note">
        Times are summed over threads, so that they may exceed the whole. What an end does not do is 0 there.
      </p>
    </section>
  `;
}

function tiles(sync: SyncTime): Html {
  const { ends, profile, totalMs } = sync;
  const figures = ends.map(({ end }) => end.figures);
  const most = (value: (figures: EndTime['end']['figures']) => number): number => Math.max(0, ...figures.map(value));
  const content = most(({ disk_read_bytes: read }) => read);
  const packs = most(({ encoded_bytes: encoded }) => encoded);
  const wire = most(({ request_bytes: there, response_bytes: back }) => there + back);
  const lost = sum(figures.map(({ packets_lost: each }) => each));
  const sent = sum(figures.map(({ packets_sent: each }) => each));
  const cpu = sum(ends.map(({ cpuMs }) => cpuMs));
  const first = figures[0];
  const remote = profile.direction !== 'local';
  return html`<dl class="tiles">
    ${tile('Time', time(totalMs), ends.map(({ who }) => who).join(' and '))}
    ${content > 0 ? tile('Content read', bytes(content), rate(content, totalMs)) : undefined}
    ${tile('As packs', bytes(packs), content > 0 ? `${percent(shareOf(packs, content))} of the content` : rate(packs, totalMs))}
    ${remote ? tile('On streams', bytes(wire), rate(wire, totalMs)) : undefined}
    ${tile('Processor', time(cpu), `${percent(shareOf(cpu, totalMs))} of one, ${ends.length > 1 ? 'both ends' : 'this end'}`)}
    ${
      remote && first !== undefined
        ? [
            tile(
              'Round trips',
              count(first.round_trips),
              `${time(shareOf(first.roundtrip_ms, first.round_trips))} each, path ${time(first.rtt_ms)}`,
            ),
            tile('Packets lost', count(lost), `${percent(shareOf(lost, sent))} of ${plural(sent, 'packet')}`),
          ]
        : undefined
    }
  </dl>`;
}
