import { packageVersion } from './package.js';

/** The version of the protocol on the wire, as in crate/proto/src/version.rs. */
const PROTOCOL = 1;

/** The capabilities of the command under rsync's names; `false` for those that it lacks. */
const CAPABILITIES = {
  file_bits: 64,
  inum_bits: 64,
  timestamp_bits: 64,
  long_int_bits: 64,
  socketpairs: false,
  symlinks: true,
  symtimes: true,
  hardlinks: true,
  hardlink_specials: true,
  hardlink_symlinks: true,
  IPv6: true,
  atimes: true,
  batchfiles: true,
  inplace: true,
  append: true,
  ACLs: true,
  ACL_at: true,
  xattrs: true,
  secluded_args: 'optional',
  iconv: false,
  prealloc: true,
  stop_at: true,
  crtimes: false,
};

const OPTIMIZATIONS = { SIMD_roll: false, asm_roll: false, openssl_crypto: false, asm_MD5: false };

const COPYRIGHT = 'MIT License, without any warranty';

/** What `-V` prints. */
export function versionText(): string {
  const shown = Object.entries(CAPABILITIES).map(([name, has]) => {
    const words = name.replaceAll('_', /^[A-Z]/.test(name) || name.startsWith('stop') ? '-' : ' ');
    if (typeof has === 'number') return `${has}-bit ${BITS[name] ?? words}`;
    if (typeof has === 'string') return `${has} ${words}`;
    return has ? words : `no ${words}`;
  });
  return [
    `sparsync  version ${packageVersion()}  protocol version ${PROTOCOL}`,
    COPYRIGHT,
    'Capabilities:',
    ...filled(shown),
    'Checksum list:',
    '    blake3',
    'Compress list:',
    '    lz4 none',
    'Daemon auth list:',
    '    ed25519',
  ].join('\n');
}

const BITS: Readonly<Record<string, string>> = {
  file_bits: 'files',
  inum_bits: 'inums',
  timestamp_bits: 'timestamps',
  long_int_bits: 'long ints',
};

/** What `-VV` prints: JSON with rsync's keys. */
export function versionJson(): string {
  const told = {
    program: 'sparsync',
    version: packageVersion(),
    protocol: `${PROTOCOL}.0`,
    copyright: COPYRIGHT,
    url: '',
    capabilities: CAPABILITIES,
    optimizations: OPTIMIZATIONS,
    checksum_list: ['blake3'],
    compress_list: ['lz4', 'none'],
    daemon_auth_list: ['ed25519'],
    license: 'MIT',
    caveat: 'sparsync comes without any warranty',
  };
  return JSON.stringify(told, undefined, 2);
}

/** Words in lines of at most 80 columns. */
function filled(words: readonly string[]): string[] {
  const lines: string[] = [];
  for (const [at, word] of words.entries()) {
    const text = at === words.length - 1 ? word : `${word},`;
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + text.length < 80) lines[lines.length - 1] = `${last} ${text}`;
    else lines.push(`    ${text}`);
  }
  return lines;
}
