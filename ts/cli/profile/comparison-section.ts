import type { Change, Comparison, Verdict } from './compare.js';
import { amount, percent, shareOf, times } from './format.js';
import { html } from './html.js';
import type { Html } from './html.js';
import { STAGES } from './phases.js';
import { figureName, phaseMark } from './tables.js';

/** What a verdict looks like beside its colour. */
const MARKS: Readonly<Record<Verdict, string>> = { better: '✓ better', worse: '✗ worse', same: '= same', neither: '' };

/** Two files beside each other. */
export function comparisonSection(comparisons: readonly Comparison[], now: string, before: string): Html {
  return html`<section class="card" id="comparison">
    <h2>Compared with <code>${before}</code></h2>
    <p class="lead">
      <b>Now</b> is <code>${now}</code>, <b>before</b> is <code>${before}</code>. A ratio of 0.50× is half of what it
      was. Changes within 5% are the noise of any machine.
    </p>
    ${
      comparisons.length === 0
        ? html`<p class="note warn">
            <b>Nothing to compare.</b> The two have no direction (push, pull, local) in common.
          </p>`
        : comparisons.map((comparison) => directionOf(comparison))
    }
  </section>`;
}

function directionOf(comparison: Comparison): Html {
  const { direction, nowCount, beforeCount, totals, ends } = comparison;
  const several = nowCount > 1 || beforeCount > 1;
  return html`
    <h3>${direction === 'local' ? 'Local syncs' : direction === 'push' ? 'Pushes' : 'Pulls'}</h3>
    ${several ? html`<p class="note">Medians, figure by figure: ${nowCount} now, ${beforeCount} before.</p>` : undefined}
    ${pairedBars(totals)}
    <h4>Phases, those that changed most first</h4>
    <div class="pair">
      ${ends.map(
        (end) =>
          html`<div>
            <h4>${capital(end.label)}</h4>
            ${changeTable(end.phases.map(({ phase, change }) => ({ name: phaseMark(phase), change })))}
          </div>`,
      )}
    </div>
    ${ends.map(
      (end) =>
        html`<details class="more">
          <summary>${capital(end.label)}: all figures, before and now</summary>
          ${changeTable(end.figures.map((change) => ({ name: figureName(change.name), change })))}
        </details>`,
    )}
  `;
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

/** The whole and its parts, now above before. */
function pairedBars(totals: readonly Change[]): Html {
  const most = Math.max(0, ...totals.flatMap(({ now, before }) => [now, before]));
  const titles: Readonly<Record<string, readonly [title: string, of: string]>> = {
    total: ['Total time', 'total'],
    sender: [`${STAGES.sender.title}, work`, 's-sender'],
    network: [`${STAGES.network.title}, work`, 's-network'],
    receiver: [`${STAGES.receiver.title}, work`, 's-receiver'],
  };
  const line = (what: string, of: string, ms: number): Html =>
    html`<span class="when">${what}</span>
      <div class="bar"><i class="${of}" style="width:${Math.round(shareOf(ms, most) * 1e4) / 100}%"></i></div>
      <span class="n">${amount('ms', ms)}</span>`;
  return html`<div class="paired">
    ${totals.map((change) => {
      const [title, of] = titles[change.name] ?? [change.name, ''];
      return html`<div class="pair-row">
        <div class="pair-title"><b>${title}</b> ${verdictMark(change)}</div>
        <div class="pair-bars">${line('now', of, change.now)}${line('before', `${of} faded`, change.before)}</div>
      </div>`;
    })}
  </div>`;
}

function verdictMark(change: Change): Html {
  const { now, before, ratio, verdict } = change;
  const by =
    ratio === undefined ? '' : ratio < 1 ? `${percent(1 - ratio)} less` : ratio > 1 ? `${percent(ratio - 1)} more` : '';
  const title = `${amount(change.unit, before)} before, ${amount(change.unit, now)} now${by === '' ? '' : `: ${by}`}`;
  return html`<span class="verdict ${verdict}" title="${title}"><b>${times(ratio)}</b> ${MARKS[verdict]}</span>`;
}

/** The changes of figures, without those that are zero on both sides. */
function changeTable(changes: readonly { readonly name: Html; readonly change: Change }[]): Html {
  const shown = changes.filter(({ change: { now, before } }) => now > 0 || before > 0);
  if (shown.length === 0) return html`<p class="note">Nothing was measured here.</p>`;
  return html`<table class="changes">
    <thead>
      <tr>
        <th scope="col">Name</th>
        <th scope="col" class="n">Before</th>
        <th scope="col" class="n">Now</th>
        <th scope="col" class="n">Difference</th>
        <th scope="col">Ratio</th>
      </tr>
    </thead>
    <tbody>
      ${shown.map(
        ({ name, change }) =>
          html`<tr>
            <th scope="row">${name}</th>
            <td class="n" data-name="before">${amount(change.unit, change.before)}</td>
            <td class="n" data-name="now">${amount(change.unit, change.now)}</td>
            <td class="n" data-name="difference">${differenceOf(change)}</td>
            <td data-name="ratio">${verdictMark(change)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function differenceOf({ unit, now, before }: Change): string {
  const difference = now - before;
  if (difference === 0) return '0';
  return `${difference > 0 ? '+' : '−'}${amount(unit, Math.abs(difference))}`;
}
