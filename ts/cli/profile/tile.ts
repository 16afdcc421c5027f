import { html } from './html.js';
import type { Html } from './html.js';

/** A figure that is read first. */
export function tile(name: string, value: string, more: string): Html {
  return html`<div>
    <dt>${name}</dt>
    <dd><b>${value}</b><span>${more}</span></dd>
  </div>`;
}
