// What a fresh clone lacks: the locked devDependencies, and the judges that tests compare with.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { has, mustRun, ROOT } from './process.mjs';

/** Programs that tests use as independent judges, and the Debian packages that hold them. */
export const JUDGES = {
  rsync: 'rsync',
  strace: 'strace',
  valgrind: 'valgrind',
  setfattr: 'attr',
  setfacl: 'acl',
  git: 'git',
  ssh: 'openssh-client',
  sshd: 'openssh-server',
  ip: 'iproute2',
  openssl: 'openssl',
  faketime: 'faketime',
  tinyproxy: 'tinyproxy',
  'systemd-analyze': 'systemd',
  zsh: 'zsh',
  fish: 'fish',
  tcsh: 'tcsh',
  prometheus: 'prometheus',
  'mkfs.xfs': 'xfsprogs',
};

/** Fails with what to install when the compilers are missing. */
export async function requireToolchain() {
  const missing = [];
  if (!(await has('cargo'))) missing.push('stable Rust (cargo)');
  if (!(await has('cc'))) missing.push('a C compiler (cc)');
  if (missing.length > 0) throw new Error(`To build sparsync-native, please install ${missing.join(' and ')}.`);
}

/** Installs the devDependencies with `npm ci`, unless those of this very lockfile are there. */
export async function installDependencies() {
  const digest = createHash('sha256')
    .update(readFileSync(`${ROOT}/package-lock.json`))
    .digest('hex');
  const stamp = `${ROOT}/node_modules/.installed-lockfile`;
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return false;
  await mustRun('npm', ['ci', '--no-audit', '--no-fund']);
  writeFileSync(stamp, digest);
  return true;
}

async function missingJudges() {
  const found = await Promise.all(Object.keys(JUDGES).map(async (judge) => ((await has(judge)) ? [] : [judge])));
  return found.flat();
}

/** Names of the judges that are missing, after an attempt to install them where that is allowed: root on Debian. */
export async function installJudges() {
  const absent = await missingJudges();
  if (absent.length === 0 || process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) return absent;
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await mustRun('apt-get', ['update', '-q'], { env });
    const packages = absent.map((judge) => JUDGES[judge]);
    await mustRun('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], { env });
  } catch (error) {
    console.error(error.message); // no network is no reason to run nothing: the tests that need a judge are skipped
  }
  return missingJudges();
}
