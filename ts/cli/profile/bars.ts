import { classOf } from './colors.js';
import { percent, shareOf, time } from './format.js';
import { html } from './html.js';
import type { Html } from './html.js';
import { sum } from './measure.js';
import type { EndTime, SyncTime } from './measure.js';
import { isWait, STAGES } from './phases.js';
import type { Stage } from './phases.js';

/** A part of a bar. */
export interface Piece {
  /** The class of its colour. */
  readonly of: string;
  readonly title: string;
  readonly ms: number;
}

/** A bar of pieces, as long as its part of `wholeMs`. */
export function bar(pieces: readonly Piece[], wholeMs: number): Html {
  return html`<div class="bar">
    ${pieces.map(({ of, title, ms }) =>
      ms > 0 ? html`<i class="${of}" style="width:${width(shareOf(ms, wholeMs))}%" title="${title}"></i>` : undefined,
    )}
  </div>`;
}

function width(share: number): string {
  return String(Math.round(Math.min(1, share) * 1e5) / 1e3);
}

/** The work of a sync, split among its parts. */
export function splitBar({ profile: { split }, workMs }: SyncTime): Html {
  const parts: readonly (readonly [Stage, number])[] = [
    ['sender', split.senderMs],
    ['network', split.networkMs],
    ['receiver', split.receiverMs],
  ];
  return html`<div class="split">
    ${bar(
      parts.map(([stage, ms]) => ({ of: `s-${stage}`, title: `${STAGES[stage].title}: ${time(ms)}`, ms })),
      workMs,
    )}
    <dl class="split-legend">
      ${parts.map(
        ([stage, ms]) =>
          html`<div>
            <dt><i class="swatch s-${stage}"></i>${STAGES[stage].title}</dt>
            <dd><b>${percent(shareOf(ms, workMs))}</b> ${time(ms)}</dd>
            <dd class="meaning">${STAGES[stage].meaning}</dd>
          </div>`,
      )}
    </dl>
  </div>`;
}

/** For each thread of an end: its work by phase, its waits, and below them its time on a processor. */
export function threadBars(end: EndTime, longestMs: number): Html {
  return html`<table class="threads">
    <thead>
      <tr>
        <th scope="col">Thread</th>
        <th scope="col" class="wide">Where its time went</th>
        <th scope="col" class="n">Wall</th>
        <th scope="col" class="n">Work</th>
        <th scope="col" class="n">Waits</th>
        <th scope="col" class="n">Other</th>
        <th scope="col" class="n">CPU</th>
      </tr>
    </thead>
    <tbody>
      ${end.threads.map((thread) => {
        const work = thread.phases.filter(({ phase }) => !isWait(phase));
        const waits = thread.phases.filter(({ phase }) => isWait(phase));
        // Work is in the order in which a file passes the phases, so that bars of threads can be compared.
        const sorted = [...work.toSorted((left, right) => left.phase.order - right.phase.order), ...waits];
        const share = (ms: number): string => percent(shareOf(ms, thread.wallMs));
        return html`<tr>
          <th scope="row">${thread.label}</th>
          <td class="wide">
            ${bar(
              sorted.map(({ phase, ms, share }) => ({
                of: `${classOf(phase)}${isWait(phase) ? ' wait' : ''}`,
                title: `${phase.name}: ${time(ms)}, ${percent(share)}`,
                ms,
              })),
              // Phases may add up to a little more than the thread's life, and must still fit the bar.
              longestMs * Math.max(1, shareOf(sum(sorted.map(({ ms }) => ms)), thread.wallMs)),
            )}
            <div class="cpu" title="On a processor: ${time(thread.cpuMs)}">
              <i style="width:${width(shareOf(Math.min(thread.cpuMs, longestMs), longestMs))}%"></i>
            </div>
          </td>
          <td class="n" data-name="wall">${time(thread.wallMs)}</td>
          <td class="n" data-name="work">${share(thread.workMs)}</td>
          <td class="n" data-name="waits">${share(thread.waitMs)}</td>
          <td class="n" data-name="other">${share(thread.otherMs)}</td>
          <td class="n" data-name="cpu">${share(thread.cpuMs)}</td>
        </tr>`;
      })}
    </tbody>
  </table>`;
}
