import { createHash } from 'node:crypto';

/**
 * The page's own script: figures of a moment under the pointer, and one phase in front of all others. Without it the page
 * says the same in tables and titles. It makes elements and sets texts; markup it never makes.
 */
export const SCRIPT = `'use strict';
(() => {
  const make = (name, text, of) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (of) element.className = of;
    return element;
  };
  const time = (ms) => ms >= 100000 ? (ms / 1000).toFixed(1) + ' s' : ms >= 1000 ? (ms / 1000).toFixed(3) + ' s' : ms.toFixed(ms >= 100 ? 1 : 2) + ' ms';
  const tip = make('div', undefined, 'tip');
  tip.hidden = true;
  document.body.append(tip);
  const line = (of, name, value) => {
    const row = make('div');
    row.append(make('i', undefined, 'swatch ' + of + (of.startsWith('w-') ? ' wait' : '')), make('span', name), make('em', value));
    return row;
  };
  const shown = (share) => share >= 9.95 ? share.toFixed(0) + '%' : share.toFixed(1) + '%';
  const stepAt = (thread, ms) => {
    if (ms < thread.startMs || ms > thread.endMs) return [];
    const step = Math.floor((ms - thread.startMs) / thread.stepMs);
    return thread.phases.map(({ name, of, shares }) => ({ name, of, share: shares[step] || 0 })).filter(({ share }) => share >= 0.05).sort((a, b) => b.share - a.share);
  };
  const prepare = (chart) => {
    const data = JSON.parse(document.getElementById('data-' + chart.dataset.chart).textContent);
    for (const title of chart.querySelectorAll('title')) title.remove();
    return data;
  };
  const watch = (chart) => {
    let data;
    const cursor = chart.querySelector('.cursor');
    const hide = () => { tip.hidden = true; cursor.hidden = true; };
    const move = (event) => {
      data = data || prepare(chart);
      const row = event.target.closest('.row');
      const track = row && row.querySelector('.track');
      if (!track) return hide();
      const box = track.getBoundingClientRect();
      const part = (event.clientX - box.left) / box.width;
      if (part < 0 || part > 1) return hide();
      const ms = part * data.spanMs;
      cursor.hidden = false;
      cursor.style.left = event.clientX - chart.getBoundingClientRect().left + 'px';
      tip.replaceChildren();
      const thread = data.threads[row.dataset.thread];
      if (thread) {
        const step = Math.floor((ms - thread.startMs) / thread.stepMs);
        const from = thread.startMs + step * thread.stepMs;
        const found = stepAt(thread, ms);
        tip.append(make('b', thread.label), make('small', found.length === 0 ? time(ms) + ': nothing' : time(from) + ' to ' + time(Math.min(thread.endMs, from + thread.stepMs))));
        for (const { name, of, share } of found.slice(0, 10)) tip.append(line(of, name, shown(share)));
      } else {
        tip.append(make('b', 'All threads'), make('small', 'at ' + time(ms)));
        for (const each of data.threads) {
          const most = stepAt(each, ms)[0];
          if (most) tip.append(line(most.of, each.label, most.name));
        }
      }
      tip.hidden = false;
      const { width, height } = tip.getBoundingClientRect();
      const left = event.clientX + 18 + width > innerWidth ? event.clientX - 18 - width : event.clientX + 18;
      tip.style.left = Math.max(4, left) + 'px';
      tip.style.top = Math.max(4, Math.min(innerHeight - height - 4, event.clientY + 18)) + 'px';
    };
    chart.addEventListener('pointermove', move);
    chart.addEventListener('pointerdown', move);
    chart.addEventListener('pointerleave', hide);
    addEventListener('scroll', hide, { passive: true });
  };
  const choose = (legend, chart) => {
    let pinned;
    const light = (key) => {
      chart.classList.toggle('dim', key !== undefined);
      for (const path of chart.querySelectorAll('path[data-phase]')) path.classList.toggle('lit', path.dataset.phase === key);
    };
    for (const item of legend.querySelectorAll('li')) {
      const key = item.dataset.phase;
      const toggle = () => {
        pinned = pinned === key ? undefined : key;
        for (const each of legend.querySelectorAll('li')) each.setAttribute('aria-pressed', String(each.dataset.phase === pinned));
        light(pinned);
      };
      item.tabIndex = 0;
      item.setAttribute('role', 'button');
      item.setAttribute('aria-pressed', 'false');
      item.addEventListener('click', toggle);
      item.addEventListener('keydown', (event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        toggle();
      });
      item.addEventListener('pointerenter', () => light(key));
      item.addEventListener('pointerleave', () => light(pinned));
    }
  };
  for (const chart of document.querySelectorAll('[data-chart]')) {
    watch(chart);
    const legend = chart.parentElement.querySelector('.legend');
    if (legend) choose(legend, chart);
  }
})();
`;

/** The hash by which a browser accepts the page's script. No other script may run. */
export function scriptHash(): string {
  return `sha256-${createHash('sha256').update(SCRIPT).digest('base64')}`;
}
