import { count } from '../text.js';
import { classOf } from './colors.js';
import { valueOf } from './compare.js';
import { figureOf, GROUPS, namesOf } from './figures.js';
import { figure, percent, time } from './format.js';
import { html } from './html.js';
import type { Html } from './html.js';
import type { EndTime } from './measure.js';
import { isWait, STAGES } from './phases.js';
import type { Phase } from './phases.js';

const UNKNOWN = 'This version does not know what this is.';

/** All phases of an end, the largest first. */
export function phaseTable(end: EndTime): Html {
  if (end.phases.length === 0) return html`<p class="note">No phase was measured.</p>`;
  const largest = end.phases[0]?.share ?? 1;
  return html`<table class="phases">
    <thead>
      <tr>
        <th scope="col">Phase</th>

        <th scope="col" class="n">Time</th>
        <th scope="col" class="share">Of wall</th>
        <th scope="col" class="n">Count</th>
        <th scope="col" class="n">Mean</th>
      </tr>
    </thead>
    <tbody>
      ${end.phases.map(
        ({ phase, ms, count: begun, share }) =>
          html`<tr>
            <th scope="row">${phaseName(phase)}</th>
            <td class="n" data-name="time">${time(ms)}</td>
            <td class="share" data-name="of wall">
              <span>${percent(share)}</span>
              <div class="meter">
                <i
                  class="${classOf(phase)}${isWait(phase) ? ' wait' : ''}"
                  style="width:${Math.round(Math.min(1, share / (largest || 1)) * 1000) / 10}%"
                ></i>
              </div>
            </td>
            <td class="n" data-name="count">${count(begun)}</td>
            <td class="n" data-name="mean">${begun > 0 ? time(ms / begun) : '–'}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

/** A phase with the mark of its colour, without its meaning. */
export function phaseMark(phase: Phase): Html {
  return html`<i class="swatch ${classOf(phase)}${isWait(phase) ? ' wait' : ''}"></i
    ><code title="${partOf(phase)}. ${phase.meaning ?? UNKNOWN}">${phase.name}</code>`;
}

/** A phase with the mark of its colour, its part and its meaning. */
export function phaseName(phase: Phase): Html {
  const { name, meaning } = phase;
  return html`<div class="phase-name">
    <i class="swatch ${classOf(phase)}${isWait(phase) ? ' wait' : ''}"></i><code>${name}</code
    ><small><b>${partOf(phase)}.</b> ${meaning ?? UNKNOWN}</small>
  </div>`;
}

/** A figure with its meaning, for a table that has no column for it. */
export function figureName(name: string): Html {
  return html`<code>${name}</code><small>${prose(figureOf(name)?.meaning ?? UNKNOWN)}</small>`;
}

/** The part of a sync that a phase belongs to, or for a wait its kind. */
function partOf(phase: Phase): string {
  if (phase.cause === undefined) return STAGES[phase.stage ?? 'unknown'].title;
  return phase.cause === 'idle' ? 'Idle' : 'Wait';
}

/** Some columns of figures, each with all its values, and what they mean. */
export function figureTable(
  columns: readonly { readonly title: string; readonly figures: object }[],
  shown: (name: string, value: number, column: number) => string = figure,
): Html {
  const names = [...new Set(columns.flatMap(({ figures }) => namesOf(figures)))];
  const groups: { readonly title: string; readonly names: readonly string[] }[] = [
    ...GROUPS.map((title) => ({ title, names: names.filter((name) => figureOf(name)?.group === title) })),
    { title: 'Unknown to this version', names: names.filter((name) => figureOf(name) === undefined) },
  ];
  return html`<table class="figures">
    <thead>
      <tr>
        <th scope="col">Figure</th>
        ${columns.map(({ title }) => html`<th scope="col" class="n">${title}</th>`)}
        <th scope="col" class="meaning">Meaning</th>
      </tr>
    </thead>
    ${groups
      .filter((group) => group.names.length > 0)
      .map(
        (group) =>
          html`<tbody>
            <tr class="group">
              <th colspan="${columns.length + 2}" scope="rowgroup">${group.title}</th>
            </tr>
            ${group.names.map(
              (name) =>
                html`<tr>
                  <th scope="row"><code>${name}</code></th>
                  ${columns.map(({ title, figures }, column) => {
                    const value = valueOf(figures, name);
                    return html`<td class="n${value === 0 ? ' zero' : ''}" data-name="${title}">
                      ${value === 0 ? '0' : shown(name, value, column)}
                    </td>`;
                  })}
                  <td class="meaning">
                    ${prose(figureOf(name)?.meaning ?? 'This version does not know what this is.')}
                  </td>
                </tr>`,
            )}
          </tbody>`,
      )}
  </table>`;
}

/** A sentence with names in backticks. */
function prose(text: string): Html {
  return html`${text.split('`').map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : part))}`;
}
