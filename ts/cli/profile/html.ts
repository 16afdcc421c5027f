import { safe } from '../names.js';

/** Text that is markup already. Only `html`, `trusted` and `dataBlock` make it. */
export class Html {
  readonly markup: string;

  constructor(markup: string) {
    this.markup = markup;
  }
}

/** A value in markup: texts and numbers are escaped, lists are joined, `undefined` gives nothing. */
export type Part = Html | string | number | undefined | readonly Part[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Markup with values in it. This must be the only way for a text of a file to get into the page. */
export function html(strings: TemplateStringsArray, ...values: readonly Part[]): Html {
  // The indentation of the sources is removed.
  return new Html(strings.map((text, index) => text.replaceAll(/\n\s+/g, '\n') + markupOf(values[index])).join(''));
}

/** A text of this program that is markup, style or script. */
export function trusted(markup: string): Html {
  return new Html(markup);
}

/** Data for the page's own script. No text in it can end the element that holds it. */
export function dataBlock(id: string, data: unknown): Html {
  const json = JSON.stringify(data).replaceAll('<', String.raw`\u003c`);
  return html`<script type="application/json" id="${id}">
    ${trusted(json)}
  </script>`;
}

function markupOf(part: Part): string {
  if (part === undefined) return '';
  if (part instanceof Html) return part.markup;
  if (typeof part === 'string') return safe(part).replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
  if (typeof part === 'number') return String(part);
  return part.map(markupOf).join('');
}
