import type { ProfileThread } from '../../profile.js';
import type { Comparison } from './compare.js';
import { comparisonSection } from './comparison-section.js';
import { moment, plural, time } from './format.js';
import { html, trusted } from './html.js';
import type { Html } from './html.js';
import { sum } from './measure.js';
import type { SyncTime } from './measure.js';
import { SCRIPT, scriptHash } from './script.js';
import { serverSection } from './server-section.js';
import type { ServerRun } from './server-runs.js';
import { style } from './style.js';
import { bar } from './bars.js';
import { syncSection, titleOfSync } from './sync-section.js';

/**
 * The most steps of threads that one page draws: hundreds of syncs of an ordinary machine, as many as a browser can
 * hold.
 */
const STEPS_MAX = 4_000_000;

/** What a page shows. */
export interface PageContent {
  /** The files as the user named them. */
  readonly files: readonly string[];
  /** The syncs to show, the oldest first. */
  readonly syncs: readonly SyncTime[];
  /** Syncs of the files that are not shown. */
  readonly syncsLeftOut: number;
  readonly servers: readonly ServerRun[];
  /** What both files have in common, when there is a second one. */
  readonly comparisons?: readonly Comparison[];
  /** The second file. */
  readonly against?: string;
  /** The version of the program. */
  readonly version: string;
}

/** The report as one page that needs no network, no other file, and no script to show its content. */
export function page(content: PageContent): string {
  const { comparisons, against, syncs, servers } = content;
  const title = titleOf(content);
  const drawn = drawable(syncs);
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src '${scriptHash()}'; base-uri 'none'; form-action 'none'`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} – sparsync profile</title>
        ${trusted(`<style>${style()}</style>`)}
      </head>
      <body>
        <header>
          <p class="kicker"><b>sparsync</b> profile</p>
          <h1>${title}</h1>
          <p class="sub">${subtitleOf(content)}</p>
        </header>
        <main>
          ${comparisons === undefined || against === undefined ? undefined : comparisonSection(comparisons, content.files.join(', '), against)}
          ${syncs.length > 1 ? overview(content) : undefined}
          ${syncs.map((sync, index) => (syncs.length === 1 ? syncSection(sync, 'sync-1') : folded(sync, index, syncs.length, drawn.has(sync))))}
          ${servers.map((run) =>
            syncs.length === 0 && servers.length === 1
              ? serverSection(run)
              : html`<h2>Server, ${run.last.final ? 'ended' : 'as of'} ${moment(run.last.at)}</h2>
                  <p class="sub"><code>${run.last.file}:${run.last.line}</code></p>
                  ${serverSection(run)}`,
          )}
        </main>
        <footer>
          Made by sparsync ${content.version}. This page holds everything that it shows and asks for nothing else.
        </footer>
        ${trusted(`<script>${SCRIPT}</script>`)}
      </body>
    </html> `.markup;
}

function titleOf({ syncs, syncsLeftOut, servers }: PageContent): string {
  const [first] = syncs;
  if (first !== undefined && syncs.length === 1 && syncsLeftOut === 0) return titleOfSync(first);
  if (first !== undefined) return plural(syncs.length + syncsLeftOut, 'sync');
  const [run] = servers;
  return run !== undefined && servers.length === 1
    ? `Server, up ${time(run.last.uptimeMs)}`
    : plural(servers.length, 'run of a server', 'runs of servers');
}

function subtitleOf({ files, syncs, syncsLeftOut, servers, against }: PageContent): Html {
  const [first] = syncs;
  const last = syncs.at(-1);
  const span =
    first === undefined || last === undefined
      ? servers.map(({ last: { at } }) => `${moment(at)}, `).join('')
      : syncs.length === 1
        ? `${moment(first.record.at)}, line ${first.record.line} of `
        : `${moment(first.record.at)} to ${moment(last.record.at)}, `;
  return html`${span}${files.map((file, index) => html`${index === 0 ? '' : ', '}<code>${file}</code>`)}${
    against === undefined ? '' : html`, beside <code>${against}</code>`
  }${syncsLeftOut > 0 ? `. The last ${syncs.length} are shown.` : ''}`;
}

/** All syncs in one table, each with a link to its own part of the page. */
function overview({ syncs }: PageContent): Html {
  const most = Math.max(0, ...syncs.map(({ workMs }) => workMs));
  return html`<section class="card">
    <h3>Syncs</h3>
    <table class="overview">
      <thead>
        <tr>
          <th scope="col">Sync</th>
          <th scope="col">When</th>
          <th scope="col" class="n">Time</th>
          <th scope="col" class="wide">Work: sender, network, receiver</th>
          <th scope="col" class="n">Work</th>
        </tr>
      </thead>
      <tbody>
        ${syncs.map((sync, index) => {
          const { profile, record, totalMs, workMs } = sync;
          const { senderMs, networkMs, receiverMs } = profile.split;
          return html`<tr>
            <th scope="row"><a href="#sync-${index + 1}">${profile.direction} ${index + 1}</a></th>
            <td>${moment(record.at)}</td>
            <td class="n" data-name="time">${time(totalMs)}</td>
            <td class="wide">
              ${bar(
                [
                  { of: 's-sender', title: `Sender: ${time(senderMs)}`, ms: senderMs },
                  { of: 's-network', title: `Network: ${time(networkMs)}`, ms: networkMs },
                  { of: 's-receiver', title: `Receiver: ${time(receiverMs)}`, ms: receiverMs },
                ],
                most,
              )}
            </td>
            <td class="n" data-name="work">${time(workMs)}</td>
          </tr>`;
        })}
      </tbody>
    </table>
  </section>`;
}

/** The last syncs that one page can draw. A single one always fits, since the lines of a file are limited. */
function drawable(syncs: readonly SyncTime[]): Set<SyncTime> {
  const drawn = new Set<SyncTime>();
  let steps = 0;
  for (const each of syncs.toReversed()) {
    steps += sum(each.profile.ends.flatMap(({ threads }) => threads.map(stepsOf)));
    if (steps <= STEPS_MAX || drawn.size === 0) drawn.add(each);
  }
  return drawn;
}

function stepsOf({ timeline }: ProfileThread): number {
  return sum(Object.values(timeline).map(({ length }) => length));
}

/** One of several syncs: the last one is open. */
function folded(sync: SyncTime, index: number, all: number, drawn: boolean): Html {
  const { record } = sync;
  return html`<details class="sync" ${index === all - 1 ? html` open` : undefined}>
    <summary>
      <h2>${index + 1}. ${titleOfSync(sync)}</h2>
      <span>${moment(record.at)}, <code>${record.file}:${record.line}</code></span>
    </summary>
    <span class="anchor" id="sync-${index + 1}"></span>
    ${
      drawn
        ? syncSection(sync, `sync-${index + 1}`)
        : html`<p class="note warn">
            Left out: with it this page would be larger than what a browser can show. Make a page of this line alone.
          </p>`
    }
  </details>`;
}
