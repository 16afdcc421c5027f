import { shellQuoted } from '../shell.js';
import { ConfigError } from '../errors.js';
import { COMPLETED, SHELLS } from './completion-verbs.js';
import type { CompletedVerb } from './completion-verbs.js';
import { EXIT } from './exit-codes.js';
import { COMPLETION_FLAGS } from './flags.js';
import { flagHelp, verbHelp } from './help.js';
import { print } from './output.js';
import { parseFlags } from './parse.js';
import type { Flag, Word } from './parse.js';

const PURPOSE = `Prints what a shell needs to complete verbs, flags, their values and files:

  bash   sparsync completion bash > ~/.local/share/bash-completion/completions/sparsync
  zsh    sparsync completion zsh > _sparsync            in a folder of $fpath
  fish   sparsync completion fish > ~/.config/fish/completions/sparsync.fish`;

/** `sparsync completion SHELL`. */
export async function completionCommand(words: readonly Word[]): Promise<number> {
  const flags = parseFlags(COMPLETION_FLAGS, words);
  if (flags.on('help')) {
    await print(verbHelp(`completion ${SHELLS.join(' | ')}`, PURPOSE, COMPLETION_FLAGS));
    return EXIT.ok;
  }
  const [given, ...rest] = flags.operands;
  const shell = SHELLS.find((each) => each === given);
  if (shell === undefined || rest.length > 0) {
    throw new ConfigError(`completion takes one of ${SHELLS.join(', ')}; a folder of that name is ./completion`);
  }
  await print({ bash, zsh, fish }[shell]());
  return EXIT.ok;
}

/** All verbs, with the sync first, which is the default. */
const ALL: readonly (readonly [string, CompletedVerb])[] = Object.entries(COMPLETED);

const VERBS = ALL.flatMap(([name]) => (name === 'sync' ? [] : [name]));

/** What completes the value of a flag: words, files or folders; `undefined` if it cannot be known. */
function wanted({ value, choices }: Flag): readonly string[] | 'file' | 'folder' | undefined {
  if (choices !== undefined) return choices;
  if (value === 'DIR') return 'folder';
  return value === 'FILE' || value === 'PATH' || value === 'PROGRAM' ? 'file' : undefined;
}

/** Whether the value can be a word of its own: an optional value can only follow `=`. */
const isSeparate = ({ value, bare }: Flag): boolean => value !== undefined && bare === undefined;

const spellings = ({ name, short }: Flag): string[] => [`--${name}`, ...(short === undefined ? [] : [`-${short}`])];

function bash(): string {
  const values = new Map<string, string[]>();
  for (const [verb, { flags }] of ALL) {
    for (const flag of flags.filter(({ value }) => value !== undefined)) {
      const words = isSeparate(flag) ? spellings(flag) : [`--${flag.name}=`];
      const patterns = values.get(bashValue(flag)) ?? [];
      values.set(bashValue(flag), [...patterns, ...words.map((word) => `'${verb} ${word}'`)]);
    }
  }
  const cases = [...values].map(([action, patterns]) => `    ${patterns.join('|')}) ${action}; return ;;`);
  const perVerb = (line: (of: CompletedVerb) => string): string =>
    ALL.map(([name, of]) => `    ${name}) ${line(of)} ;;`).join('\n');
  return `# bash completion of sparsync
_sparsync_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }
_sparsync_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen "$1" -- "$cur"); }
_sparsync() {
  local cur=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} verb=sync flag=
  COMPREPLY=()
  if ((COMP_CWORD > 1)); then case \${COMP_WORDS[1]} in ${VERBS.join('|')}) verb=\${COMP_WORDS[1]} ;; esac; fi
  # "=" is a word of its own here.
  if [[ $cur == '=' ]]; then
    flag=$before= cur=
  elif [[ $before == '=' ]]; then
    flag=\${COMP_WORDS[COMP_CWORD-2]}=
  elif [[ $before == -* ]]; then
    flag=$before
  fi
  local known
  for known in "$flag" "\${flag%=}"; do case "$verb $known" in
${cases.join('\n')}
  esac; done
  [[ $flag != *= ]] || return
  if [[ $cur == -* ]]; then
    case $verb in
${perVerb(({ flags }) => `_sparsync_words '${flags.flatMap(spellings).join(' ')}'`)}
    esac
    return
  fi
  if ((COMP_CWORD == 1)); then _sparsync_words '${VERBS.join(' ')}'; fi
  if ((COMP_CWORD == 2)); then
    case $verb in
${perVerb(({ words }) => (words.length === 0 ? ':' : `_sparsync_words '${words.join(' ')}'`))}
    esac
  fi
  [[ \${#COMPREPLY[@]} -gt 0 ]] || _sparsync_files -f
}
complete -F _sparsync sparsync`;
}

function bashValue(flag: Flag): string {
  const value = wanted(flag);
  if (value === 'file') return '_sparsync_files -f';
  if (value === 'folder') return '_sparsync_files -d';
  return value === undefined ? ':' : `_sparsync_words '${value.join(' ')}'`;
}

function zsh(): string {
  const verbs = ALL.map(([name, { flags, words }]) => {
    const first =
      name === 'sync'
        ? "'1: :_sparsync_first'"
        : words.length === 0
          ? "'1:file:_files'"
          : shellQuoted(`1: :(${words.join(' ')})`);
    return `    ${name}) _arguments -s -S \\
      ${[...flags.flatMap(zshFlag), first, "'*:file:_files'"].join(' \\\n      ')} ;;`;
  });
  return `#compdef sparsync
_sparsync_first() { _alternative 'verbs:verb:(${VERBS.join(' ')})' 'files:file:_files' }
_sparsync() {
  local verb=sync
  if ((CURRENT > 2)) && [[ $words[2] == (${VERBS.join('|')}) ]]; then
    verb=$words[2]
    shift words
    ((CURRENT--))
  fi
  case $verb in
${verbs.join('\n')}
  esac
}
_sparsync "$@"`;
}

function zshFlag(flag: Flag): string[] {
  const help = `[${flagHelp(flag).help.replaceAll(/[[\]\\:]/g, String.raw`\$&`)}]`;
  const many = flag.many === true ? '*' : '';
  if (flag.value === undefined) return spellings(flag).map((word) => shellQuoted(`${many}${word}${help}`));
  const found = wanted(flag);
  const action =
    found === 'file' ? '_files' : found === 'folder' ? '_files -/' : found === undefined ? ' ' : `(${found.join(' ')})`;
  const value = `${flag.value.replaceAll(':', String.raw`\:`)}:${action}`;
  if (!isSeparate(flag)) return [shellQuoted(`${many}--${flag.name}=-${help}::${value}`)];
  return spellings(flag).map((word) =>
    shellQuoted(`${many}${word}${word.startsWith('--') ? '=' : '+'}${help}:${value}`),
  );
}

function fish(): string {
  const lines = ALL.flatMap(([name, { flags, words }]) => {
    const on = `complete -c sparsync -n 'test (__sparsync_verb) = ${name}'`;
    const own = flags.map((flag) => `${on} ${fishFlag(flag)}`);
    const first = `${on} -n 'test (count (commandline -opc)) -eq 2' -f -a '${words.join(' ')}'`;
    return words.length === 0 ? own : own.concat(first);
  });
  return `# fish completion of sparsync
function __sparsync_verb
  set -l words (commandline -opc)
  if contains -- "$words[2]" ${VERBS.join(' ')}
    echo $words[2]
  else
    echo sync
  end
end
complete -c sparsync -n 'test (count (commandline -opc)) -eq 1' -a '${VERBS.join(' ')}'
${lines.join('\n')}`;
}

function fishFlag(flag: Flag): string {
  const { name, short } = flag;
  const { help } = flagHelp(flag);
  const quoted = `'${help.replaceAll(/[\\']/g, String.raw`\$&`)}'`;
  const found = flag.value === undefined ? [] : wanted(flag);
  const value =
    flag.value === undefined
      ? ''
      : found === 'file'
        ? ' -r -F'
        : found === 'folder'
          ? " -x -a '(__fish_complete_directories)'"
          : ` ${isSeparate(flag) ? '-x' : '-f'}${found === undefined ? '' : ` -a '${found.join(' ')}'`}`;
  return `${short === undefined ? '' : `-s ${short} `}-l ${name}${value} -d ${quoted}`;
}
