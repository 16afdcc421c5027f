// The page and the text of profiles, and what holds for every page.
import type { ExecutionContext } from 'ava';

import { compare } from '../../ts/cli/profile/compare.js';
import { parseRecord } from '../../ts/cli/profile/file.js';
import { measure } from '../../ts/cli/profile/measure.js';
import { page } from '../../ts/cli/profile/page.js';
import { ServerRuns } from '../../ts/cli/profile/server-runs.js';
import { describeComparison, describeServer, describeSync } from '../../ts/cli/profile/summary.js';

/** Elements of a page that never hold anything. */
const VOID = new Set(['meta', 'br', 'hr', 'img', 'input', 'link']);

/** Reads markup as a browser would, as far as this page needs it, and gives the tags; throws where they do not nest. */
function tagsOf(markup: string): { name: string; attributes: string }[] {
  const tags: { name: string; attributes: string }[] = [];
  const open: string[] = [];
  const pattern = /<(\/?)([a-z][a-z0-9]*)((?:\s+[a-zA-Z-]+(?:="[^"]*")?)*)\s*(\/?)>|<!doctype html>|<|>/g;
  for (let found = pattern.exec(markup); found !== null; found = pattern.exec(markup)) {
    const [whole, closes, name, attributes = '', closed] = found;
    if (whole === '<!doctype html>') continue;
    if (name === undefined) throw new Error(`a stray ${whole} in ${markup.slice(found.index - 80, found.index + 80)}`);
    if (closes === '/') {
      const top = open.pop();
      if (top !== name) throw new Error(`</${name}> closes <${top}> in ${markup.slice(found.index - 80, found.index)}`);
      continue;
    }
    tags.push({ name, attributes });
    if (closed === '/' || VOID.has(name)) continue;
    open.push(name);
    if (name === 'script' || name === 'style') {
      // Nothing in them is markup up to their end.
      pattern.lastIndex = markup.indexOf(`</${name}`, pattern.lastIndex);
    }
  }
  if (open.length > 0) throw new Error(`never closed: ${open.join(' ')}`);
  return tags;
}

/** Asserts that a page is whole and reaches for nothing outside of it. */
export function assertContained(t: ExecutionContext, markup: string): void {
  const tags = tagsOf(markup);
  for (const { name, attributes } of tags) {
    t.false(
      ['link', 'img', 'iframe', 'object', 'embed', 'base', 'form', 'audio', 'video', 'use', 'image'].includes(name),
      name,
    );
    t.notRegex(
      attributes.replaceAll(/"[^"]*"/g, '""'),
      /\s(src|srcset|action|data|poster|background|xlink:href|on[a-z]+)=/,
      name,
    );
    const target = /\shref="([^"]*)"/.exec(attributes)?.[1];
    if (target !== undefined) t.regex(target, /^#sync-\d+$/);
    t.notRegex(attributes, /style="[^"]*url\(/);
  }
  t.notRegex(markup, /\b(https?|wss?|ftp|javascript):|url\(|@import|\bimport\(|fetch\(|XMLHttpRequest/i);
  const scripts = tags.filter(({ name, attributes }) => name === 'script' && !attributes.includes('application/json'));
  t.is(scripts.length, 1, 'one script, the page’s own');
}

/** Parses, measures and shows lines as the command does, without starting it. */
export function show(lines: readonly string[]): { markup: string; text: string } {
  const runs = new ServerRuns(5);
  const syncs = lines.flatMap((text, index) => {
    const record = parseRecord({ number: index + 1, text, ended: true }, 'FILE');
    if (record.type === 'profile') return [measure(record)];
    runs.add(record);
    return [];
  });
  const servers = runs.runs();
  const comparisons = compare(syncs, syncs);
  const markup = page({ files: ['FILE'], syncs, syncsLeftOut: 0, servers, comparisons, against: 'FILE', version: '0' });
  const text = [
    ...syncs.map((sync) => describeSync(sync)),
    ...servers.map((run) => describeServer(run)),
    ...comparisons.map((each) => describeComparison(each, 'a', 'b')),
  ]
    .flat()
    .join('\n');
  return { markup, text };
}
