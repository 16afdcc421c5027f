// The kinds of values that options have: for each what it is in a request, in the binding, in the API and on the command line.
//   rust      type in the request, its codec where the type does not tell it, what it starts from, what it needs imported, and
//             when a request asks for it: has a value that it has not by default, of a choice the one that is named
//   binding   type in the binding; the expression that loads it; the expression that hands over the setting, where that is not the
//             setting itself
//   api       check and its type; type of the setting; its default, or the expression that each call asks for that; the expression
//             that makes the setting of what was given, where the two differ; imports of all these
//   command   the expression that reads the flag, what that needs imported, and the name of the value in the help
//   document  range and default for people

/** A default that an environment variable has a say in: the expression that asks it, and the words for people. */
export const environment = (expression, words, needs = expression) => ({ expression, words, needs });

const literal = (value) => (typeof value === 'string' ? `'${value}'` : String(value));

/** What the API takes when nothing is given. */
function byDefault(value) {
  if (value?.expression === undefined) {
    return { api: { standard: literal(value) }, words: `\`${literal(value)}\``, from: {} };
  }
  return {
    api: { asked: value.expression },
    words: value.words,
    from: { './config.js': [value.needs.replace(/\(.*$/, '')] },
  };
}

/** On or off. The command has it off unless it is told, or, where `command` is the same as `api`, leaves it to the API. */
export function flag({ api, command } = {}) {
  const standard = byDefault(api ?? false);
  const leaves = api !== undefined && command === api;
  return {
    rust: { type: 'bool', asked: (member) => member },
    binding: { type: 'bool', load: (member) => member },
    api: {
      check: 'flag',
      checked: 'boolean',
      type: 'boolean',
      ...standard.api,
      isSwitch: standard.api.standard !== undefined,
      from: { './check.js': ['flag'], ...standard.from },
    },
    command: {
      isSwitch: !leaves,
      read: ({ flag: name, value }) =>
        value !== undefined
          ? `flags.text('${name}') === undefined ? undefined : true`
          : leaves
            ? `flags.given('${name}')`
            : `flags.on('${name}')`,
    },
    document: { range: '', standard: standard.words },
  };
}

function integer({ least, most, unit }) {
  const from = { './check.js': ['integer'] };
  if (most === 'LANES_MAX') from['./config.js'] = [most];
  const end = most ?? 'Number.MAX_SAFE_INTEGER';
  return {
    check: `integer(${least}, ${typeof end === 'number' ? grouped(end) : end}, '${unit}')`,
    checked: 'number',
    from,
  };
}

const isSome = (member) => `${member}.is_some()`;
const isNotEmpty = (member) => `!${member}.is_empty()`;

/** What is empty is not handed over: an array or its bytes cost more than most options. */
const unlessEmpty = (setting) => `${setting}.length > 0 ? ${setting} : null`;

const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, '_');

/** A bound that is not there unless it is given: a whole number of `unit`. On the command line a negative number of them is 0. */
export function bound({ unit, size = false }) {
  const checked = integer({ least: 0, unit });
  return {
    rust: {
      type: 'Option<u64>',
      asked: isSome,
      ...(size ? { codec: 'Size', needs: { options: ['Size'] } } : {}),
    },
    binding: { type: 'Option<f64>', load: (member) => `${member}.map(whole)`, needs: { options: ['whole'] } },
    api: { ...checked, type: 'number | undefined', standard: 'undefined' },
    command: size
      ? {
          value: 'SIZE',
          read: ({ flag: name }) => `sizeOf(flags, '${name}')`,
          needs: { './flag-values.js': ['sizeOf'] },
        }
      : {
          value: 'NUM',
          read: ({ flag: name }) => `boundOf(flags, '${name}')`,
          needs: { './flag-values.js': ['boundOf'] },
        },
    document: { range: `${unit}, 0 to 2^53 - 1`, standard: 'no limit' },
  };
}

/** A time that the API has in milliseconds and the command in seconds. */
export function time({ most, api }) {
  const standard = byDefault(api);
  return {
    rust: { type: 'u64', asked: (member) => `${member} != ${grouped(api)}` },
    binding: { type: 'f64', load: (member) => `whole(${member})`, needs: { options: ['whole'] } },
    api: {
      ...integer({ least: 0, most, unit: 'milliseconds' }),
      type: 'number',
      standard: grouped(api),
    },
    command: {
      value: 'SECONDS',
      read: ({ flag: name }) => `millisecondsOf(flags, '${name}')`,
      needs: { './flag-values.js': ['millisecondsOf'] },
    },
    document: { range: `milliseconds, 0 to ${most}`, standard: standard.words },
  };
}

/** Bytes per second; 0 is no limit. The command has KiB unless it says otherwise. */
export function rate() {
  return {
    rust: { type: 'u64', asked: (member) => `${member} != 0` },
    binding: { type: 'f64', load: (member) => `whole(${member})`, needs: { options: ['whole'] } },
    api: { ...integer({ least: 0, unit: 'bytes per second' }), type: 'number', standard: '0' },
    command: {
      value: 'RATE',
      read: ({ flag: name }) => `rateOf(flags, '${name}')`,
      needs: { './flag-values.js': ['rateOf'] },
    },
    document: { range: 'bytes per second, 0 to 2^53 - 1', standard: '`0`, no limit' },
  };
}

/** Lanes: 0 leaves them to the engine. */
export function lanes({ api }) {
  const standard = byDefault(api);
  const checked = integer({ least: 0, most: 'LANES_MAX', unit: 'lanes' });
  return {
    rust: {
      type: 'u8',
      codec: 'Lanes',
      initial: '1',
      asked: (member) => `${member} != LANES_AUTOMATIC`,
      needs: { options: ['Lanes'], limits: ['LANES_AUTOMATIC'] },
    },
    binding: { type: 'u32', load: (member) => `lanes(${member})?`, needs: { options: ['lanes'] } },
    api: {
      ...checked,
      type: 'number',
      ...standard.api,
      from: { ...checked.from, './config.js': ['LANES_MAX', ...standard.from['./config.js']] },
    },
    command: { value: 'NUM', read: ({ flag: name }) => `flags.number('${name}', 1)` },
    document: { range: '0 to 4', standard: standard.words },
  };
}

/** An option that the other side alone is given, by `--remote-option`. */
export function remoteOption(option) {
  const kind = flag();
  return {
    ...kind,
    command: {
      value: 'OPTION',
      read: () => `remoteOption(flags, '${option}')`,
      needs: { './flag-values.js': ['remoteOption'] },
    },
  };
}

/** The member of a closed set in Rust that has a word. */
const variant = (set, word) => `${set}::${word[0].toUpperCase()}${word.slice(1)}`;

/** A word of a closed set, which is `set` in Rust and `list` in TypeScript. */
export function word({ set, list, api, command, value }) {
  const standard = byDefault(api);
  return {
    rust: {
      type: set,
      // A name of its own stands for one word, that of the option for all but the default.
      asked: (member, one) =>
        one !== undefined
          ? `${member} == ${variant(set, one)}`
          : api === command
            ? `${member} != ${variant(set, api)}`
            : `!matches!(${member}, ${variant(set, api)} | ${variant(set, command)})`,
      needs: { options: [set] },
    },
    binding: { type: `Native${set}`, load: (member) => `${member}.into()`, needs: { words: [`Native${set}`] } },
    api: {
      check: `oneOf(...${list})`,
      checked: set,
      type: set,
      ...standard.api,
      from: { './check.js': ['oneOf'], './words.js': [list, `type ${set}`] },
    },
    command: {
      value,
      read: ({ flag: name, flags }) =>
        flags === undefined
          ? `flags.choice('${name}', ${list}) ?? '${command}'`
          : `${flags.map((each) => `flags.on('${each.flag}') ? '${each.word}' : `).join('')}'${command}'`,
      words: list,
    },
    document: { range: '', standard: standard.words, list },
  };
}

/** When content is compressed, which rsync says in several flags. */
export function compression() {
  const kind = word({ set: 'Compression', list: 'COMPRESSIONS', api: 'auto', command: 'auto', value: 'WHEN' });
  return {
    ...kind,
    rust: { ...kind.rust, asked: (member) => kind.rust.asked(member, 'always') },
    command: {
      value: kind.command.value,
      read: () => 'compressionOf(flags)',
      words: kind.command.words,
      needs: { './flag-values.js': ['compressionOf'] },
    },
  };
}

/** What names may end in, behind a dot. */
export function suffixes() {
  return {
    rust: {
      type: 'Vec<u8>',
      codec: 'AtMost<OPTION_PATH_BYTES_MAX>',
      asked: isNotEmpty,
      needs: { field: ['AtMost'], limits: ['OPTION_PATH_BYTES_MAX'] },
    },
    binding: { type: 'Option<String>', load: (member) => `${member}.clone().unwrap_or_default().into_bytes()` },
    api: {
      check: 'suffixList',
      checked: 'string',
      type: 'string | undefined',
      standard: 'undefined',
      from: { './paths.js': ['suffixList'] },
    },
    command: { value: 'LIST', read: ({ flag: name }) => `flags.text('${name}')` },
    document: { range: 'at most 4096 bytes', standard: 'none' },
  };
}

/** How far two times may be apart. */
export function window({ api, most }) {
  return {
    rust: {
      type: 'Window',
      // The command has whole seconds by default, and the API compares exactly.
      asked: (member) => `matches!(${member}, Window::Within(_))`,
      needs: { options: ['Window'] },
    },
    binding: { type: 'f64', load: (member) => `window(${member})`, needs: { options: ['window'] } },
    api: {
      ...integer({ least: -1, most, unit: 'nanoseconds' }),
      type: 'number',
      standard: String(api),
    },
    command: {
      value: 'SECONDS',
      read: ({ flag: name }) => `windowOf(flags, '${name}')`,
      needs: { './flag-values.js': ['windowOf'] },
    },
    document: { range: `nanoseconds, -1 to ${most}`, standard: `\`${api}\`` },
  };
}

/** Filter rules, in their order. */
export function rules() {
  return {
    rust: { type: 'FilterRules', asked: isNotEmpty, needs: { filter: ['FilterRules'] } },
    // The binding's request reads them itself, with the places where they were written.
    binding: { type: 'Vec<NativeRule>', needs: { options: ['NativeRule'] } },
    api: {
      check: 'filterRules',
      checked: 'FilterRules',
      type: 'NativeRule[]',
      standard: '[]',
      made: (given) => `nativeRules(${given})`,
      from: { './filter.js': ['filterRules', 'nativeRules', 'type NativeRule', 'type FilterRules'] },
    },
    command: {
      value: 'RULE',
      many: true,
      read: () => 'filterOf(flags)',
      needs: { './filter-flags.js': ['filterOf'] },
    },
    document: { range: 'rules, 256 KiB in all', standard: 'none' },
  };
}

/** The path of a directory, from the destination on when it is relative. */
export function directory() {
  return {
    rust: {
      type: 'Vec<u8>',
      codec: 'AtMost<OPTION_PATH_BYTES_MAX>',
      asked: isNotEmpty,
      needs: { field: ['AtMost'], limits: ['OPTION_PATH_BYTES_MAX'] },
    },
    binding: {
      type: 'Option<napi::bindgen_prelude::Uint8Array>',
      load: (member) => `${member}.map(|path| path.to_vec()).unwrap_or_default()`,
      handed: unlessEmpty,
    },
    api: {
      check: 'pathOption',
      checked: 'PathLike',
      type: 'Uint8Array',
      standard: 'NO_PATH',
      made: (given) => `pathOf(${given})`,
      from: { './paths.js': ['NO_PATH', 'pathOption', 'pathOf', 'type PathLike'] },
    },
    command: { value: 'DIR', read: ({ flag: name }) => `flags.words('${name}').at(-1)` },
    document: { range: 'a path', standard: 'none' },
  };
}

/** Several such paths, in their order. */
export function directories() {
  return {
    rust: { type: 'Directories', asked: isNotEmpty, needs: { options: ['Directories'] } },
    binding: {
      type: 'Option<Vec<napi::bindgen_prelude::Uint8Array>>',
      load: (member) => `directories(${member}.as_deref().unwrap_or_default())?`,
      handed: unlessEmpty,
      needs: { options: ['directories'] },
    },
    api: {
      check: 'pathsOption',
      checked: 'PathLike | readonly PathLike[]',
      type: 'Uint8Array[]',
      standard: '[]',
      made: (given) => `pathsOf(${given})`,
      from: { './paths.js': ['pathsOption', 'pathsOf', 'type PathLike'] },
    },
    command: { value: 'DIR', many: true, read: ({ flag: name }) => `flags.words('${name}')` },
    document: { range: 'at most 20 paths', standard: 'none' },
  };
}

/** The end of a name. */
export function suffix() {
  return {
    rust: { type: 'Option<Vec<u8>>', codec: 'FileName', asked: isSome, needs: { field: ['FileName'] } },
    binding: { type: 'Option<String>', load: (member) => `suffix(${member})?`, needs: { options: ['suffix'] } },
    api: {
      check: 'suffix',
      checked: 'string',
      type: 'string | undefined',
      standard: 'undefined',
      from: { './paths.js': ['suffix'] },
    },
    command: { value: 'SUFFIX', read: ({ flag: name }) => `flags.text('${name}')` },
    document: { range: 'at most 255 bytes without a slash', standard: '`~`, with `backupDir` none' },
  };
}

/** The next snapshot of a series, and which of them are kept. */
export function snapshot() {
  return {
    rust: { type: 'Snapshot', asked: (member) => `${member}.is_asked`, needs: { retention: ['Snapshot'] } },
    binding: {
      type: 'Option<NativeSnapshot>',
      load: (member) => `${member}.map(NativeSnapshot::load).unwrap_or_default()`,
      handed: (setting) => `${setting}.isAsked ? ${setting} : null`,
      needs: { snapshots: ['NativeSnapshot'] },
    },
    api: {
      check: 'snapshotOption',
      checked: 'SnapshotOptions',
      type: 'NativeSnapshot',
      standard: 'NO_SNAPSHOT',
      made: (given) => `nativeSnapshot(${given})`,
      from: {
        './options.js': ['type SnapshotOptions'],
        './snapshots.js': ['NO_SNAPSHOT', 'nativeSnapshot', 'snapshotOption', 'type NativeSnapshot'],
      },
    },
    command: { read: () => 'snapshotOf(flags)', needs: { './flag-values.js': ['snapshotOf'] } },
    document: { range: '0 to 1,000,000 of each kind', standard: 'none' },
  };
}

/** Changes of modes, one after the other. */
export function modes() {
  return {
    rust: { type: 'Chmod', asked: isNotEmpty, needs: { chmod: ['Chmod'] } },
    binding: {
      type: 'Option<String>',
      load: (member) => `chmod(${member}.as_deref())?`,
      needs: { options: ['chmod'] },
    },
    api: {
      check: 'modeChanges',
      checked: 'string',
      type: 'string | undefined',
      standard: 'undefined',
      from: { './modes.js': ['modeChanges'] },
    },
    command: {
      value: 'MODES',
      many: true,
      read: ({ flag: name }) => `joinedOf(flags, '${name}')`,
      needs: { './flag-values.js': ['joinedOf'] },
    },
    document: { range: 'changes as of `chmod`, 4 KiB in all', standard: 'none' },
  };
}

/** Rules for owners or groups. */
export function idMap(which) {
  return {
    rust: { type: 'IdMap', asked: isNotEmpty, needs: { owners: ['IdMap'] } },
    binding: {
      type: 'Option<String>',
      load: (member) => `id_map("${which}", ${member}.as_deref())?`,
      needs: { options: ['id_map'] },
    },
    api: {
      check: 'idMap',
      checked: 'string',
      type: 'string | undefined',
      standard: 'undefined',
      from: { './owners.js': ['idMap'] },
    },
    command: {
      value: 'MAP',
      read: ({ flag: name }) => `flags.text('${name}')`,
    },
    document: { range: 'rules, 64 KiB in all', standard: 'none' },
  };
}

/** On, off, or as the other end finds best. */
export function tristate({ words }) {
  return {
    rust: {
      type: 'Option<bool>',
      codec: 'Tristate',
      asked: (member) => `${member} == Some(true)`,
      needs: { options: ['Tristate'] },
    },
    binding: { type: 'Option<bool>', load: (member) => member },
    api: {
      check: 'flag',
      checked: 'boolean',
      type: 'boolean | undefined',
      standard: 'undefined',
      from: { './check.js': ['flag'] },
    },
    command: { read: ({ flag: name }) => `flags.given('${name}')` },
    document: { range: '', standard: words },
  };
}

/** What only this side knows: its check and default are in ts/settings.ts, `read` is the expression for the command. */
export const own = ({ read, value, needs, standard = '' } = {}) => ({
  command: { value, needs, ...(read === undefined ? {} : { read: () => read }) },
  document: { range: '', standard },
});

/** What the request has besides, and nobody asks for by a flag. */
export const internal = (type, { codec, needs } = {}) => ({ rust: { type, codec, needs } });
