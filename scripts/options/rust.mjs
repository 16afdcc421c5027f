// The request in crate/proto, and its options in the binding.
import { fieldsOf, members, placeOf, requested, STRUCTS, WRITTEN } from './declared.mjs';

/** The length of a line, as in rustfmt.toml. */
const WIDTH = 120;

/** Text in lines that each begin with `start`. */
function wrapped(text, start) {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== '' && start.length + last.length + 1 + word.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.map((line) => `${start}${line}`).join('\n');
}

const documentation = (text, indent) => wrapped(text, `${indent}/// `);

/** `use` lines for names by their modules, as rustfmt wants them. */
function uses(needs) {
  const byModule = new Map();
  for (const [module, list] of needs.flatMap((each) => Object.entries(each))) {
    byModule.set(module, new Set([...(byModule.get(module) ?? []), ...list]));
  }
  return [...byModule]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([module, set]) => {
      const list = [...set].toSorted((a, b) => (a < b ? -1 : 1));
      const line = `use crate::${module}::${list.length === 1 ? list[0] : `{${list.join(', ')}}`};`;
      if (line.length <= WIDTH) return line;
      return `use crate::${module}::{\n${wrapped(`${list.join(', ')},`, '    ')}\n};`;
    });
}

const BOOLS = `#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]`;

function struct(type, meaning, own, derives) {
  const many = own.filter(({ kind }) => kind.rust.type === 'bool').length > 3;
  const shown = own.map(
    (row) => `${documentation(row.meaning, '    ')}\n    pub ${placeOf(row).member}: ${row.kind.rust.type},`,
  );
  return `${documentation(meaning, '')}
#[derive(${derives})]
${many ? `${BOOLS}\n` : ''}pub struct ${type} {
${shown.join('\n')}
}`;
}

function message(type, name, at, order) {
  const fields = fieldsOf(at).map((row) => {
    const { field, kind } = row;
    const place = at === '' ? field.at : placeOf(row).member;
    const codec = kind.rust.codec === undefined ? '' : `: ${kind.rust.codec}`;
    return `    ${field.number} ${field.optional === true ? 'optional' : 'critical'} ${place}${codec},`;
  });
  return `message!(${type}, "${name}"${order} {\n${fields.join('\n')}\n});`;
}

/** When a request asks for an option, by the names under which a server may refuse it. */
function askedFor() {
  const conditions = new Map();
  const add = (name, condition) => conditions.set(name, [...(conditions.get(name) ?? []), condition]);
  for (const row of requested) {
    const of = (word) => row.asked ?? row.kind.rust.asked(`self.${row.field.at}`, word);
    for (const name of new Set([row.name, row.flag ?? row.from].filter(Boolean))) add(name, of());
    for (const { flag, word } of row.flags ?? []) add(flag, of(word));
  }
  const names = new Map();
  for (const [name, all] of conditions) {
    const condition = all.join(' || ');
    names.set(condition, [...(names.get(condition) ?? []), name]);
  }
  return `impl Request {
    /// Whether it asks for the option of this name, which is that of the API or of the command line: a value that no
    /// run has by default, or, of what is on or off, on. None where no option that a request has is called so.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one line for each option")]
    pub fn asks_for(&self, name: &str) -> Option<bool> {
        Some(match name {
${[...names].map(([condition, own]) => `            ${own.map((name) => `"${name}"`).join(' | ')} => ${condition},`).join('\n')}
            _ => return None,
        })
    }
}

/// Every name that [\`Request::asks_for\`] knows.
#[cfg(test)]
#[rustfmt::skip]
pub(crate) const NAMES: &[&str] = &[
${[...names.values()].map((own) => `    ${own.map((name) => `"${name}",`).join(' ')}`).join('\n')}
];`;
}

/** The module of crate/proto. */
export function requestModule() {
  const own = members();
  // Those that are a message of their own have a field.
  const nested = STRUCTS.filter(({ message: own }) => own === undefined).map(({ at, type, meaning }) => ({
    field: { at },
    kind: { rust: { type } },
    meaning,
  }));
  const whole = [...own.get(''), ...nested];
  const all = [...own.values()].flat();
  const needs = [...all.map(({ kind }) => kind.rust.needs ?? {}), { field: ['message'] }];
  const initial = whole.map(
    ({ field, kind }) =>
      `            ${field.at}: ${kind.rust.initial ?? (kind.rust.type === 'bool' ? 'false' : `${kind.rust.type.replace(/<.*/, '')}::default()`)},`,
  );
  return `//! What the initiator asks for. It is said once, and nothing said later widens it.
//!
//! ${WRITTEN}

${uses(needs).join('\n')}

${STRUCTS.map(({ at, type, meaning }) => struct(type, meaning, own.get(at), 'Clone, Copy, Debug, Default, PartialEq, Eq')).join('\n\n')}

${struct('Request', 'One sync. The default asks for nothing but the content of files: neither sub-directories nor attributes.', whole, 'Clone, Debug, PartialEq, Eq')}

impl Default for Request {
    #[expect(clippy::too_many_lines, reason = "one line for each member")]
    fn default() -> Self {
        Self {
${initial.join('\n')}
        }
    }
}

${askedFor()}

${STRUCTS.filter((each) => each.message !== undefined)
  .map(({ at, type, message: name }) => message(type, name, at, ''))
  .join('\n\n')}

${message('Request', 'request', '', '')}
`;
}

/** The module of crate/napi. */
export function bindingModule() {
  const isSwitch = ({ kind }) => kind.api.isSwitch === true;
  const [switches, others] = [requested.filter(isSwitch), requested.filter((row) => !isSwitch(row))];
  const types = others.map(
    ({ name, kind, meaning }) => `    /// \`${name}\`: ${meaning}\n    pub ${kind.binding.type},`,
  );
  const loads = others.flatMap(({ field, kind }, at) =>
    kind.binding.load === undefined ? [] : [`        request.${field.at} = ${kind.binding.load(`self.${at}`)};`],
  );
  const places = switches.map(({ name, field }) => `        "${name}" => &mut request.${field.at},`);
  return `//! The options of a run as JavaScript has them.
//!
//! ${WRITTEN}

use napi_derive::napi;
use sparsync_core::proto::Request;
use sparsync_core::{Error, ErrorKind, Result};

${uses(others.map(({ kind }) => kind.binding.needs ?? {})).join('\n')}

/// The options of a run that are not merely on or off, by their places: Node-API is called once for an element, and three times for
/// a property by its name.
#[napi(array, object_to_js = false, use_nullable = true)]
pub struct NativeTransfer(
${types.join('\n')}
);

impl NativeTransfer {
    /// Sets what a request says of them.
    pub(crate) fn set(self, request: &mut Request) -> Result<()> {
${loads.join('\n')}
        Ok(())
    }
}

/// Switches an option on, which is off in a request that was just made. Such options come by their names: to look for each of them
/// among the properties of an object would take longer than all else that JavaScript does for a run.
#[expect(clippy::too_many_lines, reason = "one line for each option")]
pub(crate) fn switch_on(request: &mut Request, name: &str) -> Result<()> {
    let switch = match name {
${places.join('\n')}
        _ => return Err(Error::new(ErrorKind::Config, format!("no option is called {name:?}"))),
    };
    *switch = true;
    Ok(())
}
`;
}
