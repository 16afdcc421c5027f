import { outlines } from './areas.js';
import { axisOf, tickClass, tickLabel, ticksOf } from './axis.js';
import type { Axis } from './axis.js';
import { classOf } from './colors.js';
import { safe } from '../names.js';
import { count } from '../text.js';
import { number, percent, shareOf, time } from './format.js';
import { dataBlock, html } from './html.js';
import type { Html } from './html.js';
import type { EndTime, SyncTime, ThreadTime } from './measure.js';
import { isWait, STAGES } from './phases.js';
import type { Phase, Stage } from './phases.js';
import { layersOf, stepsOf } from './steps.js';
import type { Steps } from './steps.js';

/** Columns of the chart of busy threads. */
const COLUMNS = 240;

/** About so many marks on the time axis. */
const TICKS = 7;

/** A thread on the axis. */
interface Row {
  readonly end: EndTime;
  readonly thread: ThreadTime;
  readonly steps: Steps;
  /** When it began on the axis. */
  readonly startMs: number;
}

/** The work of every thread of a sync over time: the chart, its legend, and the figures for the page's script. */
export function timeline(sync: SyncTime, id: string): Html {
  const axis = axisOf(sync.ends);
  const rows = sync.ends.map((end, index) =>
    end.threads.map((thread): Row => ({
      end,
      thread,
      steps: stepsOf(thread, end.end.role),
      startMs: (axis.startsMs[index] ?? 0) + thread.thread.startMs,
    })),
  );
  const all = rows.flat();
  if (all.length === 0) return html`<p class="note">No thread was measured.</p>`;
  let next = 0;
  return html`
    ${clockNote(axis, sync)} ${legend(all)}
    <div class="chart" data-chart="${id}">
      ${axisLine(axis.spanMs, 'top')} ${busyChart(all, axis.spanMs)}
      ${sync.ends.map(
        (end, index) =>
          html`<div class="end-head">
              <b>${titleOf(end)}</b><span>${time(end.totalMs)}${startOf(axis, index)}</span>
            </div>
            ${(rows[index] ?? []).map((row) => threadRow(row, axis.spanMs, next++))}`,
      )}
      ${axisLine(axis.spanMs, 'bottom')}
      <div class="grid" aria-hidden="true">
        ${ticksOf(axis.spanMs, TICKS).map((tick) => html`<i style="left:${at(tick, axis.spanMs)}%"></i>`)}
      </div>
      <div class="cursor" hidden></div>
    </div>
    ${dataBlock(`data-${id}`, {
      spanMs: axis.spanMs,
      threads: all.map((row) => ({
        // The script inserts these as text, which is made safe to read as everywhere else.
        label: safe(`${row.thread.label}, ${row.end.who}`),
        startMs: row.startMs,
        stepMs: row.steps.stepMs,
        endMs: row.startMs + row.thread.wallMs,
        phases: row.steps.phases.map(({ phase, shares }) => ({ name: safe(phase.name), of: classOf(phase), shares })),
      })),
    })}
  `;
}

/** An end's heading: `Client · sender`. */
export function titleOf({ label }: EndTime): string {
  return `${label.charAt(0).toUpperCase()}${label.slice(1)}`.replace(', ', ' · ');
}

function startOf(axis: Axis, index: number): string {
  const start = axis.startsMs[index] ?? 0;
  return start > 0 ? `, from ${time(start)} on` : '';
}

function clockNote({ movedMs }: Axis, { ends }: SyncTime): Html | undefined {
  if (movedMs === undefined) return undefined;
  const way = movedMs > 0 ? 'behind' : 'ahead';
  const moved = ends.find(({ end }) => end.end === 'server') ?? ends[1];
  return html`<p class="note warn">
    <b>The clocks of the two ends disagree.</b> By them, the ${moved?.who ?? 'second end'} would have begun while the
    other was not there: its clock is about ${time(Math.abs(movedMs))} ${way}. It is drawn in the middle of the other's
    time, so compare moments within an end, not between the two.
  </p>`;
}

/** A place on the axis in percent. */
function at(ms: number, spanMs: number): string {
  return number4(shareOf(ms, spanMs) * 100);
}

function number4(value: number): string {
  return String(Math.round(Math.min(100, Math.max(0, value)) * 1e4) / 1e4);
}

function axisLine(spanMs: number, side: 'top' | 'bottom'): Html {
  const ticks = ticksOf(spanMs, TICKS);
  return html`<div class="axis ${side}" aria-hidden="true">
    ${ticks.map((tick, index) => html`<span class="${tickClass(index, tick, spanMs)}" style="left:${at(tick, spanMs)}%">${tickLabel(tick, ticks[1] ?? 1)}</span>`)}
  </div>`;
}

function threadRow(row: Row, spanMs: number, index: number): Html {
  const { thread, steps } = row;
  const { wallMs } = thread;
  const paths = outlines(layersOf(steps), steps.count, 100);
  const share = (ms: number): string => percent(shareOf(ms, wallMs));
  const width = shareOf(wallMs, spanMs) * 100;
  return html`<div class="row" data-thread="${index}">
    <div class="label">
      <b>${thread.label}</b
      ><span>${share(thread.workMs)} work · ${share(thread.cpuMs)} cpu${steps.means ? ' · means only' : ''}</span>
    </div>
    <div class="track">
      <div class="life" style="left:${at(row.startMs, spanMs)}%;width:${number4(width)}%">
        <svg
          viewBox="0 0 ${steps.count} 100"
          preserveAspectRatio="none"
          role="img"
          style="width:${widthOf(steps, wallMs)}%"
          aria-label="${thread.label}: ${share(thread.workMs)} work, ${share(thread.waitMs)} waits, of ${time(wallMs)}"
        >
          ${steps.phases.map(({ phase }, layer) => area(phase, paths[layer] ?? '', row))}
          ${paths.at(-1) === '' ? undefined : html`<path class="bare" d="${paths.at(-1)}"></path>`}
        </svg>
      </div>
    </div>
  </div>`;
}

/** The last step may be longer than the thread lived. */
function widthOf(steps: Steps, wallMs: number): string {
  const width = shareOf(steps.count * steps.stepMs, wallMs) * 100;
  return String(Math.round(Math.min(1e6, width > 0 ? width : 100) * 1e3) / 1e3);
}

function area(phase: Phase, path: string, { thread }: Row): Html | undefined {
  if (path === '') return undefined;
  const found = thread.phases.find((each) => each.phase.name === phase.name);
  const title =
    found === undefined
      ? phase.name
      : `${phase.name}: ${time(found.ms)}, ${percent(found.share)} of ${thread.label}, ${count(found.count)} times`;
  return html`<path class="${classOf(phase)}${isWait(phase) ? ' wait' : ''}" data-phase="${keyOf(phase)}" d="${path}"
    ><title>${title}</title></path
  >`;
}

/** A key for a phase of one part of a sync, by which the legend and the chart agree. */
function keyOf(phase: Phase): string {
  return `${phase.stage ?? phase.cause ?? ''}/${phase.name}`;
}

/** How many threads worked at each moment, by part of the sync. */
function busyChart(rows: readonly Row[], spanMs: number): Html {
  const stages = Object.keys(STAGES) as Stage[];
  const layers = stages.map(() => Array.from({ length: COLUMNS }, () => 0));
  for (const { steps, startMs, thread } of rows) {
    for (const { phase, shares } of steps.phases) {
      const layer = phase.stage === undefined ? undefined : layers[stages.indexOf(phase.stage)];
      if (layer !== undefined) spread(layer, shares, startMs, steps.stepMs, startMs + thread.wallMs, spanMs);
    }
  }
  const totals = Array.from({ length: COLUMNS }, (_, index) =>
    layers.reduce((total, layer) => total + (layer[index] ?? 0), 0),
  );
  const most = Math.max(1, Math.ceil(Math.max(...totals) - 0.05));
  const paths = outlines(layers, COLUMNS, most);
  const mean = shareOf(
    rows.reduce((total, { thread }) => total + thread.workMs, 0),
    spanMs,
  );
  return html`<div class="row busy">
    <div class="label"><b>Threads at work</b><span>${number(Math.round(mean * 10) / 10)} on average</span></div>
    <div class="track">
      <svg
        viewBox="0 0 ${COLUMNS} ${most}"
        preserveAspectRatio="none"
        role="img"
        aria-label="Threads at work at each moment, at most ${most}, ${number(Math.round(mean * 10) / 10)} on average"
      >
        ${stages.map((stage, index) =>
          paths[index] === ''
            ? undefined
            : html`<path class="s-${stage}" d="${paths[index]}"
                ><title>${STAGES[stage].title}: ${STAGES[stage].meaning}</title></path
              >`,
        )}
      </svg>
      <span class="most">${most}</span>
    </div>
  </div>`;
}

/** Adds a thread's shares to the columns that its life falls into. */
function spread(
  layer: number[],
  shares: readonly number[],
  startMs: number,
  stepMs: number,
  endMs: number,
  spanMs: number,
): void {
  const columnMs = spanMs / COLUMNS;
  if (!(columnMs > 0) || !(stepMs > 0)) return;
  for (const [index, share] of shares.entries()) {
    const from = startMs + index * stepMs;
    // The last step ends after the thread: its share of the whole step falls into the part that the thread lived.
    const to = Math.min(endMs, from + stepMs);
    if (share === 0 || to <= from) continue;
    const height = Math.min(1, ((share / 100) * stepMs) / (to - from));
    const first = Math.max(0, Math.floor(from / columnMs));
    const last = Math.min(COLUMNS - 1, Math.ceil(to / columnMs) - 1);
    for (let column = first; column <= last; column += 1) {
      const overlap = Math.min(to, (column + 1) * columnMs) - Math.max(from, column * columnMs);
      if (overlap > 0) layer[column] = (layer[column] ?? 0) + (height * overlap) / columnMs;
    }
  }
}

/** What colours mean, for the phases that are there. */
function legend(rows: readonly Row[]): Html {
  const found = new Map<string, { readonly phase: Phase; ms: number }>();
  for (const { thread } of rows) {
    for (const { phase, ms } of thread.phases) {
      const key = keyOf(phase);
      const before = found.get(key);
      if (before === undefined) found.set(key, { phase, ms });
      else before.ms += ms;
    }
  }
  const all = [...found.values()].toSorted((left, right) => left.phase.order - right.phase.order);
  const group = (title: string, of: string, meaning: string, member: (phase: Phase) => boolean): Html | undefined => {
    const members = all.filter(({ phase, ms }) => ms > 0 && member(phase));
    if (members.length === 0) return undefined;
    return html`<div class="legend-group">
      <b title="${meaning}"><i class="swatch ${of}"></i>${title}</b>
      <ul>
        ${members.map(
          ({ phase, ms }) =>
            html`<li
              data-phase="${keyOf(phase)}"
              title="${phase.meaning ?? 'Not known to this version.'} ${time(ms)} in all."
            >
              <i class="swatch ${classOf(phase)}${isWait(phase) ? ' wait' : ''}"></i>${phase.name}
            </li>`,
        )}
      </ul>
    </div>`;
  };
  return html`<div class="legend" role="group" aria-label="What the colours mean">
    ${(Object.keys(STAGES) as Stage[]).map((stage) =>
      group(STAGES[stage].title, `s-${stage}`, STAGES[stage].meaning, (phase) => phase.stage === stage),
    )}
    ${group('Waits', 'w-thread wait', 'Nothing is done meanwhile.', isWait)}
  </div>`;
}
